//! The messages of the specifications, field by field. `../vectors/rfc/README.md` describes the files.

use std::{fs, path::Path};

use socks_wire::{
    Address, Command, Encode, EncodeError, Error, Parsed,
    auth::{Credentials, Status},
    udp::{self, Fragment},
    v4, v5,
};

use crate::hex;

/// The number of vectors, so that a lost one is noticed.
const VECTORS: usize = 103;

/// A paragraph of a file.
#[derive(Debug, Default)]
struct Vector {
    /// File, line and title.
    name: String,
    kind: String,
    bytes: Vec<u8>,
    /// The fields with a meaning, in order.
    meanings: Vec<(String, String)>,
    /// The error that it must cause.
    error: Option<String>,
    /// Whether it is encoded differently than it stands.
    only_read: bool,
}

/// The result of parsing the bytes of a vector.
#[derive(Debug)]
enum ParsedVector {
    Message { meanings: Vec<(&'static str, String)>, length: usize, encoded: Result<Vec<u8>, EncodeError> },
    More { at_least: usize },
    Refused(String),
}

#[test]
fn every_message_is_parsed_and_encoded_as_it_stands() {
    let vectors = vectors();
    assert_eq!(vectors.len(), VECTORS);
    for Vector { name, kind, bytes, meanings, only_read, .. } in vectors.iter().filter(|v| v.error.is_none())
    {
        let ParsedVector::Message { meanings: read, length, encoded } = decode(kind, bytes) else {
            panic!("{name}: {:?}", decode(kind, bytes));
        };
        let read: Vec<_> = read.iter().map(|(field, meaning)| (*field, meaning.as_str())).collect();
        let written: Vec<_> = meanings.iter().map(|(f, m)| (f.as_str(), m.as_str())).collect();
        assert_eq!(read, written, "{name}");
        assert_eq!(length, bytes.len(), "{name}: length");
        assert_eq!(encoded.as_ref() != Ok(bytes), *only_read, "{name} is encoded as {encoded:02x?}");
    }
}

#[test]
fn every_malformed_message_has_its_error() {
    for Vector { name, kind, bytes, error, .. } in &vectors() {
        let Some(error) = error else { continue };
        match decode(kind, bytes) {
            ParsedVector::Refused(refused) => assert_eq!(refused, *error, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn bytes_after_a_message_are_left_and_a_part_asks_for_no_more_than_is_missing() {
    for Vector { name, kind, bytes, .. } in
        vectors().iter().filter(|v| v.error.is_none() && v.kind != DATAGRAM)
    {
        match decode(kind, &[bytes, &b"\x05\x00rest"[..]].concat()) {
            ParsedVector::Message { length, .. } => assert_eq!(length, bytes.len(), "{name}: length"),
            other => panic!("{name}: {other:?}"),
        }
        for cut in 0..bytes.len() {
            match decode(kind, &bytes[..cut]) {
                ParsedVector::More { at_least } => {
                    assert!(
                        (1..=bytes.len() - cut).contains(&at_least),
                        "{name}: {at_least} after {cut} bytes"
                    );
                }
                other => panic!("{name}, cut after {cut} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn a_part_of_a_datagram_header_is_truncated() {
    for Vector { name, kind, bytes, .. } in
        vectors().iter().filter(|v| v.error.is_none() && v.kind == DATAGRAM)
    {
        let data = udp::Header::split(bytes).unwrap().1.len();
        for cut in 0..bytes.len() - data {
            match decode(kind, &bytes[..cut]) {
                ParsedVector::Refused(error) => {
                    assert_eq!(error, "truncated", "{name}, cut after {cut} bytes");
                }
                other => panic!("{name}, cut after {cut} bytes: {other:?}"),
            }
        }
    }
}

const DATAGRAM: &str = "SOCKS5 UDP datagram";

/// Parses bytes as a message of the given kind.
fn decode(kind: &str, bytes: &[u8]) -> ParsedVector {
    match kind {
        "SOCKS4 request" => parsed_vector(v4::Request::parse(bytes), |request| {
            assert_eq!(request.host, None, "SOCKS4 has no host");
            let address = ("DSTIP", request.address.to_string());
            vec![("CD", command(request.command)), port("DSTPORT", request.port), address, user_id(request)]
        }),
        "SOCKS4a request" => parsed_vector(v4::Request::parse(bytes), |request| {
            let host = ("HOST", text(request.host.unwrap()));
            vec![("CD", command(request.command)), port("DSTPORT", request.port), user_id(request), host]
        }),
        "SOCKS4 reply" => parsed_vector(v4::Reply::parse(bytes), |reply| {
            let address = ("DSTIP", reply.address.to_string());
            vec![("CD", reply_code4(reply.code)), port("DSTPORT", reply.port), address]
        }),
        "SOCKS5 greeting" => parsed_vector(v5::Greeting::parse(bytes), |greeting| {
            let methods: Vec<_> = greeting.methods.iter().map(|&number| method(v5::Method(number))).collect();
            vec![("METHODS", if methods.is_empty() { "none".into() } else { methods.join(", ") })]
        }),
        "SOCKS5 method selection" => parsed_vector(v5::MethodSelection::parse(bytes), |selection| {
            vec![("METHOD", method(selection.method))]
        }),
        "SOCKS5 request" => parsed_vector(v5::Request::parse(bytes), |request| {
            let command = ("CMD", command(request.command));
            vec![command, ("DST.ADDR", address(request.address)), port("DST.PORT", request.port)]
        }),
        "SOCKS5 reply" => parsed_vector(v5::Reply::parse(bytes), |reply| {
            let code = ("REP", reply_code5(reply.code));
            vec![code, ("BND.ADDR", address(reply.address)), port("BND.PORT", reply.port)]
        }),
        "SOCKS5 credentials" => parsed_vector(Credentials::parse(bytes), |credentials| {
            vec![("UNAME", text(credentials.username)), ("PASSWD", text(credentials.password))]
        }),
        "SOCKS5 credentials status" => parsed_vector(Status::parse(bytes), |status| {
            let accepted = *status == Status::ACCEPTED;
            vec![("STATUS", if accepted { "success" } else { "failure" }.into())]
        }),
        DATAGRAM => match udp::Header::split(bytes) {
            Ok((header, data)) => ParsedVector::Message {
                meanings: vec![
                    ("FRAG", fragment(header.fragment)),
                    ("DST.ADDR", address(header.address)),
                    port("DST.PORT", header.port),
                    ("DATA", text(data)),
                ],
                length: bytes.len(),
                encoded: encoded(&header).map(|header| [&header, data].concat()),
            },
            Err(error) => refused(error),
        },
        other => panic!("unknown kind of message: {other}"),
    }
}

fn parsed_vector<M: Encode>(
    parsed: Result<Parsed<M>, Error>,
    meanings: impl FnOnce(&M) -> Vec<(&'static str, String)>,
) -> ParsedVector {
    match parsed {
        Ok(Parsed::Message { message, length }) => {
            ParsedVector::Message { meanings: meanings(&message), length, encoded: encoded(&message) }
        }
        Ok(Parsed::More { at_least }) => ParsedVector::More { at_least },
        Err(error) => refused(error),
    }
}

fn encoded<M: Encode>(message: &M) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; M::MAX_LENGTH];
    let length = message.encode(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The name of an error in the files.
fn refused(error: Error) -> ParsedVector {
    ParsedVector::Refused(match error {
        Error::Version(byte) => format!("version {byte:02x}"),
        Error::Reserved(byte) => format!("reserved {byte:02x}"),
        Error::AddressType(byte) => format!("address type {byte:02x}"),
        Error::EmptyHost => "empty host".into(),
        Error::FieldTooLong => "field too long".into(),
        Error::Truncated => "truncated".into(),
        other => panic!("not an error of a single message: {other}"),
    })
}

fn port(field: &'static str, port: u16) -> (&'static str, String) {
    (field, port.to_string())
}

fn user_id(request: &v4::Request<'_>) -> (&'static str, String) {
    ("USERID", text(request.user_id))
}

fn address(address: Address<'_>) -> String {
    match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Domain(name) => text(name),
    }
}

fn text(bytes: &[u8]) -> String {
    let characters = bytes.iter().map(|&byte| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).into(),
        _ => format!("\\x{byte:02x}"),
    });
    format!("\"{}\"", characters.collect::<String>())
}

fn command(command: Command) -> String {
    match command {
        Command::CONNECT => "CONNECT".into(),
        Command::BIND => "BIND".into(),
        Command::UDP_ASSOCIATE => "UDP ASSOCIATE".into(),
        Command::RESOLVE => "RESOLVE".into(),
        Command::RESOLVE_PTR => "RESOLVE_PTR".into(),
        Command(number) => format!("0x{number:02x}"),
    }
}

fn method(method: v5::Method) -> String {
    match method {
        v5::Method::NONE => "NO AUTHENTICATION REQUIRED".into(),
        v5::Method::GSSAPI => "GSSAPI".into(),
        v5::Method::USERNAME_PASSWORD => "USERNAME/PASSWORD".into(),
        v5::Method::NO_ACCEPTABLE => "NO ACCEPTABLE METHODS".into(),
        v5::Method(number) => format!("0x{number:02x}"),
    }
}

fn reply_code4(code: v4::ReplyCode) -> String {
    match code {
        v4::ReplyCode::GRANTED => "request granted".into(),
        v4::ReplyCode::REJECTED => "request rejected or failed".into(),
        v4::ReplyCode::NO_IDENTD => "no identd at the client".into(),
        v4::ReplyCode::WRONG_USER => "the identd says another user".into(),
        v4::ReplyCode(number) => format!("0x{number:02x}"),
    }
}

fn reply_code5(code: v5::ReplyCode) -> String {
    match code {
        v5::ReplyCode::SUCCEEDED => "succeeded".into(),
        v5::ReplyCode::GENERAL_FAILURE => "general SOCKS server failure".into(),
        v5::ReplyCode::NOT_ALLOWED => "connection not allowed by ruleset".into(),
        v5::ReplyCode::NETWORK_UNREACHABLE => "Network unreachable".into(),
        v5::ReplyCode::HOST_UNREACHABLE => "Host unreachable".into(),
        v5::ReplyCode::CONNECTION_REFUSED => "Connection refused".into(),
        v5::ReplyCode::TTL_EXPIRED => "TTL expired".into(),
        v5::ReplyCode::COMMAND_NOT_SUPPORTED => "Command not supported".into(),
        v5::ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED => "Address type not supported".into(),
        v5::ReplyCode::DESCRIPTOR_NOT_FOUND => "onion service descriptor can not be found".into(),
        v5::ReplyCode::DESCRIPTOR_INVALID => "onion service descriptor is invalid".into(),
        v5::ReplyCode::INTRODUCTION_FAILED => "onion service introduction failed".into(),
        v5::ReplyCode::RENDEZVOUS_FAILED => "onion service rendezvous failed".into(),
        v5::ReplyCode::MISSING_AUTHORIZATION => "onion service missing client authorization".into(),
        v5::ReplyCode::WRONG_AUTHORIZATION => "onion service wrong client authorization".into(),
        v5::ReplyCode::INVALID_ADDRESS => "onion service invalid address".into(),
        v5::ReplyCode::INTRODUCTION_TIMED_OUT => "onion service introduction timed out".into(),
        v5::ReplyCode(number) => format!("0x{number:02x}"),
    }
}

fn fragment(fragment: Fragment) -> String {
    let last = if fragment.is_last() { ", last" } else { "" };
    match fragment {
        Fragment::STANDALONE => "standalone".into(),
        other => format!("fragment {}{last}", other.position()),
    }
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rfc");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts
        .flat_map(|path| {
            read(path.file_name().unwrap().to_str().unwrap(), &fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// Reads the vectors of one file.
fn read(file: &str, content: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for (number, line) in content.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("= ") {
            vectors.push(Vector { name: format!("{place}: {title}"), ..Vector::default() });
            continue;
        }
        let vector = vectors.last_mut().unwrap_or_else(|| panic!("{place}: no title before it"));
        if let Some(kind) = line.strip_prefix("message: ") {
            vector.kind = kind.into();
        } else if let Some(error) = line.strip_prefix("error: ") {
            vector.error = Some(error.into());
        } else if line == "only read" {
            vector.only_read = true;
        } else {
            let (bytes, meaning) = line.split_once(" : ").map_or((line, None), |(b, m)| (b, Some(m)));
            let (field, digits) = bytes.split_once(' ').unwrap_or_else(|| panic!("{place}: no bytes"));
            vector.bytes.extend(field_bytes(&place, digits));
            vector.meanings.extend(meaning.map(|meaning| (field.into(), meaning.into())));
        }
    }
    vectors
}

/// Parses the bytes of a field, which are `-` if there are none.
fn field_bytes(place: &str, digits: &str) -> Vec<u8> {
    if digits == "-" { Vec::new() } else { hex::parse(place, digits) }
}

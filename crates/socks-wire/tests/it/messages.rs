//! Any message, encoded and parsed again, whole and in part. `rfc_vectors.rs` tests the messages of the specifications.

use std::{
    fmt::Debug,
    net::{IpAddr, Ipv4Addr},
};

use proptest::{collection::vec, prelude::*};
use socks_wire::{
    Address, Command, Encode, EncodeError, Error, Parsed,
    auth::{Credentials, Isolation, Status},
    udp, v4, v5,
};

/// Checks the properties of every message of a stream. Parsing its encoding gives the message, and leaves the bytes after it;
/// a part of it asks for more input, and never for more than is missing; a buffer that is too small is an error.
fn check_message<'a, M>(
    message: &M,
    wire: &'a mut Vec<u8>,
    parse: impl Fn(&'a [u8]) -> Result<Parsed<M>, Error>,
) where
    M: Encode + PartialEq + Debug + 'a,
{
    wire.resize(M::MAX_LENGTH, 0);
    let length = message.encode(wire).unwrap();
    for room in [0, length / 2, length - 1] {
        assert_eq!(message.encode(&mut vec![0; room]), Err(EncodeError::BufferTooSmall { needed: length }));
    }
    wire.truncate(length);
    wire.extend_from_slice(b"\x05\x00rest");
    let wire: &'a [u8] = wire;
    for cut in 0..length {
        match parse(&wire[..cut]).unwrap() {
            Parsed::More { at_least } => assert!((1..=length - cut).contains(&at_least), "{cut} of {length}"),
            Parsed::Message { .. } => panic!("{cut} of {length} bytes are a message"),
        }
    }
    match parse(wire).unwrap() {
        Parsed::Message { message: read, length: taken } => assert_eq!((&read, taken), (message, length)),
        Parsed::More { .. } => panic!("the whole message is incomplete"),
    }
}

fn address() -> impl Strategy<Value = (Option<IpAddr>, Vec<u8>)> {
    prop_oneof![
        any::<IpAddr>().prop_map(|ip| (Some(ip), vec![])),
        vec(any::<u8>(), 1..=255).prop_map(|name| (None, name)),
    ]
}

fn borrowed((ip, name): &(Option<IpAddr>, Vec<u8>)) -> Address<'_> {
    ip.map_or(Address::Domain(name), Address::Ip)
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    vec(1_u8..=255, 0..=255)
}

proptest! {
    #[test]
    fn any_greeting(methods in vec(any::<u8>(), 1..=255)) {
        check_message(&v5::Greeting { methods: &methods }, &mut vec![], v5::Greeting::parse);
    }

    #[test]
    fn any_method_selection(method: u8) {
        check_message(&v5::MethodSelection { method: v5::Method(method) }, &mut vec![], v5::MethodSelection::parse);
    }

    #[test]
    fn any_socks5_request(command: u8, to in address(), port: u16) {
        let request = v5::Request { command: Command(command), address: borrowed(&to), port };
        check_message(&request, &mut vec![], v5::Request::parse);
    }

    #[test]
    fn any_socks5_reply(code: u8, at in address(), port: u16) {
        let reply = v5::Reply { code: v5::ReplyCode(code), address: borrowed(&at), port };
        check_message(&reply, &mut vec![], v5::Reply::parse);
    }

    #[test]
    fn any_credentials(username in vec(any::<u8>(), 0..=255), password in vec(any::<u8>(), 0..=255)) {
        let credentials = Credentials { username: &username, password: &password };
        check_message(&credentials, &mut vec![], Credentials::parse);
    }

    #[test]
    fn any_status(status: u8) {
        check_message(&Status(status), &mut vec![], Status::parse);
    }

    #[test]
    fn any_socks4_request(command: u8, port: u16, to: Ipv4Addr, user_id in field()) {
        prop_assume!(!(1..=255).contains(&to.to_bits()));
        let command = Command(command);
        let request = v4::Request { command, port, address: to, user_id: &user_id, host: None };
        check_message(&request, &mut vec![], v4::Request::parse);
    }

    #[test]
    fn any_socks4a_request(command: u8, port: u16, user_id in field(), host in vec(1_u8..=255, 1..=255)) {
        let (command, address) = (Command(command), Ipv4Addr::new(0, 0, 0, 1));
        let request = v4::Request { command, port, address, user_id: &user_id, host: Some(&host) };
        check_message(&request, &mut vec![], v4::Request::parse);
    }

    #[test]
    fn any_socks4_reply(code: u8, port: u16, address: Ipv4Addr) {
        check_message(&v4::Reply { code: v4::ReplyCode(code), port, address }, &mut vec![], v4::Reply::parse);
    }

    #[test]
    fn any_udp_header(fragment: u8, to in address(), port: u16, data in vec(any::<u8>(), 0..50)) {
        let header = udp::Header { fragment: udp::Fragment(fragment), address: borrowed(&to), port };
        let mut wire = vec![0; udp::Header::MAX_LENGTH];
        let length = header.encode(&mut wire).unwrap();
        wire.truncate(length);
        for cut in 0..length {
            prop_assert_eq!(udp::Header::split(&wire[..cut]), Err(Error::Truncated));
        }
        wire.extend_from_slice(&data);
        prop_assert_eq!(udp::Header::split(&wire), Ok((header, &data[..])));
    }

    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _ = v5::Greeting::parse(&bytes);
        let _ = v5::MethodSelection::parse(&bytes);
        let _ = v5::Request::parse(&bytes);
        let _ = v5::Reply::parse(&bytes);
        let _ = Credentials::parse(&bytes);
        let _ = Status::parse(&bytes);
        let _ = v4::Request::parse(&bytes);
        let _ = v4::Reply::parse(&bytes);
        let _ = udp::Header::split(&bytes);
    }
}

fn encoded(message: &impl Encode) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; socks_wire::LONG_BUFFER_BYTES];
    let length = message.encode(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

#[test]
fn max_length_is_the_length_of_the_longest_message() {
    let (long, port, command) = ([b'x'; 255], 80, Command::CONNECT);
    let address = Address::Domain(&long);
    let user_id = &long[..];
    let host = Some(&[b'x'; v4::MAX_HOST_BYTES][..]);
    let request4 = v4::Request { command, port, address: Ipv4Addr::new(0, 0, 0, 1), user_id, host };
    assert_eq!(encoded(&request4).unwrap().len(), v4::Request::MAX_LENGTH);
    assert_eq!(encoded(&v5::Request { command, address, port }).unwrap().len(), v5::Request::MAX_LENGTH);
    let reply = v5::Reply { code: v5::ReplyCode::SUCCEEDED, address, port };
    assert_eq!(encoded(&reply).unwrap().len(), v5::Reply::MAX_LENGTH);
    assert_eq!(encoded(&v5::Greeting { methods: &long }).unwrap().len(), v5::Greeting::MAX_LENGTH);
    let credentials = Credentials { username: &long, password: &long };
    assert_eq!(encoded(&credentials).unwrap().len(), Credentials::MAX_LENGTH);
    let header = udp::Header { fragment: udp::Fragment::STANDALONE, address, port };
    assert_eq!(encoded(&header).unwrap().len(), udp::Header::MAX_LENGTH);
}

#[test]
fn messages_that_cannot_be_encoded_are_errors() {
    let long = [b'x'; 256];
    let (command, port, user_id, address) = (Command::CONNECT, 80, &[][..], Ipv4Addr::LOCALHOST);
    let request5 = |address| encoded(&v5::Request { command, address, port });
    assert_eq!(request5(Address::Domain(b"")), Err(EncodeError::Empty));
    assert_eq!(request5(Address::Domain(&long)), Err(EncodeError::FieldTooLong));
    assert_eq!(encoded(&v5::Greeting { methods: &[] }), Err(EncodeError::Empty));
    assert_eq!(encoded(&v5::Greeting { methods: &long }), Err(EncodeError::FieldTooLong));
    assert_eq!(encoded(&Credentials { username: b"", password: &long }), Err(EncodeError::FieldTooLong));
    let request4 = |user_id, host| encoded(&v4::Request { command, port, address, user_id, host });
    assert_eq!(request4(b"a\0b", None), Err(EncodeError::Nul));
    assert_eq!(request4(&long, None), Err(EncodeError::FieldTooLong));
    assert_eq!(request4(b"", Some(&[b'x'; v4::MAX_HOST_BYTES + 1])), Err(EncodeError::FieldTooLong));
    assert_eq!(request4(b"", Some(b"")), Err(EncodeError::Empty));
    assert_eq!(request4(b"", Some(b"a\0")), Err(EncodeError::Nul));
    let mark = v4::Request { command, port, address: Ipv4Addr::new(0, 0, 0, 7), user_id, host: None };
    assert_eq!(encoded(&mark), Err(EncodeError::Empty));
}

#[test]
fn credentials_request_isolation_by_the_rules_of_tor() {
    let isolation = |username| Credentials { username, password: b"p" }.isolation();
    assert!(matches!(isolation(b"user"), Isolation::Legacy(_)));
    assert!(matches!(isolation(b"<torS0X>0"), Isolation::Tor(_)));
    for other in [&b"<torS0X>"[..], b"<torS0X>1", b"<torS0X>1abc", b"<torS0X>0x", b"<torS0X>2"] {
        assert_eq!(isolation(other), Isolation::Unsupported);
    }
}

#[cfg(feature = "bytes")]
#[test]
fn messages_are_appended_to_any_buffer() {
    let selection = v5::MethodSelection { method: v5::Method::NONE };
    let mut growing = bytes::BytesMut::new();
    selection.put(&mut growing).unwrap();
    selection.put(&mut growing).unwrap();
    assert_eq!(growing[..], [5, 0, 5, 0]);
    let mut fixed = &mut [0; 1][..];
    assert_eq!(selection.put(&mut fixed), Err(EncodeError::BufferTooSmall { needed: 2 }));
}

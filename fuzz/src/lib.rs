//! Fuzz targets: properties that hold for any bytes from a client, a router or a file. README.md says how to run them.

#![forbid(unsafe_code)]

mod contained;
mod dns;
mod filters;
mod program;

pub use i2p_embedded::fuzzing::{reseed_archive, reseed_file, router_info};
pub use i2p_tunnel::fuzzing::{
    address_helper, http_head as http_connect_head, http_requests, outproxy_datagram, outproxy_http_answer,
};

pub use self::{
    contained::{contained_flows, contained_packet},
    dns::dns_query,
    filters::{
        filter_ftp, filter_http, filter_imap, filter_irc, filter_pop3, filter_sip, filter_smtp, filter_xmpp,
        leak_guard, tracker_announce,
    },
    program::{feed_url, jump_answer},
};
use i2p_address_book::feed::{self, Lines};
use i2p_name::{BlindedName, Destination, I2pName, ServiceRecord, Target};
use i2p_sam::wire::{
    AcceptedFrom, DatagramStyle, Dialect, Line, Malformed, PrivateKey, Received, Reply, Sender, SenderText,
};
use idna::{
    AsciiDenyList,
    uts46::{Hyphens, Uts46},
};
use socks_wire::{
    Address, ClientHandshake, ClientRequest, ClientStep, Command, Encode, Error, Parsed, Protocol,
    Reassembled, Reassembly, ServerHandshake, Step, auth, udp, v4, v5,
};

/// A fuzz target: its name and its function.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets, by the names of their corpus directories.
pub const TARGETS: [FuzzTarget; 37] = [
    ("socks_handshake", socks_handshake),
    ("socks_client", socks_client),
    ("socks_messages", socks_messages),
    ("socks_udp", socks_udp),
    ("sam_reply", sam_reply),
    ("sam_datagram", sam_datagram),
    ("target_name", target_name),
    ("canonical_name", canonical_name),
    ("blinded_name", blinded_name),
    ("destination", destination),
    ("address_book_feed", address_book_feed),
    ("http_connect_head", http_connect_head),
    ("http_requests", http_requests),
    ("address_helper", address_helper),
    ("http_fields", http_fields),
    ("dns_query", dns_query),
    ("outproxy_http_answer", outproxy_http_answer),
    ("outproxy_datagram", outproxy_datagram),
    ("jump_answer", jump_answer),
    ("feed_url", feed_url),
    ("service_record", service_record),
    ("private_key", private_key),
    ("reseed_file", reseed_file),
    ("reseed_archive", reseed_archive),
    ("router_info", router_info),
    ("contained_packet", contained_packet),
    ("contained_flows", contained_flows),
    ("filter_irc", filter_irc),
    ("filter_smtp", filter_smtp),
    ("filter_pop3", filter_pop3),
    ("filter_imap", filter_imap),
    ("filter_xmpp", filter_xmpp),
    ("filter_sip", filter_sip),
    ("filter_ftp", filter_ftp),
    ("filter_http", filter_http),
    ("tracker_announce", tracker_announce),
    ("leak_guard", leak_guard),
];

/// A header field, name and value in lines of their own: whatever the rules make of it, the site learns no host but its own, and a
/// second pass changes nothing more.
///
/// # Panics
/// If the property does not hold.
pub fn http_fields(input: &[u8]) {
    use stream_filters::http::{Request, Verdict, Via, answer_field};
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return };
    let (name, value) = input.split_at(end);
    let Ok(name) = std::str::from_utf8(name) else { return };
    let value = value.get(1..).unwrap_or_default();
    let _ = answer_field(name);
    for via in [Via::I2p, Via::Outproxy] {
        let request = Request { via, authority: "site.i2p" };
        if let Verdict::Replace(given) = request.field(name, value) {
            let again = request.field(name, given);
            let is_path = name.eq_ignore_ascii_case("referer") && given.starts_with(b"/");
            assert!(is_path || matches!(again, Verdict::Replace(same) if same == given), "{name}: {again:?}");
        }
    }
}

/// The bytes of a client: the handshake ends, and it ends in the same way if the bytes arrive at once or one by one.
///
/// # Panics
/// If the property does not hold.
pub fn socks_handshake(input: &[u8]) {
    assert_eq!(
        end_of_handshake(input, usize::MAX),
        end_of_handshake(input, 1),
        "the result depends on the pieces"
    );
}

/// Runs a handshake. Returns how it ended, the bytes sent, and the number of bytes used.
fn end_of_handshake(input: &[u8], piece: usize) -> (String, Vec<u8>, usize) {
    let mut handshake = ServerHandshake::new();
    let (mut given, mut taken_so_far, mut sent) = (0_usize, 0, Vec::new());
    loop {
        let waiting = input.get(taken_so_far..given).unwrap_or_default();
        match handshake.step(waiting) {
            Step::Receive { at_least } => {
                assert!(at_least > 0, "asked for no bytes");
                if given == input.len() {
                    return ("incomplete".to_owned(), sent, taken_so_far);
                }
                given = given.saturating_add(piece).min(input.len());
            }
            Step::Send { taken, bytes } => {
                assert!(taken <= waiting.len(), "used more than there is");
                taken_so_far += taken;
                sent.extend_from_slice(&bytes);
            }
            Step::Authenticate { taken, .. } => {
                assert!(taken <= waiting.len(), "used more than there is");
                taken_so_far += taken;
                sent.extend_from_slice(&handshake.accept_credentials());
            }
            Step::Request { taken, request } => {
                assert!(taken <= waiting.len(), "used more than there is");
                return (format!("{request:?} {}", request.port), sent, taken_so_far + taken);
            }
            Step::Refuse { bytes, error } => {
                assert!(!bytes.is_empty(), "a refusal without an answer");
                sent.extend_from_slice(&bytes);
                return (format!("{error:?}"), sent, taken_so_far);
            }
            Step::NotSocks(what) => return (format!("{what:?}"), sent, taken_so_far),
            Step::Over => return ("over".to_owned(), sent, taken_so_far),
        }
    }
}

/// The bytes of a server: the client's handshake ends, and uses no more bytes than there are.
///
/// # Panics
/// If the property does not hold.
pub fn socks_client(input: &[u8]) {
    let credentials = auth::Credentials { username: b"user", password: b"password" };
    for (protocol, command) in [
        (Protocol::Socks5, Command::CONNECT),
        (Protocol::Socks5, Command::BIND),
        (Protocol::Socks4a, Command::CONNECT),
    ] {
        let mut client = ClientHandshake::new(ClientRequest {
            protocol,
            command,
            address: Address::Domain(b"example.i2p"),
            port: 80,
            credentials: Some(credentials),
        });
        let (mut rest, mut output) = (input, [0; ClientHandshake::MAX_SEND]);
        while let Ok(step) = client.step(rest, &mut output) {
            let taken = match step {
                ClientStep::Send { taken, .. }
                | ClientStep::Listening { taken, .. }
                | ClientStep::Established { taken, .. } => taken,
                ClientStep::Receive { .. } | ClientStep::Over => break,
            };
            assert!(taken <= rest.len(), "used more than there is");
            rest = rest.get(taken..).unwrap_or_default();
        }
    }
}

/// Each message alone: a message that was parsed is encoded to the same bytes, unless it has two spellings.
///
/// # Panics
/// If the property does not hold.
pub fn socks_messages(input: &[u8]) {
    check_round_trip(input, v5::Greeting::parse);
    check_round_trip(input, v5::MethodSelection::parse);
    check_round_trip(input, v5::Request::parse);
    check_round_trip(input, v5::Reply::parse);
    check_round_trip(input, auth::Credentials::parse);
    check_round_trip(input, auth::Status::parse);
    check_round_trip(input, v4::Reply::parse);
    check_round_trip(input, v4::Request::parse);
}

fn check_round_trip<'a, M: Encode>(input: &'a [u8], parse: impl Fn(&'a [u8]) -> Result<Parsed<M>, Error>) {
    let Ok(Parsed::Message { message, length }) = parse(input) else { return };
    let mut bytes = [0; socks_wire::LONG_BUFFER_BYTES];
    // A greeting without methods is the only message that is parsed but cannot be encoded.
    let Ok(written) = message.encode(&mut bytes) else { return };
    assert_eq!(written, length, "the length differs");
    assert!(written <= M::MAX_LENGTH, "longer than MAX_LENGTH");
    // In SOCKS4 the version of a reply may be 4 instead of 0, and the mark of 4a any of 0.0.0.1 to 0.0.0.255.
    let same = bytes.iter().zip(input).take(length).filter(|(a, b)| a == b).count();
    assert!(same + 1 >= length, "the bytes differ");
}

/// Datagrams from a client, separated by a length byte each: what is reassembled is bounded.
///
/// # Panics
/// If the property does not hold.
pub fn socks_udp(input: &[u8]) {
    const MAX_DATA_BYTES: usize = 100;
    let mut queue = Reassembly::new(Reassembly::MIN_TIMEOUT, MAX_DATA_BYTES);
    let mut rest = input;
    while let [length, tail @ ..] = rest {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        match queue.push(std::time::Duration::ZERO, datagram) {
            Ok(Reassembled::Complete(whole)) => {
                let split = udp::Header::split(&whole);
                let stands_alone = |header: udp::Header<'_>| header.fragment == udp::Fragment::STANDALONE;
                assert!(
                    split.is_ok_and(|(header, data)| stands_alone(header) && data.len() <= MAX_DATA_BYTES)
                );
            }
            Ok(Reassembled::Standalone(whole)) => assert_eq!(whole, datagram),
            _ => {}
        }
    }
}

/// A line from a router: it is parsed or refused as a whole, so that its parts cannot be malformed later.
///
/// # Panics
/// If the property does not hold.
pub fn sam_reply(input: &[u8]) {
    if let Ok(line) = Line::parse(input) {
        assert!(line.pairs().all(|pair| pair.is_ok()), "a pair of a parsed line is malformed");
        for (key, value) in line.pairs().filter_map(Result::ok) {
            assert!(!key.is_empty(), "a pair has no key");
            assert!(key.len() + value.len() <= input.len(), "a pair is longer than the line");
            assert!(line.value(key).is_some(), "a key of the line is not found");
        }
    }
    match Reply::parse(input) {
        Ok(Reply::Naming { options, .. }) => assert!(options.iter().count() <= input.len()),
        Ok(Reply::Ping(text) | Reply::Pong(text)) => {
            assert!(text.len() < input.len(), "the text is longer than the line");
        }
        Ok(_) | Err(Malformed) => {}
    }
    if let Ok(AcceptedFrom { destination, .. }) = AcceptedFrom::parse(input) {
        assert!(input.starts_with(destination.as_bytes()), "the peer is not the start of the line");
        assert!(!destination.contains(['\n', ' ']), "the peer is more than a word");
    }
}

/// A packet from a router in each style and dialect: the payload is the end of the packet, and the sender is of the kind that
/// the style has.
///
/// # Panics
/// If the property does not hold.
pub fn sam_datagram(input: &[u8]) {
    let styles = [
        DatagramStyle::Datagram,
        DatagramStyle::Datagram2,
        DatagramStyle::Datagram3,
        DatagramStyle::Raw { protocol: None },
    ];
    for style in styles {
        for dialect in [Dialect::Standard, Dialect::I2pd, Dialect::Emissary] {
            let Ok(received) = Received::parse(style, dialect, input) else { continue };
            assert!(input.ends_with(received.payload), "the payload is not the end of the packet");
            let is_raw = matches!(style, DatagramStyle::Raw { .. });
            assert_eq!(is_raw, received.sender == SenderText::Unknown, "{style:?}");
            let kind = match received.sender.decode() {
                // Base64 of the right length, but not a destination.
                Err(Malformed) => true,
                // With padding or without.
                Ok(Sender::Destination(sender)) => match received.sender {
                    SenderText::Destination(text) => {
                        sender.to_base64().trim_end_matches('=') == text.trim_end_matches('=')
                    }
                    _ => false,
                },
                Ok(Sender::Hash(_)) => style == DatagramStyle::Datagram3,
                Ok(Sender::Unknown) => is_raw,
            };
            assert!(kind, "the sender is of the wrong kind: {:?} of {style:?}", received.sender);
        }
    }
}

/// A host from a client: the canonical form of an I2P name fits into a SAM line, and is parsed to the same name. A host outside
/// I2P is not displayed with `i2p` at its end.
///
/// # Panics
/// If the property does not hold.
pub fn target_name(input: &[u8]) {
    let parsed = Target::parse(input);
    if let Ok(Target::ClearNet(host)) = &parsed {
        let (shown, _) =
            Uts46::new().to_unicode(host.as_str().as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        let visible = |label: &str| label.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let last = shown.rsplit('.').map(visible).find(|label| !label.is_empty());
        assert_ne!(last.unwrap_or_default().to_lowercase(), "i2p", "{shown:?}");
    }
    if let Ok(Target::I2p(name)) = parsed {
        let text = name.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.~=".contains(&byte)), "{text:?}");
        // Routers read every name that contains this as a base32 address.
        assert!(!matches!(name, I2pName::Host(_)) || !text.contains(".b32.i2p"), "{text:?}");
        assert_eq!(Target::parse(text.as_bytes()), Ok(Target::I2p(name)), "not canonical");
    }
}

/// A host in several spellings: all give the same target or an error, and the canonical form gives the same target.
///
/// # Panics
/// If the property does not hold.
pub fn canonical_name(input: &[u8]) {
    let parsed = Target::parse(input);
    if let Ok(target) = &parsed {
        let text = match target {
            Target::I2p(name) => name.to_string(),
            Target::ClearNet(host) => host.as_str().to_owned(),
            Target::Ip(address) => address.to_string(),
            _ => return,
        };
        assert_eq!(Target::parse(text.as_bytes()).as_ref(), Ok(target), "{text:?}");
        let last = text.rsplit('.').next().unwrap_or_default();
        let number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        assert!(!matches!(target, Target::ClearNet(_)) || (last != "i2p" && !number), "{text:?}");
    }
    // Upper case and a dot change base64, and a second dot is an error.
    if input.len() > 200
        || input.is_empty()
        || input.ends_with(b".")
        || input.ends_with("\u{3002}".as_bytes())
    {
        return;
    }
    let upper = input.to_ascii_uppercase();
    assert_eq!(Target::parse(&upper).ok(), parsed.clone().ok(), "upper case");
    let dotted = Target::parse(&[input, b"."].concat()).ok();
    assert!(dotted.is_none() || dotted == parsed.ok(), "a dot at the end");
}

/// The address of an encrypted lease set, as text and made from a key: it is printed as it was parsed, and a typing error gives
/// an error or another address.
///
/// # Panics
/// If the property does not hold.
pub fn blinded_name(input: &[u8]) {
    if let Some(name) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<BlindedName>().ok()) {
        let label = input.get(..name.label().len()).unwrap_or_default();
        assert_eq!(name.label().as_bytes(), label.to_ascii_lowercase());
    }
    let Some((&[settings, at], key)) = input.split_first_chunk::<2>() else { return };
    let Some(key) = key.first_chunk::<32>() else { return };
    let signature_type = if settings & 1 == 0 { 7 } else { 11 };
    let bytes = [&[0; 352][..], key, &[5, 0, 4, 0, signature_type, 0, 4]].concat();
    let name = Destination::from_bytes(bytes).ok().and_then(|destination| BlindedName::of(&destination));
    assert!(name.is_some(), "a key that can be blinded has no address");
    let Some(name) = name else { return };
    let name = name.with_secret(settings & 2 != 0).with_client_key(settings & 4 != 0);
    assert_eq!(name.to_string().parse(), Ok(name));
    // A typing error gives an error or, within flags and types, an address with other flags or types.
    let mut typed = name.label().into_bytes();
    let place = usize::from(at) % typed.len();
    if let Some(byte) = typed.get_mut(place) {
        *byte = if *byte == b'a' { b'b' } else { b'a' };
    }
    let typed = String::from_utf8_lossy(&typed).parse::<BlindedName>();
    assert!(typed.is_err() || (place < 5 && typed != Ok(name)), "a typing error at {place} was not detected");
}

/// A destination in binary form and as text: it is encoded as it was decoded, and its key has the length that its type requires.
///
/// # Panics
/// If the property does not hold.
pub fn destination(input: &[u8]) {
    if let Ok(destination) = Destination::from_bytes(input.to_vec()) {
        assert_eq!(destination.as_bytes(), input);
        assert_eq!(destination.to_base64().parse().as_ref(), Ok(&destination));
        let key = destination.signing_public_key();
        assert_eq!(key.map(|key| key.len()), destination.signature_type().public_key_length());
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(destination) = text.parse::<Destination>() {
        assert_eq!(destination.to_base64().trim_end_matches('='), text.trim_end_matches('='));
    }
    if let Ok(destination) = Destination::from_private_key(text) {
        let whole = i2p_name::base64::decode(text);
        assert!(whole.is_ok_and(|bytes| bytes.starts_with(destination.as_bytes())));
    }
}

/// A feed: every line is counted, none exceeds the maximum length, a parsed line is printed and parsed to the same again, and its
/// signatures are verified without a panic.
///
/// # Panics
/// If the property does not hold.
pub fn address_book_feed(input: &[u8]) {
    let ends = input.iter().filter(|&&byte| byte == b'\n').count();
    let mut lines = Lines::new(input);
    for line in lines.by_ref() {
        assert!(line.is_ok(), "reading from memory failed");
        let Ok(Ok(line)) = line else { continue };
        let text = line.to_string();
        assert!(text.len() <= feed::MAX_LINE_BYTES && !text.chars().any(char::is_control), "{text:?}");
        assert_eq!(
            feed::parse_line(text.as_bytes()),
            Ok(Some(line.clone())),
            "the printed line is parsed to something else"
        );
        if let feed::Line::Command(command) = line {
            // The tests of the crate check the result.
            let _ = command.verify();
        }
    }
    assert!(lines.number() <= ends as u64 + 1, "more lines counted than there are");
}

/// The service records of a lease set's option: each is one of the records that commas separate, and its text can stand between
/// blanks and commas.
///
/// # Panics
/// If the property does not hold.
pub fn service_record(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(records) = ServiceRecord::parse_all(text) else { return };
    assert_eq!(records.len(), text.split(',').count());
    for record in &records {
        let app = record.app.as_deref().map(|app| format!(" {app}")).unwrap_or_default();
        let ServiceRecord { ttl, port, .. } = record;
        let printed = match &record.at {
            None => format!("0 {ttl} {port}{app}"),
            Some(at) => format!("1 {ttl} {} {} {port} {}{app}", at.priority, at.weight, at.name),
        };
        // A destination in place of a short name can make it longer than an option may be.
        if printed.len() <= 255 {
            assert_eq!(
                ServiceRecord::parse_all(&printed).as_deref(),
                Ok(std::slice::from_ref(record)),
                "{printed}"
            );
        }
    }
}

/// A key file, and the keys that a router sends: both forms are kept unchanged, and begin with the destination.
///
/// # Panics
/// If the property does not hold.
pub fn private_key(input: &[u8]) {
    let of_file = PrivateKey::from_bytes(input).ok();
    let of_text = std::str::from_utf8(input).ok().and_then(|text| text.parse::<PrivateKey>().ok());
    if let Some(key) = &of_file {
        assert_eq!(key.to_bytes().as_slice(), input, "the bytes have changed");
    }
    for key in [of_file, of_text].into_iter().flatten() {
        assert!(key.to_bytes().starts_with(key.destination().as_bytes()), "another destination");
        assert!(!key.as_str().contains(char::is_whitespace), "it can break out of a SAM line");
        assert_eq!(key.as_str().parse().as_ref(), Ok(&key));
        assert!(!format!("{key:?}").contains(key.as_str()), "shown");
    }
}

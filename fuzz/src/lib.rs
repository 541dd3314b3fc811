//! What must hold for any bytes from a client, a router or a file. See README.md for how to fuzz with these.

#![forbid(unsafe_code)]

use i2p_address_book::feed::{self, Lines};
use i2p_name::{BlindedName, Destination, I2pName, Target};
use i2p_sam::wire::{
    AcceptedFrom, DatagramStyle, Dialect, Line, Malformed, Received, Reply, Sender, SenderText,
};
use socks_wire::{
    Address, ClientHandshake, ClientRequest, ClientStep, Command, Encode, Error, Parsed, Protocol,
    Reassembled, Reassembly, ServerHandshake, Step, auth, udp, v4, v5,
};

/// A fuzz target: its name, and what it does with an input.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets, by the names of their corpus directories.
pub const TARGETS: [FuzzTarget; 11] = [
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
];

/// A client's bytes: the handshake ends, in the same way whether they come at once or one by one.
///
/// # Panics
/// When it does not.
pub fn socks_handshake(input: &[u8]) {
    assert_eq!(end_of_handshake(input, usize::MAX), end_of_handshake(input, 1), "pieces matter");
}

/// How a handshake ended, what was sent, and how many bytes were taken.
fn end_of_handshake(input: &[u8], piece: usize) -> (String, Vec<u8>, usize) {
    let mut handshake = ServerHandshake::new();
    let (mut given, mut taken_so_far, mut sent) = (0_usize, 0, Vec::new());
    loop {
        let waiting = input.get(taken_so_far..given).unwrap_or_default();
        match handshake.step(waiting) {
            Step::Receive { at_least } => {
                assert!(at_least > 0, "asked for nothing");
                if given == input.len() {
                    return ("starved".to_owned(), sent, taken_so_far);
                }
                given = given.saturating_add(piece).min(input.len());
            }
            Step::Send { taken, bytes } => {
                assert!(taken <= waiting.len(), "took more than there is");
                taken_so_far += taken;
                sent.extend_from_slice(&bytes);
            }
            Step::Authenticate { taken, .. } => {
                assert!(taken <= waiting.len(), "took more than there is");
                taken_so_far += taken;
                sent.extend_from_slice(&handshake.accept_credentials());
            }
            Step::Request { taken, request } => {
                assert!(taken <= waiting.len(), "took more than there is");
                return (format!("{request:?} {}", request.port), sent, taken_so_far + taken);
            }
            Step::Refuse { bytes, error } => {
                assert!(!bytes.is_empty(), "a refusal without a word");
                sent.extend_from_slice(&bytes);
                return (format!("{error:?}"), sent, taken_so_far);
            }
            Step::NotSocks(what) => return (format!("{what:?}"), sent, taken_so_far),
            Step::Over => return ("over".to_owned(), sent, taken_so_far),
        }
    }
}

/// A server's bytes: the client's handshake ends, and takes no more than there is.
///
/// # Panics
/// When it does not.
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
            assert!(taken <= rest.len(), "took more than there is");
            rest = rest.get(taken..).unwrap_or_default();
        }
    }
}

/// Each message alone: what was understood is written again as it was, but for what has two spellings.
///
/// # Panics
/// When it is not.
pub fn socks_messages(input: &[u8]) {
    rewritten(input, v5::Greeting::parse);
    rewritten(input, v5::MethodSelection::parse);
    rewritten(input, v5::Request::parse);
    rewritten(input, v5::Reply::parse);
    rewritten(input, auth::Credentials::parse);
    rewritten(input, auth::Status::parse);
    rewritten(input, v4::Reply::parse);
    rewritten(input, v4::Request::parse);
}

fn rewritten<'a, M: Encode>(input: &'a [u8], parse: impl Fn(&'a [u8]) -> Result<Parsed<M>, Error>) {
    let Ok(Parsed::Message { message, length }) = parse(input) else { return };
    let mut bytes = [0; socks_wire::LONG_BUFFER_BYTES];
    // A greeting without methods is the one thing that is understood and never written.
    let Ok(written) = message.encode(&mut bytes) else { return };
    assert_eq!(written, length, "another length");
    assert!(written <= M::MAX_LENGTH, "longer than the maximum");
    // SOCKS4: the version of a reply may be 4 for 0, and the mark of 4a any of 0.0.0.1 to 0.0.0.255.
    let same = bytes.iter().zip(input).take(length).filter(|(a, b)| a == b).count();
    assert!(same + 1 >= length, "other bytes");
}

/// Datagrams from a client, cut by a length byte each: bounded, whatever comes.
///
/// # Panics
/// When it is not.
pub fn socks_udp(input: &[u8]) {
    const LIMIT: usize = 100;
    let mut queue = Reassembly::new(Reassembly::MIN_TIMEOUT, LIMIT);
    let mut rest = input;
    while let [length, tail @ ..] = rest {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        match queue.push(std::time::Duration::ZERO, datagram) {
            Ok(Reassembled::Complete(whole)) => {
                let split = udp::Header::split(&whole);
                let stands_alone = |header: udp::Header<'_>| header.fragment == udp::Fragment::STANDALONE;
                assert!(split.is_ok_and(|(header, data)| stands_alone(header) && data.len() <= LIMIT));
            }
            Ok(Reassembled::Standalone(whole)) => assert_eq!(whole, datagram),
            _ => {}
        }
    }
}

/// A line from a router: understood or refused as a whole, so that nothing is left to go wrong when it is used.
///
/// # Panics
/// When a part of what was understood cannot be read.
pub fn sam_reply(input: &[u8]) {
    if let Ok(line) = Line::parse(input) {
        assert!(line.pairs().all(|pair| pair.is_ok()), "pairs were read once, and now are none");
        for (key, value) in line.pairs().filter_map(Result::ok) {
            assert!(!key.is_empty(), "a pair without a key");
            assert!(key.len() + value.len() <= input.len(), "more than there is");
            assert!(line.value(key).is_some(), "a key that is there and not found");
        }
    }
    match Reply::parse(input) {
        Ok(Reply::Naming { options, .. }) => assert!(options.iter().count() <= input.len()),
        Ok(Reply::Ping(text) | Reply::Pong(text)) => assert!(text.len() < input.len(), "more than there is"),
        Ok(_) | Err(Malformed) => {}
    }
    if let Ok(AcceptedFrom { destination, .. }) = AcceptedFrom::parse(input) {
        assert!(input.starts_with(destination.as_bytes()), "a peer that is not said");
        assert!(!destination.contains(['\n', ' ']), "more than a word");
    }
}

/// A packet from a router, as each style and dialect has it: the payload is what is left of it, and the sender is of the
/// kind that the style has.
///
/// # Panics
/// When it is not.
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
            assert!(input.ends_with(received.payload), "a payload that did not come");
            let is_raw = matches!(style, DatagramStyle::Raw { .. });
            assert_eq!(is_raw, received.sender == SenderText::Unknown, "{style:?}");
            let kind = match received.sender.decode() {
                // Base64 of the right length, and no more than that.
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
            assert!(kind, "another sender: {:?} of {style:?}", received.sender);
        }
    }
}

/// A host from a client: what is understood as I2P fits into a SAM line and is its own canonical form.
///
/// # Panics
/// When it does not.
pub fn target_name(input: &[u8]) {
    if let Ok(Target::I2p(name)) = Target::parse(input) {
        let text = name.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.~=".contains(&byte)), "{text:?}");
        // Routers take whatever holds this for an address by hash.
        assert!(!matches!(name, I2pName::Host(_)) || !text.contains(".b32.i2p"), "{text:?}");
        assert_eq!(Target::parse(text.as_bytes()), Ok(Target::I2p(name)), "not canonical");
    }
}

/// A host in more spellings than one: what it comes to is the same in each, or nothing in each, and comes to itself.
///
/// # Panics
/// When it does not.
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
    // Base64 is what upper case and a dot do change; a second dot is one too many.
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

/// The address of an encrypted lease set, as text, and made of a key: what is understood is written as it was read, and
/// no other key has the same address.
///
/// # Panics
/// When it does not hold.
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
    assert!(name.is_some(), "a key that can be blinded was not");
    let Some(name) = name else { return };
    let name = name.with_secret(settings & 2 != 0).with_client_key(settings & 4 != 0);
    assert_eq!(name.to_string().parse(), Ok(name));
    // A typing error comes out as an error, or, in the flags and types, as what it says.
    let mut typed = name.label().into_bytes();
    let place = usize::from(at) % typed.len();
    if let Some(byte) = typed.get_mut(place) {
        *byte = if *byte == b'a' { b'b' } else { b'a' };
    }
    let typed = String::from_utf8_lossy(&typed).parse::<BlindedName>();
    assert!(typed.is_err() || (place < 5 && typed != Ok(name)), "an error at {place} was not seen");
}

/// A destination in binary and as text: written as it was read, with the keys that its types ask for.
///
/// # Panics
/// When it is not.
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

/// A feed: every line is counted, none holds more than it may, what was understood is printed and understood again,
/// and its signatures hold or not without panic.
///
/// # Panics
/// When it is not so.
pub fn address_book_feed(input: &[u8]) {
    let ends = input.iter().filter(|&&byte| byte == b'\n').count();
    let mut lines = Lines::new(input);
    for line in lines.by_ref() {
        assert!(line.is_ok(), "memory can be read");
        let Ok(Ok(line)) = line else { continue };
        let text = line.to_string();
        assert!(text.len() <= feed::MAX_LINE_BYTES && !text.chars().any(char::is_control), "{text:?}");
        assert_eq!(feed::parse_line(text.as_bytes()), Ok(Some(line.clone())), "printed otherwise");
        if let feed::Line::Command(command) = line {
            // Whether they hold is judged by the tests of their crate.
            let _ = command.verify();
        }
    }
    assert!(lines.number() <= ends as u64 + 1, "more lines than there are");
}

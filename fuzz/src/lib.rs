//! What must hold for any bytes from a client, a router or a file. See README.md for how to fuzz with these.

#![forbid(unsafe_code)]

use i2p_address_book::feed::{self, Line, Lines};
use i2p_name::{I2pName, Target};
use i2p_sam::wire::{AcceptedFrom, Reply};
use socks_wire::{
    Address, ClientHandshake, ClientRequest, ClientStep, Command, Encode, Error, Parsed, Protocol,
    Reassembled, Reassembly, ServerHandshake, Step, auth, udp, v4, v5,
};

/// A fuzz target: its name, and what it does with an input.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets, by the names of their corpus directories.
pub const TARGETS: [FuzzTarget; 7] = [
    ("socks_handshake", socks_handshake),
    ("socks_client", socks_client),
    ("socks_messages", socks_messages),
    ("socks_udp", socks_udp),
    ("sam_reply", sam_reply),
    ("target_name", target_name),
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
                sent.extend_from_slice(&handshake.judge(true));
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
    let mut bytes = [0; socks_wire::BUFFER];
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

/// A line from a router: understood or not, without panic.
pub fn sam_reply(input: &[u8]) {
    // What they come to is judged by the tests of their crate.
    let _ = Reply::parse(input);
    let _ = AcceptedFrom::parse(input);
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
        assert!(text.len() <= feed::MAX_LINE && !text.chars().any(char::is_control), "{text:?}");
        assert_eq!(feed::parse_line(text.as_bytes()), Ok(Some(line.clone())), "printed otherwise");
        if let Line::Command(command) = line {
            // Whether they hold is judged by the tests of their crate.
            let _ = command.verify();
        }
    }
    assert!(lines.number() <= ends as u64 + 1, "more lines than there are");
}

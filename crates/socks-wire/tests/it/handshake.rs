//! Complete handshakes, byte for byte as in the RFCs, with input split into any number of pieces. `rfc_vectors.rs` tests
//! single messages, `real_clients.rs` the recorded input of real clients.

use hex_literal::hex;
use proptest::prelude::*;
use socks_wire::{Address, Command, Error, NotSocks, Protocol, ServerHandshake, Step, v4, v5};

/// The end of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Request {
        protocol: Protocol,
        command: Command,
        host: String,
        port: u16,
        user_id: Vec<u8>,
        early: Vec<u8>,
    },
    Refused(Error),
    NotSocks(NotSocks),
    /// The input ended when at least this many more bytes were needed.
    Starved(usize),
}

/// Username and password, if the client sent them.
type Credentials = Option<(Vec<u8>, Vec<u8>)>;

/// Runs a handshake with input in pieces of the given sizes, repeated in a cycle. Returns its end, the bytes sent and the
/// client's credentials.
fn run(input: &[u8], pieces: &[usize]) -> (End, Vec<u8>, Credentials) {
    let mut handshake = ServerHandshake::new();
    let (mut given, mut start, mut sent, mut credentials) = (0, 0, Vec::new(), None);
    let mut pieces = pieces.iter().cycle();
    loop {
        match handshake.step(&input[start..given]) {
            Step::Receive { at_least } => {
                assert!(at_least > 0);
                let untaken = given - start;
                assert!(
                    untaken + at_least <= socks_wire::LONG_BUFFER_BYTES,
                    "{untaken} bytes and {at_least} more do not fit"
                );
                if given == input.len() {
                    return (End::Starved(at_least), sent, credentials);
                }
                given = input.len().min(given + pieces.next().unwrap());
            }
            Step::Send { taken, bytes } => {
                start += taken;
                sent.extend_from_slice(&bytes);
            }
            Step::Authenticate { taken, credentials: c } => {
                start += taken;
                credentials = Some((c.username.to_vec(), c.password.to_vec()));
                sent.extend_from_slice(&handshake.accept_credentials());
            }
            Step::Request { taken, request } => {
                let host = match request.address {
                    Address::Ip(address) => address.to_string(),
                    Address::Domain(name) => String::from_utf8_lossy(name).into_owned(),
                };
                let end = End::Request {
                    protocol: request.protocol,
                    command: request.command,
                    host,
                    port: request.port,
                    user_id: request.user_id.to_vec(),
                    early: input[start + taken..].to_vec(),
                };
                assert_eq!(handshake.step(&input[start + taken..]), Step::Over);
                return (end, sent, credentials);
            }
            Step::Refuse { bytes, error } => {
                assert!(!bytes.is_empty(), "a refusal sends an answer");
                sent.extend_from_slice(&bytes);
                assert_eq!(handshake.step(input), Step::Over);
                return (End::Refused(error), sent, credentials);
            }
            Step::NotSocks(what) => return (End::NotSocks(what), sent, credentials),
            Step::Over => panic!("over before its end"),
        }
    }
}

/// Runs a handshake with all input at once.
fn whole(input: &[u8]) -> (End, Vec<u8>) {
    let (end, sent, _) = run(input, &[usize::MAX >> 1]);
    (end, sent)
}

/// The end with a CONNECT request, without user id and early data.
fn request(protocol: Protocol, host: &str, port: u16) -> End {
    let command = Command::CONNECT;
    End::Request { protocol, command, host: host.into(), port, user_id: vec![], early: vec![] }
}

#[test]
fn a_socks5_request_by_name_is_parsed() {
    // Greeting: one method, no authentication. Request: CONNECT, domain of 5 bytes, port 80.
    let name = hex!("05 01 00  05 01 00 03 05 612e693270 0050");
    assert_eq!(whole(&name), (request(Protocol::Socks5, "a.i2p", 80), hex!("05 00").to_vec()));
}

#[test]
fn username_and_password_are_preferred_and_empty_ones_accepted() {
    // curl --proxy-user offers 00 and 02.
    let input = hex!("05 02 00 02  01 01 75 02 7071  05 01 00 03 05 612e693270 0050");
    let (end, sent, credentials) = run(&input, &[1000]);
    assert_eq!(end, request(Protocol::Socks5, "a.i2p", 80));
    assert_eq!(sent, hex!("05 02  01 00"));
    assert_eq!(credentials, Some((b"u".to_vec(), b"pq".to_vec())));
    let (end, _, credentials) = run(&hex!("05 01 02  01 00 00  05 01 00 03 05 612e693270 0050"), &[1000]);
    assert_eq!(end, request(Protocol::Socks5, "a.i2p", 80));
    assert_eq!(credentials, Some((vec![], vec![])));
}

#[test]
fn refused_credentials_end_the_handshake() {
    let mut handshake = ServerHandshake::new();
    assert!(matches!(handshake.step(&hex!("05 01 02")), Step::Send { .. }));
    assert!(matches!(handshake.step(&hex!("01 01 75 01 70")), Step::Authenticate { taken: 5, .. }));
    assert_eq!(*handshake.refuse_credentials(), hex!("01 01"));
    assert_eq!(handshake.step(&hex!("05 01 00 03 05 612e693270 0050")), Step::Over);
}

#[test]
fn credentials_that_the_caller_did_not_accept_are_refused() {
    let mut handshake = ServerHandshake::new();
    let _ = handshake.step(&hex!("05 01 02"));
    let _ = handshake.step(&hex!("01 01 75 01 70"));
    let Step::Refuse { bytes, error: Error::WrongCredentials } = handshake.step(b"") else { panic!() };
    assert_eq!(*bytes, hex!("01 01"));
    // Nor are credentials accepted that the client did not send.
    assert_eq!(*ServerHandshake::new().accept_credentials(), hex!("01 01"));
}

#[test]
fn socks4_and_4a_requests_are_parsed() {
    let v4 = hex!("04 01 0050 c6336407 00");
    assert_eq!(whole(&v4), (request(Protocol::Socks4, "198.51.100.7", 80), vec![]));
    let v4a = hex!("04 01 0050 00000001 6d65 00 612e693270 00 474554");
    let end = End::Request {
        protocol: Protocol::Socks4a,
        command: Command::CONNECT,
        host: "a.i2p".into(),
        port: 80,
        user_id: b"me".to_vec(),
        early: b"GET".to_vec(),
    };
    assert_eq!(whole(&v4a), (end, vec![]));
    // 0.0.0.0 is an address of SOCKS4, not the mark of SOCKS4a.
    assert_eq!(whole(&hex!("04 01 0050 00000000 00")).0, request(Protocol::Socks4, "0.0.0.0", 80));
}

#[test]
fn malformed_messages_are_refused_with_the_right_code() {
    let general = hex!("05 01 00 01 00000000 0000");
    let unsupported = hex!("05 08 00 01 00000000 0000");
    let rejected = hex!("00 5b 0000 00000000");
    let select = hex!("05 00");
    for (input, error, sent) in [
        (&hex!("05 00")[..], Error::NoAcceptableMethod, hex!("05 ff").to_vec()),
        (&hex!("05 01 01"), Error::NoAcceptableMethod, hex!("05 ff").to_vec()),
        (&hex!("05 01 02  05 01 70 01 70"), Error::Version(5), hex!("05 02 01 01").to_vec()),
        (&hex!("05 01 00  04 01 00 01 00000000 0000"), Error::Version(4), [&select[..], &general].concat()),
        (&hex!("05 01 00  05 01 01 01 00000000 0000"), Error::Reserved(1), [&select[..], &general].concat()),
        (
            &hex!("05 01 00  05 01 00 02 00000000 0000"),
            Error::AddressType(2),
            [&select[..], &unsupported].concat(),
        ),
        (&hex!("05 01 00  05 01 00 03 00 0000"), Error::EmptyHost, [&select[..], &general].concat()),
        (&hex!("04 01 0050 00000001 00 00"), Error::EmptyHost, rejected.to_vec()),
    ] {
        assert_eq!(whole(input), (End::Refused(error), sent), "{input:02x?}");
    }
}

#[test]
fn socks4_fields_that_are_too_long_are_refused_before_their_end() {
    let endless_user = [&hex!("04 01 0050 c6336407")[..], &[b'x'; 256]].concat();
    assert_eq!(whole(&endless_user).0, End::Refused(Error::FieldTooLong));
    let endless_host = [&hex!("04 01 0050 00000001 00")[..], &[b'x'; v4::MAX_HOST_BYTES + 1]].concat();
    assert_eq!(whole(&endless_host).0, End::Refused(Error::FieldTooLong));
    let longest = [&hex!("04 01 0050 00000001 00")[..], &[b'x'; v4::MAX_HOST_BYTES], &[0]].concat();
    assert_eq!(whole(&longest).0, request(Protocol::Socks4a, &"x".repeat(v4::MAX_HOST_BYTES), 80));
}

#[test]
fn other_protocols_are_recognised() {
    for (first, what) in [
        (b'G', NotSocks::Http),
        (b'c', NotSocks::Http),
        (b'\r', NotSocks::Http),
        (b'\n', NotSocks::Http),
        (b'1', NotSocks::Http),
        (b'~', NotSocks::Http),
        (0x16, NotSocks::Tls),
        (0, NotSocks::Other(0)),
        (b' ', NotSocks::Other(b' ')),
        (b'"', NotSocks::Other(b'"')),
        (b'\t', NotSocks::Other(b'\t')),
        (0xff, NotSocks::Other(0xff)),
    ] {
        assert_eq!(whole(&[first, 0, 0]), (End::NotSocks(what), vec![]));
    }
}

#[test]
fn replies_have_the_protocol_of_the_request() {
    let code = (v5::ReplyCode::CONNECTION_REFUSED, v4::ReplyCode::REJECTED);
    let Step::Request { request: v4_request, .. } =
        ServerHandshake::new().step(&hex!("04 01 0050 c6336407 00"))
    else {
        panic!()
    };
    assert_eq!(*v4_request.responder().granted(), hex!("00 5a 0000 00000000"));
    assert_eq!(*v4_request.responder().failed(code.0, code.1), hex!("00 5b 0000 00000000"));
}

/// Handshakes of every kind that end in a request, followed by early data.
fn valid() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let field = || proptest::collection::vec(1_u8..=255, 0..=255);
    let host = || proptest::collection::vec(1_u8..=255, 1..=255);
    let early = || proptest::collection::vec(any::<u8>(), 0..20);
    let v4 =
        (any::<u8>(), any::<u16>(), any::<u32>(), field(), host()).prop_map(|(cd, port, ip, user, host)| {
            let mut bytes = vec![4, cd];
            bytes.extend(port.to_be_bytes());
            bytes.extend(ip.to_be_bytes());
            bytes.extend(user);
            bytes.push(0);
            if (1..=255).contains(&ip) {
                bytes.extend(host);
                bytes.push(0);
            }
            bytes
        });
    let v4a = (any::<u16>(), 1_u8..=255, field(), host()).prop_map(|(port, x, user, host)| {
        let mut bytes = vec![4, 1];
        bytes.extend(port.to_be_bytes());
        bytes.extend([0, 0, 0, x]);
        bytes.extend(user);
        bytes.push(0);
        bytes.extend(host);
        bytes.push(0);
        bytes
    });
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(|a| [&[1][..], &a].concat()),
        any::<[u8; 16]>().prop_map(|a| [&[4][..], &a].concat()),
        proptest::collection::vec(any::<u8>(), 1..=255).prop_map(|name| [
            &[3, u8::try_from(name.len()).unwrap()][..],
            &name
        ]
        .concat()),
    ];
    let method = prop_oneof![
        Just(hex!("05 01 00").to_vec()),
        (field(), field()).prop_map(|(user, password)| {
            let mut bytes = hex!("05 03 01 00 02  01").to_vec();
            for field in [user, password] {
                bytes.push(u8::try_from(field.len()).unwrap());
                bytes.extend(field);
            }
            bytes
        }),
    ];
    let v5 = (method, any::<u8>(), address, any::<u16>()).prop_map(|(method, command, address, port)| {
        [&method, &[5, command, 0][..], &address, &port.to_be_bytes()].concat()
    });
    (prop_oneof![v4, v4a, v5], early()).prop_map(|(handshake, early)| {
        let length = handshake.len();
        ([handshake, early].concat(), length)
    })
}

proptest! {
    /// Every prefix of a handshake asks for more input, and never for more than is missing.
    #[test]
    fn prefixes_ask_for_more((input, length) in valid()) {
        for cut in 0..length {
            let (end, _) = whole(&input[..cut]);
            let End::Starved(at_least) = end else { panic!("{cut} of {length} bytes ended in {end:?}") };
            prop_assert!(at_least <= length - cut, "{} of {} bytes asked for {}", cut, length, at_least);
        }
    }

    /// How the input is split into pieces changes nothing.
    #[test]
    fn pieces_do_not_matter((input, _) in valid(), pieces in proptest::collection::vec(1_usize..50, 1..8)) {
        prop_assert_eq!(run(&input, &pieces), run(&input, &[usize::MAX >> 1]));
    }

    /// Any bytes in any pieces end the handshake without a panic.
    #[test]
    fn any_bytes_end_the_handshake(
        input in proptest::collection::vec(any::<u8>(), 0..700),
        version in prop_oneof![Just(4_u8), Just(5), any::<u8>()],
        piece in 1_usize..64,
    ) {
        let mut input = input;
        if let Some(first) = input.first_mut() {
            *first = version;
        }
        prop_assert_eq!(run(&input, &[piece]), run(&input, &[usize::MAX >> 1]));
    }

    /// Every message fits into the buffers whose sizes the crate names.
    #[test]
    fn the_named_buffer_sizes_are_enough(input in proptest::collection::vec(1_u8..=255, socks_wire::LONG_BUFFER_BYTES)) {
        for (version, room) in [(4, socks_wire::LONG_BUFFER_BYTES), (5, socks_wire::BUFFER_BYTES)] {
            let mut input = input[..room].to_vec();
            input[0] = version;
            // A full buffer contains a complete first message, and possibly a part of the next.
            let (end, sent) = whole(&input);
            prop_assert!(!matches!(end, End::Starved(_)) || !sent.is_empty(), "more input needed with a full buffer: {:?}", end);
        }
    }
}

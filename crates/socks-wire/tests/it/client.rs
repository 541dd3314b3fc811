//! The client's machine against the server's, in memory, with input split into any number of pieces.

use proptest::prelude::*;
use socks_wire::{
    Address, Authentication, BUFFER_BYTES, ClientError, ClientHandshake, ClientRequest, ClientStep, Command,
    Error, Protocol, ServerHandshake, Step, auth::Credentials, v4, v5,
};

const NAME: Address<'static> = Address::Domain(b"example.i2p");

fn request(protocol: Protocol, credentials: Option<Credentials<'_>>) -> ClientRequest<'_> {
    ClientRequest { protocol, command: Command::CONNECT, address: NAME, port: 80, credentials }
}

/// The behaviour of the server.
#[derive(Clone, Copy)]
struct Server<'a> {
    authentication: Authentication,
    password: &'a [u8],
    reply: v5::ReplyCode,
}

/// A server that accepts clients with and without credentials.
const OPEN: Server<'static> = Server {
    authentication: Authentication::Isolation,
    password: b"secret",
    reply: v5::ReplyCode::SUCCEEDED,
};

/// Runs both sides, `piece` bytes at a time. Returns the client's result, and the server's reason if it refused.
fn run(
    request: ClientRequest<'_>,
    server: Server<'_>,
    piece: usize,
) -> (Result<(), ClientError>, Option<Error>) {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let (mut given_server, mut given_client) = (0, 0);
    let mut client = ClientHandshake::new(request);
    let mut handshake = ServerHandshake::with_authentication(server.authentication);
    let (mut output, mut refused) = ([0; ClientHandshake::MAX_SEND], None);
    const { assert!(ClientHandshake::MAX_SEND <= BUFFER_BYTES) };
    for _ in 0..10_000 {
        match client.step(&to_client[..given_client], &mut output) {
            Ok(ClientStep::Send { taken, length }) => {
                to_client.drain(..taken);
                given_client -= taken;
                to_server.extend_from_slice(&output[..length]);
            }
            Ok(ClientStep::Receive { at_least }) => {
                assert!(at_least > 0);
                given_client = to_client.len().min(given_client + piece);
            }
            Ok(ClientStep::Established { taken, .. }) => {
                assert_eq!(taken, to_client.len(), "nothing follows the reply here");
                assert_eq!(client.step(&[], &mut output), Ok(ClientStep::Over));
                return (Ok(()), refused);
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(
                    client.step(&[5, 0], &mut output),
                    Ok(ClientStep::Over),
                    "no step follows an error"
                );
                return (Err(error), refused);
            }
        }
        match handshake.step(&to_server[..given_server]) {
            Step::Receive { .. } => given_server = to_server.len().min(given_server + piece),
            Step::Send { taken, bytes } => {
                to_server.drain(..taken);
                given_server -= taken;
                to_client.extend_from_slice(&bytes);
            }
            Step::Authenticate { taken, credentials } => {
                let status = match credentials.password == server.password {
                    true => handshake.accept_credentials(),
                    false => handshake.refuse_credentials(),
                };
                to_server.drain(..taken);
                given_server -= taken;
                to_client.extend_from_slice(&status);
            }
            Step::Request { taken, request: got } => {
                assert_eq!((got.protocol, got.address, got.port), (request.protocol, NAME, 80));
                let reply = match server.reply {
                    v5::ReplyCode::SUCCEEDED => got.responder().granted(),
                    code => got.responder().failed(code, v4::ReplyCode::REJECTED),
                };
                assert_eq!(taken, to_server.len());
                to_client.extend_from_slice(&reply);
            }
            Step::Refuse { bytes, error } => {
                refused = Some(error);
                to_client.extend_from_slice(&bytes);
            }
            Step::Over => {}
            Step::NotSocks(what) => panic!("{what:?}"),
        }
    }
    panic!("the handshake does not end");
}

const GOOD: Credentials<'static> = Credentials { username: b"me", password: b"secret" };
const BAD: Credentials<'static> = Credentials { username: b"me", password: b"wrong" };

proptest! {
    #[test]
    fn every_combination_ends_as_expected(piece in 1_usize..40) {
        use Authentication::{Isolation, IsolationLast, None as Nobody, Required};
        let refused = Err(ClientError::CredentialsRefused);
        let no_method = Err(ClientError::NoAcceptableMethod);
        for (authentication, credentials, expected) in [
            (Nobody, None, Ok(())),
            (Nobody, Some(BAD), Ok(())),
            (Isolation, None, Ok(())),
            (Isolation, Some(GOOD), Ok(())),
            (Isolation, Some(BAD), refused),
            (IsolationLast, Some(BAD), Ok(())),
            (Required, Some(GOOD), Ok(())),
            (Required, Some(BAD), refused),
            (Required, None, no_method),
        ] {
            let server = Server { authentication, ..OPEN };
            let (result, _) = run(request(Protocol::Socks5, credentials), server, piece);
            prop_assert_eq!(result, expected, "{:?} {:?}", authentication, credentials.is_some());
        }
        prop_assert_eq!(run(request(Protocol::Socks4a, None), OPEN, piece).0, Ok(()));
        prop_assert_eq!(run(request(Protocol::Socks4a, Some(GOOD)), OPEN, piece).0, Ok(()));
        let (result, error) = run(request(Protocol::Socks4a, None), Server { authentication: Required, ..OPEN }, piece);
        prop_assert_eq!(result, Err(ClientError::RefusedSocks4(v4::ReplyCode::WRONG_USER)));
        prop_assert_eq!(error, Some(Error::WrongCredentials));
        let unreachable = Server { reply: v5::ReplyCode::HOST_UNREACHABLE, ..OPEN };
        let (result, _) = run(request(Protocol::Socks5, None), unreachable, piece);
        prop_assert_eq!(result, Err(ClientError::Refused(v5::ReplyCode::HOST_UNREACHABLE)));
    }

    /// Whatever the server sends, the handshake ends or asks for more input.
    #[test]
    fn any_answer_is_handled_without_panic(answer in proptest::collection::vec(any::<u8>(), 0..300)) {
        for protocol in [Protocol::Socks4a, Protocol::Socks5] {
            let mut client = ClientHandshake::new(request(protocol, Some(GOOD)));
            let (mut start, mut output) = (0, [0; ClientHandshake::MAX_SEND]);
            while let Ok(ClientStep::Send { taken, .. }) = client.step(&answer[start..], &mut output) {
                start += taken;
            }
        }
    }
}

#[test]
fn bind_has_two_replies_and_early_data_stays_in_the_input() {
    let mut client =
        ClientHandshake::new(ClientRequest { command: Command::BIND, ..request(Protocol::Socks5, None) });
    let mut output = [0; ClientHandshake::MAX_SEND];
    assert!(matches!(client.step(b"", &mut output), Ok(ClientStep::Send { taken: 0, length: 3 })));
    assert!(matches!(client.step(b"\x05\x00", &mut output), Ok(ClientStep::Send { taken: 2, .. })));
    let first = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34";
    let Ok(ClientStep::Listening { taken: 10, reply }) = client.step(first, &mut output) else { panic!() };
    assert_eq!(reply.port, 0x1234);
    assert_eq!(client.step(b"", &mut output), Ok(ClientStep::Receive { at_least: 1 }));
    let second = b"\x05\x00\x00\x03\x05a.i2p\x00\x50hello";
    let Ok(ClientStep::Established { taken, reply }) = client.step(second, &mut output) else { panic!() };
    assert_eq!(&second[taken..], b"hello");
    assert_eq!(reply.address, Address::Domain(b"a.i2p"));
}

#[test]
fn addresses_that_the_protocol_lacks_are_errors_before_anything_is_sent() {
    let mut output = [0; ClientHandshake::MAX_SEND];
    let v6 = Address::Ip("2001:db8::1".parse().unwrap());
    for (protocol, address) in [(Protocol::Socks4, NAME), (Protocol::Socks4, v6), (Protocol::Socks4a, v6)] {
        let mut client = ClientHandshake::new(ClientRequest { address, ..request(protocol, None) });
        assert_eq!(client.step(b"", &mut output), Err(ClientError::AddressNotInProtocol));
    }
    let mut client = ClientHandshake::new(request(Protocol::Socks5, None));
    assert!(matches!(client.step(b"", &mut [0; 2]), Err(ClientError::Encode(_))));
}

#[test]
fn a_method_that_was_not_offered_is_an_error() {
    let mut output = [0; ClientHandshake::MAX_SEND];
    let mut client = ClientHandshake::new(request(Protocol::Socks5, None));
    let _ = client.step(b"", &mut output).unwrap();
    let chosen = client.step(b"\x05\x02", &mut output);
    assert_eq!(chosen, Err(ClientError::MethodNotOffered(v5::Method::USERNAME_PASSWORD)));
}

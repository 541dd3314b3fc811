//! Handshakes over tokio streams: one write per reply, one time limit, no data lost.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use socks_wire::{
    Address, Authentication, ClientError, ClientRequest, Command, EncodeError, Error, NotSocks, Protocol,
    auth::Credentials,
    stream::{AcceptError, ConnectError, OwnedAddress, accept, accept_with_async_check, connect},
    v4, v5,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};

const LIMIT: Duration = Duration::from_secs(30);
const GOOD: Credentials<'static> = Credentials { username: b"me", password: b"secret" };

fn request(protocol: Protocol, credentials: Option<Credentials<'_>>) -> ClientRequest<'_> {
    let address = Address::Domain(b"example.i2p");
    ClientRequest { protocol, command: Command::CONNECT, address, port: 80, credentials }
}

#[tokio::test]
async fn a_client_and_a_server_complete_a_handshake() {
    for (protocol, credentials) in
        [(Protocol::Socks5, None), (Protocol::Socks5, Some(GOOD)), (Protocol::Socks4a, None)]
    {
        let (near, far) = duplex(64);
        let serve = async {
            let are_accepted = |given: &Credentials<'_>| *given == GOOD;
            let accepted = accept(far, Authentication::Isolation, LIMIT, are_accepted).await.unwrap();
            let got = accepted.request();
            assert_eq!((got.protocol, got.port), (protocol, 80));
            assert_eq!(got.address, OwnedAddress::Domain(b"example.i2p".to_vec()));
            assert_eq!(got.credentials.is_some(), credentials.is_some());
            let (mut stream, early_data) = accepted.grant().await.unwrap();
            assert!(early_data.is_empty());
            stream.write_all(b"welcome").await.unwrap();
        };
        let ask = async {
            let mut connected = connect(near, request(protocol, credentials), LIMIT).await.unwrap();
            let mut data = connected.early_data;
            connected.stream.read_to_end(&mut data).await.unwrap();
            assert_eq!(data, b"welcome");
        };
        tokio::join!(serve, ask);
    }
}

/// I2P destinations in base64 are hosts too long for SOCKS5.
#[tokio::test]
async fn the_longest_host_of_socks4a_is_accepted_with_early_data() {
    let host = [b'x'; v4::MAX_HOST_BYTES];
    let message = [&b"\x04\x01\x00\x50\x00\x00\x00\x01me\x00"[..], &host, b"\x00early"].concat();
    for piece in [1, 639, 640, 641, message.len()] {
        let (mut near, far) = duplex(8192);
        let send = async {
            for piece in message.chunks(piece) {
                near.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            near
        };
        let serve = accept(far, Authentication::Isolation, LIMIT, |_| true);
        let (mut near, accepted) = tokio::join!(send, serve);
        let accepted = accepted.unwrap();
        assert_eq!(accepted.request().address, OwnedAddress::Domain(host.to_vec()));
        assert_eq!(accepted.request().user_id, b"me");
        let (mut stream, mut data) = accepted.grant().await.unwrap();
        let mut reply = [0; 8];
        near.read_exact(&mut reply).await.unwrap();
        drop(near);
        stream.read_to_end(&mut data).await.unwrap();
        assert_eq!(data, b"early", "in pieces of {piece}");
    }
}

#[tokio::test]
async fn the_longest_host_of_socks4a_can_be_sent() {
    let ask = |near, host: Vec<u8>| async move {
        let asked =
            ClientRequest { address: Address::Domain(&host), ..request(Protocol::Socks4a, Some(GOOD)) };
        connect(near, asked, LIMIT).await.map(|connected| connected.port)
    };
    for length in [255, 256, v4::MAX_HOST_BYTES] {
        let (near, far) = duplex(64);
        let serve = async {
            let accepted = accept(far, Authentication::Isolation, LIMIT, |_| true).await.unwrap();
            assert_eq!(accepted.request().address, OwnedAddress::Domain(vec![b'x'; length]));
            assert_eq!(accepted.request().user_id, GOOD.username);
            accepted.grant().await.unwrap();
        };
        let ((), asked) = tokio::join!(serve, ask(near, vec![b'x'; length]));
        assert_eq!(asked.unwrap(), 0, "{length}");
    }
    let (near, _far) = duplex(64);
    let too_long = ask(near, vec![b'x'; v4::MAX_HOST_BYTES + 1]).await;
    let Err(ConnectError::Handshake(ClientError::Encode(error))) = too_long else { panic!("{too_long:?}") };
    assert_eq!(error, EncodeError::FieldTooLong);
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_of_credentials_counts_towards_the_time_limit() {
    let asked = b"\x05\x01\x02\x01\x02me\x06secret\x05\x01\x00\x03\x01x\x00\x50";
    for (takes, known) in [(LIMIT / 2, true), (LIMIT * 2, false)] {
        let (mut near, far) = duplex(64);
        near.write_all(asked).await.unwrap();
        let check = |credentials: &Credentials<'_>| {
            let good = *credentials == GOOD;
            async move {
                tokio::time::sleep(takes).await;
                good
            }
        };
        let accepted = accept_with_async_check(far, Authentication::Required, LIMIT, check).await;
        assert_eq!(accepted.is_ok(), known, "{takes:?}");
        assert!(known || matches!(accepted, Err(AcceptError::Timeout)));
    }
}

#[tokio::test]
async fn answers_to_resolve_have_the_form_of_the_protocol() {
    let socks5 = b"\x05\x01\x00\x05\xf0\x00\x03\x05a.i2p\x00\x2a";
    let socks4 = b"\x04\xf0\x00\x00\x00\x00\x00\x01\x00a.i2p\x00";
    let v4 = Address::Ip([250, 1, 2, 3].into());
    let v6 = Address::Ip([0xfd00, 0, 0, 0, 0, 0, 0, 1].into());
    let long = [b'x'; 256];
    type Row<'a> = (&'a [u8], Address<'a>, Option<&'a [u8]>);
    let table: [Row<'_>; 8] = [
        (socks5, v4, Some(&[5, 0, 5, 0, 0, 1, 250, 1, 2, 3, 0, 0])),
        (socks5, v6, Some(&[5, 0, 5, 0, 0, 4, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])),
        (socks5, Address::Domain(b"a.i2p"), Some(b"\x05\x00\x05\x00\x00\x03\x05a.i2p\x00\x00")),
        (socks5, Address::Domain(b""), None),
        (socks5, Address::Domain(&long), None),
        (socks4, v4, Some(&[0, 90, 0, 0, 250, 1, 2, 3])),
        (socks4, v6, None),
        (socks4, Address::Domain(b"a.i2p"), None),
    ];
    for (request, address, expected) in table {
        let (mut near, far) = duplex(1024);
        near.write_all(request).await.unwrap();
        let accepted = accept(far, Authentication::None, LIMIT, |_| false).await.unwrap();
        assert_eq!(accepted.request().command, Command::RESOLVE);
        let answered = accepted.answer(address).await.map(drop);
        let mut reply = Vec::new();
        near.read_to_end(&mut reply).await.unwrap();
        match expected {
            Some(expected) => assert_eq!(reply, expected),
            None => {
                assert_eq!(answered.unwrap_err().kind(), io::ErrorKind::InvalidInput);
                assert!(reply.len() <= 2, "part of a reply");
            }
        }
    }
}

#[tokio::test]
async fn early_data_is_returned_and_a_refusal_is_one_write() {
    let (mut near, far) = duplex(1024);
    near.write_all(b"\x04\x01\x00\x50\x00\x00\x00\x01id\0a.i2p\0GET /").await.unwrap();
    let accepted = accept(far, Authentication::None, LIMIT, |_| false).await.unwrap();
    assert_eq!(accepted.request().user_id, b"id");
    let (mut far, early_data) = accepted.grant().await.unwrap();
    assert_eq!(early_data, b"GET /");
    far.shutdown().await.unwrap();
    let mut reply = Vec::new();
    near.read_to_end(&mut reply).await.unwrap();
    assert_eq!(reply, [0, 90, 0, 0, 0, 0, 0, 0]);

    let (mut near, far) = duplex(1024);
    near.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x05a.i2p\x00\x50").await.unwrap();
    let accepted = accept(far, Authentication::None, LIMIT, |_| false).await.unwrap();
    drop(accepted.refuse(v5::ReplyCode::NOT_ALLOWED, v4::ReplyCode::REJECTED).await.unwrap());
    reply.clear();
    near.read_to_end(&mut reply).await.unwrap();
    assert_eq!(reply, [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn mistakes_and_other_protocols_are_distinct_errors() {
    let (mut near, far) = duplex(1024);
    near.write_all(b"\x05\x01\x02\x01\x01u\x01p").await.unwrap();
    let result = accept(far, Authentication::Required, LIMIT, |_| false).await;
    let Err(AcceptError::Refused { stream, error: Error::WrongCredentials }) = result else { panic!() };
    drop(stream);
    let mut reply = Vec::new();
    near.read_to_end(&mut reply).await.unwrap();
    assert_eq!(reply, [5, 2, 1, 1]);

    let (mut near, far) = duplex(1024);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let result = accept(far, Authentication::None, LIMIT, |_| false).await;
    let Err(AcceptError::NotSocks { protocol: NotSocks::Http, read, .. }) = result else { panic!() };
    assert_eq!(read, b"GET / HTTP/1.1\r\n\r\n");

    let (near, far) = duplex(1024);
    drop(near);
    assert!(matches!(accept(far, Authentication::None, LIMIT, |_| false).await, Err(AcceptError::Io(_))));
}

/// A stream that counts its writes.
struct Counting<S> {
    inner: S,
    writes: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Relaxed);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn each_answer_is_one_write() {
    let (mut near, far) = duplex(1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let far = Counting { inner: far, writes: Arc::clone(&writes) };
    near.write_all(b"\x05\x01\x02\x01\x01u\x01p\x05\x01\x00\x03\x05a.i2p\x00\x50").await.unwrap();
    let accepted = accept(far, Authentication::Isolation, LIMIT, |_| true).await.unwrap();
    assert_eq!(writes.load(Relaxed), 2, "method selection and status");
    drop(accepted.grant().await.unwrap());
    assert_eq!(writes.load(Relaxed), 3, "method selection, status and reply");
}

#[tokio::test]
async fn debug_output_contains_nothing_from_the_client() {
    let (mut near, far) = duplex(1024);
    near.write_all(b"\x04\x01\x00\x50\x00\x00\x00\x01secret\0secret.i2p\0secret").await.unwrap();
    let accepted = accept(far, Authentication::None, LIMIT, |_| false).await.unwrap();
    let socks4 = format!("{accepted:?} {:?}", accepted.request());
    let (mut near, far) = duplex(1024);
    near.write_all(b"GET http://secret.i2p/").await.unwrap();
    let http = format!("{:?}", accept(far, Authentication::None, LIMIT, |_| false).await);
    let mut handshake = socks_wire::ServerHandshake::new();
    let step = format!("{:?}", handshake.step(b"\x04\x01\x00\x50\x00\x00\x00\x01secret\0secret.i2p\0"));
    for text in [socks4, http, step] {
        // Neither as text nor as a list of numbers.
        assert!(!text.contains("secret") && !text.contains("115, 101"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_covers_the_whole_handshake() {
    let (mut near, far) = duplex(1024);
    let drip = async {
        for byte in b"\x05\x01\x00\x05\x01\x00\x03\x05a.i2p\x00\x50" {
            tokio::time::sleep(LIMIT / 3).await;
            if near.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    let (_, result) = tokio::join!(drip, accept(far, Authentication::None, LIMIT, |_| false));
    assert!(matches!(result, Err(AcceptError::Timeout)));

    let (near, _far) = duplex(1024);
    let result = connect(near, request(Protocol::Socks5, None), LIMIT).await;
    assert!(matches!(result, Err(ConnectError::Timeout)));
}

#[tokio::test]
async fn a_refusal_by_the_server_is_reported() {
    let (near, mut far) = duplex(1024);
    far.write_all(b"\x05\xff").await.unwrap();
    let result = connect(near, request(Protocol::Socks5, None), LIMIT).await;
    assert!(matches!(result, Err(ConnectError::Handshake(ClientError::NoAcceptableMethod))));
}

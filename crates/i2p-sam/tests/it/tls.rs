//! A bridge that is reached over TLS, and what its certificate has to be.
#![cfg(feature = "tls")]

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{
    Bridge, BridgeAddress, DatagramStyle, Error, Fingerprint, Phase, Ports, SamStream, SessionOptions,
    Timeouts, TlsAddress, Trust,
};
use sam_testkit::{Dialect, TestBridge, TlsFront};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// The front's address with this trust.
fn with_trust(front: &TlsFront, trust: Trust) -> Bridge {
    Bridge::new(TlsAddress::new(front.tcp_address(), trust))
}

fn certificate() -> Vec<Fingerprint> {
    Fingerprint::all_in(TlsFront::certificate()).unwrap()
}

#[tokio::test]
async fn a_bridge_with_the_pinned_certificate_serves_streams_and_lookups() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::I2pd259, Dialect::Emissary] {
        let bridge = TestBridge::start_as(dialect).await;
        let front = TlsFront::start(&bridge).await;
        let client = with_trust(&front, Trust::Pinned(certificate())).with_spares(4);
        let session = client.create_session(&SessionOptions::default()).await.unwrap();
        let name = I2pName::parse("echo.i2p").unwrap();
        session.destination_of(&name).await.unwrap();
        let data: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        for _ in 0..3 {
            let stream = session.connect(&name, 80).await.unwrap();
            assert!(matches!(stream, SamStream::Tls(_)));
            let (mut reader, mut writer) = tokio::io::split(stream);
            let write = async {
                writer.write_all(&data).await.unwrap();
                writer.flush().await.unwrap();
            };
            let mut back = vec![0; data.len()];
            let (read, ()) = tokio::join!(reader.read_exact(&mut back), write);
            read.unwrap();
            assert_eq!(back, data, "{dialect:?}");
        }
        assert!(client.spares() > 0, "{dialect:?}: connections are kept ready");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_nothing() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let other: Fingerprint = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    let real = certificate()[0];
    for (trust, parts) in [
        (Trust::Pinned(vec![other]), vec![real.to_string(), format!("expected {other}")]),
        (Trust::Pinned(vec![other, other]), vec![real.to_string(), "none of the 2".to_owned()]),
        (Trust::Pinned(Vec::new()), vec![real.to_string()]),
        // The authorities of the system do not know it.
        (Trust::System, vec![real.to_string()]),
    ] {
        let error = with_trust(&front, trust.clone()).probe().await.unwrap_err();
        assert!(matches!(error, Error::Certificate { .. }) && error.is_unreachable(), "{trust:?}: {error}");
        for part in parts {
            assert!(error.to_string().contains(&part), "{trust:?}: {part} is not in {error}");
        }
    }
    assert_eq!(bridge.accepted_connections(), 0);
    let both = Trust::Pinned(vec![other, real]);
    with_trust(&front, both).probe().await.unwrap();
}

#[tokio::test]
async fn tls_at_one_end_only_is_recognised() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let error = Bridge::new(front.tcp_address()).probe().await.unwrap_err();
    assert!(matches!(error, Error::ExpectsTls { .. }), "{error}");

    // A bridge may take the first message of TLS for a line that is not complete yet, and wait for the rest.
    let limit = Duration::from_millis(300);
    let address = BridgeAddress::from(format!("tls:{}", bridge.address()));
    let client = Bridge::new(address).with_timeouts(Timeouts { hello: limit, ..Timeouts::default() });
    let error = client.probe().await.unwrap_err();
    assert!(matches!(error, Error::NoTls { .. } | Error::Timeout { phase: Phase::Hello, .. }), "{error}");
    assert!(bridge.commands().iter().all(|line| !line.contains("HELLO")), "nothing is sent without TLS");

    for (answer, is_expected) in [
        (
            &b"HELLO REPLY RESULT=I2P_ERROR\n"[..],
            (|error| matches!(error, Error::NoTls { .. })) as fn(&Error) -> bool,
        ),
        (&b""[..], |error| matches!(error, Error::ClosedAtHello { .. })),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tls:{}", listener.local_addr().unwrap());
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let client = Bridge::new(address);
        let (probed, ()) = tokio::join!(client.probe(), served);
        let error = probed.unwrap_err();
        assert!(
            is_expected(&error) && error.may_be_of_router_at(client.address()) && error.is_of_bridge(),
            "{error}"
        );
        let is_certain = matches!(error, Error::NoTls { .. });
        assert_eq!(error.needs_other_configuration(), is_certain, "waiting helps against the other: {error}");
    }
}

/// A program that answers late may be a router. An address where nobody accepts is none.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_is_not_accepted_in_time_is_told_from_an_answer_that_does_not_come() {
    let queue = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    queue.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    queue.listen(0).unwrap();
    let full = queue.local_addr().unwrap().as_socket().unwrap();
    let _waiting: Vec<_> = (0..2).map(|_| tokio::spawn(tokio::net::TcpStream::connect(full))).collect();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let timeouts = Timeouts { hello: Duration::from_millis(300), ..Timeouts::default() };
    for (address, is_accepted) in [(full, false), (silent.local_addr().unwrap(), true)] {
        for prefix in ["", "tls:"] {
            let client =
                Bridge::new(BridgeAddress::from(format!("{prefix}{address}"))).with_timeouts(timeouts);
            let error = client.probe().await.unwrap_err();
            let is_timeout = matches!(error, Error::Timeout { phase: Phase::Hello, .. });
            let is_unreachable = matches!(error, Error::Unreachable { .. });
            assert_eq!(
                (is_timeout, is_unreachable),
                (is_accepted, !is_accepted),
                "{prefix}{address}: {error}"
            );
            let may_be_router = error.may_be_of_router_at(client.address());
            assert_eq!(may_be_router, is_accepted && !prefix.is_empty(), "{prefix}{address}: {error}");
        }
    }
}

#[tokio::test]
async fn datagrams_are_not_sent_beside_tls_unless_their_address_is_given() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let client = with_trust(&front, Trust::Pinned(certificate()));
    let open = async |client: &Bridge| {
        client
            .create_datagram_session(DatagramStyle::Datagram, Ports::default(), &SessionOptions::default())
            .await
    };
    let error = open(&client).await.unwrap_err();
    assert!(matches!(error, Error::NoUdpAddress), "{error}");
    open(&client.with_udp_address(bridge.udp_address().parse().unwrap())).await.unwrap();
}

//! The main function on real routers: a private I2P network in this process, and the binary on one of its bridges.
#![cfg(feature = "embedded")]

use std::time::{Duration, Instant};

use i2p_embedded::{HostTable, PrivateNetwork};
use i2p_name::I2pName;
use i2p_sam::{Accepted, Session, SessionOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::common::{
    LIMIT, Running,
    network::{ask, bridge, is_greeted, payload, socks4a, socks5},
    peers,
};

/// Bytes in each direction.
const PAYLOAD: usize = 5_000_000;

/// A service that answers `?` with `!`, checks the payload that follows, and sends another.
async fn trade(session: Session) {
    loop {
        let Ok(Accepted { mut stream, .. }) = session.accept().await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        tokio::spawn(async move {
            let mut received = vec![0; PAYLOAD];
            if stream.read_u8().await.ok() != Some(b'?')
                || stream.write_all(b"!").await.is_err()
                || stream.read_exact(&mut received).await.is_err()
            {
                return;
            }
            assert!(received == payload(1, PAYLOAD), "the payload changed on its way to the service");
            stream.write_all(&payload(2, PAYLOAD)).await.unwrap();
            // Wait for the visitor to close: closing first would lose data in transit.
            let _ = stream.read(&mut [0; 1]).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_datagrams_bind_and_failures_work_on_real_routers() {
    let host_names = HostTable::new();
    let network = PrivateNetwork::builder().host_names(host_names.clone()).start().await.unwrap();
    let options = SessionOptions::default().length(1).publish(true);
    let bridge_of_service = bridge(&network, 0);
    let (service, far) = tokio::join!(bridge_of_service.create_session(&options), peers::Far::open(&network));
    let service = service.unwrap();
    host_names.insert("service.i2p".parse().unwrap(), service.destination().clone());
    let b32 = service.destination().b32().to_string();
    tokio::spawn(trade(service));

    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let udp = network.sam_udp_addresses()[1];
    let text = format!(
        "[router]\nsam-udp = '{udp}'\n[session]\nlength = 1\n[[tunnel]]\nudp = 'datagram'\nincoming = true\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut proxy = Running::start(&[
        "run",
        "--router",
        "sam",
        "--sam",
        &bridge(&network, 1).address().to_string(),
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
    ]);
    let address = tokio::task::block_in_place(|| proxy.ready());

    let begin = Instant::now();
    while !is_greeted(address, &b32).await {
        assert!(begin.elapsed() < LIMIT, "the service was never reached; {}", proxy.said());
    }

    for host in ["service.i2p", "SERVICE.I2P.", &b32] {
        for (granted, (code, mut stream)) in
            [(0, socks5(address, host).await), (90, socks4a(address, host).await)]
        {
            assert_eq!(code, granted, "{host}; {}", proxy.said());
            assert_eq!(ask(&mut stream).await, b'!', "{host}; {}", proxy.said());
        }
    }

    let (code, stream) = socks5(address, "service.i2p").await;
    assert_eq!(code, 0);
    let received = timeout(LIMIT, exchange(stream)).await.expect("5 MB each way within the limit");
    assert!(received == payload(2, PAYLOAD), "the payload changed on its way to the client");

    peers::datagrams(address, &far).await;
    peers::called_back(address, &far).await;

    assert_eq!(socks5(address, "unknown.i2p").await.0, 4);
    assert_eq!(socks4a(address, "unknown.i2p").await.0, 91);
    let nobody = format!("{}.b32.i2p", "a".repeat(52));
    assert!(I2pName::parse(&nobody).is_ok());
    let code = timeout(LIMIT, socks5(address, &nobody)).await.unwrap().0;
    assert!(code == 4 || code == 6, "an unreachable destination gave {code}");
    assert_eq!(timeout(LIMIT, socks4a(address, &nobody)).await.unwrap().0, 91);
    assert_eq!(tokio::task::block_in_place(|| proxy.signal("TERM")), Some(0), "{}", proxy.said());
}

/// Sends the payload and returns the answer.
async fn exchange(mut stream: TcpStream) -> Vec<u8> {
    assert_eq!(ask(&mut stream).await, b'!');
    stream.write_all(&payload(1, PAYLOAD)).await.unwrap();
    let mut received = vec![0; PAYLOAD];
    stream.read_exact(&mut received).await.unwrap();
    received
}

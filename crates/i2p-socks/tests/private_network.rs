//! The main job against real routers: a private I2P network in this process, and the binary on one of its bridges.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use common::{LIMIT, Running};
use i2p_embedded::{AddressBook, PrivateNetwork};
use i2p_name::I2pName;
use i2p_sam::{Bridge, Session, SessionOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Sent each way.
const PAYLOAD: usize = 5_000_000;

/// Bytes that repeat nowhere: a linear congruential generator's.
fn payload(mut seed: u32) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(PAYLOAD).collect()
}

/// A service that greets with one byte, reads a payload, checks it, and answers with another.
async fn serve(session: Session) {
    loop {
        let Ok((mut stream, _)) = session.accept().await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        tokio::spawn(async move {
            stream.write_all(b"!").await.unwrap();
            let mut kind = [0; 1];
            if stream.read_exact(&mut kind).await.is_err() || kind != *b"P" {
                return;
            }
            let mut received = vec![0; PAYLOAD];
            stream.read_exact(&mut received).await.unwrap();
            assert!(received == payload(1), "the payload changed on its way to the service");
            stream.write_all(&payload(2)).await.unwrap();
            // Closing first would lose what is on its way.
            let _ = stream.read(&mut kind).await;
        });
    }
}

async fn socks5(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let length = u8::try_from(host.len()).unwrap();
    stream.write_all(&[&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &[0, 80]].concat()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    (answer[3], stream)
}

async fn socks4a(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(&[&[4, 1, 0, 80, 0, 0, 0, 1, 0], host.as_bytes(), &[0]].concat()).await.unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    (answer[1], stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_to_a_real_destination_and_truthful_failures() {
    let address_book = AddressBook::new();
    let network = PrivateNetwork::builder().address_book(address_book.clone()).start().await.unwrap();
    let bridge = |index: usize| Bridge::new(network.sam_address(index).unwrap().to_string());
    let service = bridge(0).create_session(&SessionOptions::default().length(1).publish(true)).await.unwrap();
    address_book.insert("service.i2p".parse().unwrap(), service.destination().clone());
    let b32 = service.destination().b32().to_string();
    tokio::spawn(serve(service));

    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    std::fs::write(&config, "[session]\nlength = 1\n").unwrap();
    let mut proxy = Running::start(&[
        "run",
        "--router",
        "sam",
        "--sam",
        bridge(1).address(),
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
    ]);
    let address = tokio::task::block_in_place(|| proxy.ready());

    // A new destination is not known everywhere at once; the truth until then is "unreachable".
    let begin = Instant::now();
    loop {
        let (code, _) = timeout(LIMIT, socks5(address, &b32)).await.unwrap();
        if code == 0 {
            break;
        }
        assert_eq!(code, 4, "{}", proxy.said());
        assert!(begin.elapsed() < LIMIT, "the service was never reached; {}", proxy.said());
        sleep(Duration::from_millis(500)).await;
    }

    for host in ["service.i2p", "SERVICE.I2P.", &b32] {
        for (granted, (code, mut stream)) in
            [(0, socks5(address, host).await), (90, socks4a(address, host).await)]
        {
            assert_eq!(code, granted, "{host}; {}", proxy.said());
            let mut greeting = [0; 1];
            timeout(LIMIT, stream.read_exact(&mut greeting)).await.unwrap().unwrap();
            assert_eq!(&greeting, b"!");
        }
    }

    let (code, stream) = socks5(address, "service.i2p").await;
    assert_eq!(code, 0);
    let received = timeout(LIMIT, exchange(stream)).await.expect("5 MB each way within the limit");
    assert!(received == payload(2), "the payload changed on its way to the client");

    assert_eq!(socks5(address, "unknown.i2p").await.0, 4);
    assert_eq!(socks4a(address, "unknown.i2p").await.0, 91);
    let nobody = format!("{}.b32.i2p", "a".repeat(52));
    assert!(I2pName::parse(&nobody).is_ok());
    let code = timeout(LIMIT, socks5(address, &nobody)).await.unwrap().0;
    assert!(code == 4 || code == 6, "an unreachable destination gave {code}");
    assert_eq!(timeout(LIMIT, socks4a(address, &nobody)).await.unwrap().0, 91);
    assert_eq!(tokio::task::block_in_place(|| proxy.signal("TERM")), Some(0), "{}", proxy.said());
}

/// Sends the payload and takes the answer.
async fn exchange(mut stream: TcpStream) -> Vec<u8> {
    let mut greeting = [0; 1];
    stream.read_exact(&mut greeting).await.unwrap();
    stream.write_all(b"P").await.unwrap();
    stream.write_all(&payload(1)).await.unwrap();
    let mut received = vec![0; PAYLOAD];
    stream.read_exact(&mut received).await.unwrap();
    received
}

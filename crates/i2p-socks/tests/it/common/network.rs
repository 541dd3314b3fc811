//! Services on a private network, and SOCKS clients for them.
#![cfg(feature = "embedded")]

use std::{net::SocketAddr, time::Duration};

use i2p_embedded::PrivateNetwork;
use i2p_sam::{Accepted, Bridge, Session};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

pub(crate) fn bridge(network: &PrivateNetwork, index: usize) -> Bridge {
    Bridge::new(network.sam_address(index).unwrap().to_string())
}

/// A service that answers `?` with `!`. If it spoke first, its data would take 9 s between two emissary routers.
pub(crate) async fn greet(session: Session) {
    loop {
        let Ok(Accepted { mut stream, .. }) = session.accept().await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        tokio::spawn(async move {
            let mut question = [0; 1];
            // The visitor may be gone. Wait for it to close: closing first would lose data in transit.
            let _ = stream.read_exact(&mut question).await;
            let _ = stream.write_all(b"!").await;
            let _ = stream.read(&mut question).await;
        });
    }
}

/// Sends a SOCKS5 CONNECT by name. Returns the reply code and the stream.
pub(crate) async fn socks5(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let length = u8::try_from(host.len()).unwrap();
    stream.write_all(&[&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &[0, 80]].concat()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    (answer[3], stream)
}

/// Sends a SOCKS4a CONNECT. Returns the reply code and the stream.
pub(crate) async fn socks4a(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(&[&[4, 1, 0, 80, 0, 0, 0, 1, 0], host.as_bytes(), &[0]].concat()).await.unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    (answer[1], stream)
}

/// Whether the service can be reached and says `!`. A new destination is unreachable for some seconds, and then the client must
/// be told so.
pub(crate) async fn is_greeted(proxy: SocketAddr, host: &str) -> bool {
    let (code, mut stream) = timeout(super::LIMIT, socks5(proxy, host)).await.unwrap();
    if code != 0 {
        assert_eq!(code, 4, "unreachable is told as such");
        sleep(Duration::from_millis(500)).await;
        return false;
    }
    ask(&mut stream).await == b'!'
}

/// Asks the service. Returns its answer.
pub(crate) async fn ask(stream: &mut TcpStream) -> u8 {
    stream.write_all(b"?").await.unwrap();
    timeout(super::LIMIT, stream.read_u8()).await.expect("an answer within the limit").unwrap()
}

/// Bytes without repetition, from a linear congruential generator.
pub(crate) fn payload(mut seed: u32, length: usize) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

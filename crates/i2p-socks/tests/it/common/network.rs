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

/// A service that answers `?` with `!`. It does not speak first: between two emissary routers that takes 9 s to arrive.
pub(crate) async fn greet(session: Session) {
    loop {
        let Ok(Accepted { mut stream, .. }) = session.accept().await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        tokio::spawn(async move {
            let mut question = [0; 1];
            // The visitor may be gone; closing first would lose what is on its way.
            let _ = stream.read_exact(&mut question).await;
            let _ = stream.write_all(b"!").await;
            let _ = stream.read(&mut question).await;
        });
    }
}

/// A SOCKS5 CONNECT by name: the reply's code, and the stream.
pub(crate) async fn socks5(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let length = u8::try_from(host.len()).unwrap();
    stream.write_all(&[&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &[0, 80]].concat()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    (answer[3], stream)
}

/// A SOCKS4a CONNECT: the reply's code, and the stream.
pub(crate) async fn socks4a(proxy: SocketAddr, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(&[&[4, 1, 0, 80, 0, 0, 0, 1, 0], host.as_bytes(), &[0]].concat()).await.unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    (answer[1], stream)
}

/// Whether the service can be reached and says `!`. A destination that is new is unreachable for some seconds, which
/// has to be what the client is told.
pub(crate) async fn is_greeted(proxy: SocketAddr, host: &str) -> bool {
    let (code, mut stream) = timeout(super::LIMIT, socks5(proxy, host)).await.unwrap();
    if code != 0 {
        assert_eq!(code, 4, "unreachable is told as such");
        sleep(Duration::from_millis(500)).await;
        return false;
    }
    ask(&mut stream).await == b'!'
}

/// Asks the service, and gives what it answers.
pub(crate) async fn ask(stream: &mut TcpStream) -> u8 {
    stream.write_all(b"?").await.unwrap();
    timeout(super::LIMIT, stream.read_u8()).await.expect("an answer within the limit").unwrap()
}

/// Bytes that repeat nowhere: a linear congruential generator's.
pub(crate) fn payload(mut seed: u32, length: usize) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

//! An open stream relays all data in order, in both directions, to the end.

use std::{io::ErrorKind, time::Duration};

use i2p_tunnel::Limits;
use sam_testkit::{Act, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::common::{proxy, proxy_with, socks4a_request, socks5_request};

/// A bridge on a TCP port, and one on a Unix socket.
async fn bridges() -> Vec<(TestBridge, Option<tempfile::TempDir>)> {
    let tcp = (TestBridge::start().await, None);
    #[cfg(unix)]
    {
        let directory = tempfile::tempdir().unwrap();
        let unix = TestBridge::start_at(directory.path().join("sam"), sam_testkit::Dialect::Java).await;
        vec![tcp, (unix, Some(directory))]
    }
    #[cfg(not(unix))]
    vec![tcp]
}

/// Bytes whose period is not a power of two, so that exchanged blocks are noticed.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[tokio::test]
async fn megabytes_are_echoed_unchanged() {
    for (bridge, _directory) in bridges().await {
        let proxy = proxy(&bridge).await;
        let (client, code) = proxy.socks5("known.i2p", 80).await;
        assert_eq!(code, 0);
        let (mut from, mut to) = client.into_split();
        let sent = pattern(4_000_000);
        let sending = {
            let sent = sent.clone();
            tokio::spawn(async move {
                to.write_all(&sent).await.unwrap();
                to
            })
        };
        let mut received = vec![0; sent.len()];
        from.read_exact(&mut received).await.unwrap();
        assert!(received == sent, "the echo differs");
        drop(sending.await.unwrap());
    }
}

#[tokio::test]
async fn early_data_is_forwarded_completely() {
    for (bridge, _directory) in bridges().await {
        let proxy = proxy(&bridge).await;
        let early = pattern(2_000);
        for (request, reply) in [(socks5_request("known.i2p", 80), 12), (socks4a_request("known.i2p", 80), 8)]
        {
            let mut client = proxy.connect().await;
            client.write_all(&[request, early.clone()].concat()).await.unwrap();
            let mut answer = vec![0; reply + early.len()];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[reply..], early);
        }
    }
}

#[tokio::test]
async fn early_data_is_not_sent_before_the_router_says_connected() {
    for (bridge, _directory) in bridges().await {
        let heard = Act::Listen(Duration::from_millis(200));
        bridge.on("STREAM CONNECT", [heard, Act::line("STREAM STATUS RESULT=OK"), Act::Echo]);
        let proxy = proxy(&bridge).await;
        let mut client = proxy.connect().await;
        client.write_all(&[&socks5_request("known.i2p", 80)[..], b"EARLY DATA"].concat()).await.unwrap();
        let mut answer = [0; 2];
        client.read_exact(&mut answer).await.unwrap();
        client.write_all(b" AND MORE").await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), client.read(&mut answer)).await;
        assert!(silence.is_err(), "a reply before the router's");
        let mut rest = [0; 10 + 19];
        client.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest[10..], b"EARLY DATA AND MORE");
        assert_eq!(bridge.commands().last().unwrap(), "", "data was sent before the status");
    }
}

#[tokio::test]
async fn the_last_data_arrives_although_the_client_keeps_sending() {
    for (bridge, _directory) in bridges().await {
        // More than a client that does not read takes in, and less than the buffers on the way hold, even if the kernel is short
        // of memory for sockets.
        let sent = pattern(100_000);
        // A far end that sends its answer and closes while the client still sends, such as a server that refuses an upload.
        // It closes with unread data, so that its kernel resets the connection and drops what the proxy has not taken
        // by then.
        let gone = Act::Listen(Duration::from_secs(1));
        bridge.on(
            "STREAM CONNECT",
            [Act::line("STREAM STATUS RESULT=OK"), Act::Send(sent.clone()), gone, Act::Close],
        );
        let proxy = proxy_with(&bridge, Limits::default()).await;
        let (client, code) = proxy.socks5("known.i2p", 80).await;
        assert_eq!(code, 0);
        let (mut from, mut to) = client.into_split();
        let sending = tokio::spawn(async move {
            while to.write_all(b"more").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        // By then the far end has closed, and its data is in buffers on the way.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut received = Vec::new();
        from.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), sent.len());
        assert!(received == sent);
        sending.abort();
    }
}

#[tokio::test]
async fn a_client_that_finished_sending_still_gets_its_answer() {
    for (bridge, _directory) in bridges().await {
        bridge.on(
            "STREAM CONNECT",
            [
                Act::line("STREAM STATUS RESULT=OK"),
                Act::Listen(Duration::from_millis(100)),
                Act::Send(b"answer".to_vec()),
                Act::Close,
            ],
        );
        let proxy = proxy(&bridge).await;
        let (mut client, _) = proxy.socks5("known.i2p", 80).await;
        client.write_all(b"request").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }
}

#[tokio::test]
async fn a_broken_stream_does_not_look_finished() {
    for (bridge, _directory) in bridges().await {
        bridge.on(
            "STREAM CONNECT",
            [
                Act::line("STREAM STATUS RESULT=OK"),
                Act::Send(b"a part".to_vec()),
                Act::Wait(Duration::from_millis(100)),
                // Closing with the request unread resets the connection.
                Act::Close,
            ],
        );
        let proxy = proxy(&bridge).await;
        let (mut client, _) = proxy.socks5("known.i2p", 80).await;
        client.write_all(b"request").await.unwrap();
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer).await.unwrap_err();
        assert_eq!((&answer[..], end.kind()), (&b"a part"[..], ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn the_clients_end_is_held_back_until_the_limit() {
    for (bridge, _directory) in bridges().await {
        // A far end that answers a FIN: through a router it never sees one while the stream is open.
        bridge.on(
            "STREAM CONNECT",
            [Act::line("STREAM STATUS RESULT=OK"), Act::AnswerAfterFin(b"too late".to_vec())],
        );
        let proxy = proxy(&bridge).await;
        let (mut client, _) = proxy.socks5("known.i2p", 80).await;
        let begin = Instant::now();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // The stream is cut, not finished.
        let end = client.read_to_end(&mut answer).await.unwrap_err();
        assert_eq!((&answer[..], end.kind()), (&b""[..], ErrorKind::ConnectionReset));
        assert!(begin.elapsed() >= Duration::from_millis(300), "cut before the half-close limit");
    }
}

#[tokio::test]
async fn a_far_end_that_keeps_sending_is_not_cut_by_the_half_close_limit() {
    for (bridge, _directory) in bridges().await {
        let slow = (0..4).flat_map(|_| [Act::Wait(Duration::from_millis(400)), Act::Send(b"x".to_vec())]);
        bridge.on(
            "STREAM CONNECT",
            [Act::line("STREAM STATUS RESULT=OK")].into_iter().chain(slow).chain([Act::Close]),
        );
        let proxy =
            proxy_with(&bridge, Limits { half_close: Duration::from_secs(1), ..Limits::default() }).await;
        let (mut client, _) = proxy.socks5("known.i2p", 80).await;
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"xxxx");
    }
}

#[tokio::test]
async fn the_far_ends_end_reaches_the_client_at_once() {
    for (bridge, _directory) in bridges().await {
        bridge.on(
            "STREAM CONNECT",
            [Act::line("STREAM STATUS RESULT=OK"), Act::Send(b"bye".to_vec()), Act::Close],
        );
        let never = Duration::from_secs(3600);
        let proxy = proxy_with(&bridge, Limits { half_close: never, ..Limits::default() }).await;
        let (mut client, _) = proxy.socks5("known.i2p", 80).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"bye");
    }
}

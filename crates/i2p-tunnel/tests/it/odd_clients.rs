//! Clients that are slow or silent, or speak another protocol.

use std::time::Duration;

use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use crate::common::{proxy, socks5_request};

#[tokio::test]
async fn an_http_client_gets_an_explanation() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    for (request, kind, says) in [
        (
            "POST /secret HTTP/1.1\r\nAccept: */*\r\n\r\n",
            "text/plain",
            "a SOCKS and HTTP proxy into I2P, and not",
        ),
        ("CONNECTION /secret\n", "text/plain", "curl -x http://HOST:PORT"),
        ("GET * HTTP/1.1\r\n\r\n", "text/plain", "curl --socks5-hostname HOST:PORT"),
        ("*odd* /secret", "text/plain", "not a web server"),
        ("GET /secret HTTP/1.1\r\nAccept: text/html,*/*;q=0.8\r\n\r\n", "text/html", "This is a SOCKS proxy"),
    ] {
        let page = String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap();
        assert!(page.starts_with("HTTP/1.1 501 Not Implemented\r\n"), "{page}");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(head.contains(&format!("Content-Type: {kind};")) && body.contains(says), "{page}");
        assert_eq!(body.contains('<'), kind == "text/html", "{body}");
        assert!(!page.contains("secret"), "the page repeats the request");
    }
}

#[tokio::test]
async fn clients_of_other_protocols_are_disconnected() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    for bytes in [&b"\x00"[..], b"\xff\xff\xff", b" GET / HTTP/1.1"] {
        let mut client = proxy.connect().await;
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // An end or a reset, depending on whether bytes were left unread.
        let _ = client.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
}

/// Programs that have the proxy as `https://`. A real ClientHello is longer than what is read of it.
#[tokio::test]
async fn a_tls_client_gets_an_alert() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let hello = [&b"\x16\x03\x01\x08\xa5\x01\x00\x08\xa1\x03\x03"[..], &[b'r'; 2203]].concat();
    for bytes in [&b"\x16"[..], b"\x16\x03\x01", &hello] {
        // A fatal alert: unexpected_message.
        assert_eq!(proxy.exchange_and_finish(bytes).await, [21, 3, 1, 0, 2, 2, 10]);
    }
}

#[tokio::test]
async fn http_is_answered_however_it_begins() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    for (request, status) in [
        ("\r\nCONNECT known.i2p:80 HTTP/1.1\r\n\r\n", "200 "),
        ("\n\r\nCONNECT known.i2p:80 HTTP/1.1\n\n", "200 "),
        ("\r\nGET / HTTP/1.1\r\n\r\n", "501 "),
        ("connect known.i2p:80 HTTP/1.1\r\n\r\n", "501 "),
        ("get / HTTP/1.1\r\n\r\n", "501 "),
        ("\rCONNECT known.i2p:80 HTTP/1.1\r\n\r\n", "400 "),
        ("*odd* / HTTP/1.1\r\n\r\n", "501 "),
    ] {
        let answer = proxy.exchange_and_finish(request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn head_is_answered_without_content() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let ask = async |method: &str| {
        let answer = proxy.exchange(format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        String::from_utf8(answer).unwrap()
    };
    let page = ask("GET").await;
    let (head, _) = page.split_once("\r\n\r\n").unwrap();
    assert_eq!(ask("HEAD").await, format!("{head}\r\n\r\n"));
}

#[tokio::test]
async fn a_silent_client_is_cut_at_the_deadline() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let begin = Instant::now();
    let mut client = proxy.connect().await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_move_the_deadline() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let begin = Instant::now();
    let (mut from, mut to) = client.split();
    let trickle = async {
        // 36 bytes, 50 ms each: six times the deadline.
        for byte in socks5_request("a-name-of-many-letters.i2p", 80) {
            if to.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let end = async {
        let mut answer = Vec::new();
        let _ = from.read_to_end(&mut answer).await;
        answer
    };
    let answer =
        tokio::select! { answer = end => answer, () = trickle => panic!("the whole request was accepted") };
    assert_eq!(answer, [5, 0], "no reply beyond the method selection");
    assert!(begin.elapsed() < Duration::from_millis(1_500), "the deadline moved");
}

#[tokio::test]
async fn a_request_in_single_bytes_is_served_within_the_deadline() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let mut client = proxy.connect().await;
    client.set_nodelay(true).unwrap();
    for byte in socks5_request("known.i2p", 80) {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..4], [5, 0, 5, 0]);
}

#[tokio::test]
async fn any_username_and_password_are_accepted() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let mut client = proxy.connect().await;
    client.write_all(b"\x05\x02\x00\x02").await.unwrap();
    let mut answer = [0; 2];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 2]);
    client.write_all(b"\x01\x04user\x04pass").await.unwrap();
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [1, 0]);
    client.write_all(b"\x05\x01\x00\x03\x09known.i2p\x00\x50").await.unwrap();
    let mut reply = [0; 10];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[1], 0);
}

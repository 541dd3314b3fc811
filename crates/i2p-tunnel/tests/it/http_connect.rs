//! HTTP CONNECT on the SOCKS port: the same targets and failures, reported as HTTP responses.

use std::time::Duration;

use i2p_tunnel::{AccessPolicy, Limits};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::common::{Proxy, b32, proxy, proxy_with_service};

/// Reads exactly the head of a response.
async fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn response(proxy: &Proxy, request: &str) -> String {
    String::from_utf8(proxy.exchange(request.as_bytes()).await).unwrap()
}

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: ignored.example:1\r\nUser-Agent: x\r\n\r\n")
}

#[tokio::test]
async fn a_stream_relays_both_ways_and_keeps_early_data() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("echo.i2p", Endpoint::Echo);
    let proxy = proxy(&bridge).await;
    for host in ["echo.i2p", "ECHO.I2P.", &destination] {
        let mut client = proxy.connect().await;
        let request = connect(&format!("{host}:80")) + "early";
        client.write_all(request.as_bytes()).await.unwrap();
        // Sent in one write, before any data of the stream.
        assert_eq!(head(&mut client).await, "HTTP/1.1 200 Connection established\r\n\r\n");
        client.write_all(b" and late").await.unwrap();
        let mut echo = [0; 14];
        let echoed = timeout(Duration::from_secs(5), client.read_exact(&mut echo)).await;
        assert!(echoed.is_ok_and(|read| read.is_ok()), "data was lost: {:?}", String::from_utf8_lossy(&echo));
        assert_eq!(&echo, b"early and late");
    }
    let ports: Vec<_> =
        bridge.commands().into_iter().filter(|line| line.starts_with("STREAM CONNECT")).collect();
    assert!(ports.iter().all(|line| line.contains("TO_PORT=80")), "{ports:?}");
}

#[tokio::test]
async fn a_request_head_in_single_bytes_is_served() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    let mut client = proxy.connect().await;
    client.set_nodelay(true).unwrap();
    for byte in connect("known.i2p:80").into_bytes() {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn failures_have_a_status_and_a_hint_and_never_name_the_target() {
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::line("STREAM STATUS RESULT=CANT_REACH_PEER"), Act::Close]);
    let proxy = proxy(&bridge).await;
    let b32 = b32();
    for (target, status, says) in [
        ("secret.example.com:80", "403 This address is outside I2P", "leads to I2P"),
        ("198.51.100.7:80", "403 This address is outside I2P", "no route leads there"),
        ("[2001:db8::7]:80", "403 This address is outside I2P", "no route leads there"),
        ("localhost:80", "403 This host is on your machine or network", "no_proxy"),
        ("unknown.i2p:80", "404 No address book knows this name", "Check the spelling"),
        ("a_secret.i2p:80", "400 This is not an address", "Check the address"),
        (&format!("{b32}:80"), "502 The site cannot be reached", "offline"),
        ("known.i2p", "400 Bad Request", "CONNECT HOST:PORT"),
        ("known.i2p:0", "400 Bad Request", "CONNECT HOST:PORT"),
    ] {
        let answer = response(&proxy, &connect(target)).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{target}: {head}");
        assert!(head.contains("\r\nConnection: close"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(body.contains(says), "{target}: {body}");
        for secret in ["secret", "198.51", "2001", "unknown.i2p", "known.i2p", "ignored", &b32] {
            assert!(!answer.contains(secret), "{secret} is in the answer\n{answer}");
        }
    }
}

#[tokio::test]
async fn an_endless_head_is_refused_and_a_slow_one_is_cut() {
    let bridge = TestBridge::start().await;
    let limits = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    let proxy = proxy_with_service(&bridge, |service| service.with_limits(limits)).await;
    let endless = format!("CONNECT known.i2p:80 HTTP/1.1\r\nX: {}", "x".repeat(8 * 1024));
    assert!(response(&proxy, &endless).await.starts_with("HTTP/1.1 431 "));
    // One deadline applies to the whole head; it does not move.
    let mut client = proxy.connect().await;
    client.write_all(b"CONNECT known.i2p:80 HTTP/1.1\r\n").await.unwrap();
    let (mut from, mut to) = client.split();
    let trickle = async {
        while to.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let end = timeout(Duration::from_secs(5), async {
        tokio::select! {
            _ = from.read_to_end(&mut answer) => {}
            () = trickle => {}
        }
    });
    assert!(end.await.is_ok(), "the connection stays open");
    assert!(answer.is_empty());
}

#[tokio::test]
async fn credentials_isolate_clients_as_in_socks5() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let proxy = proxy(&bridge).await;
    // base64 of "anna:x" and "bert:x".
    let who = async |field: &str| {
        let request = format!("CONNECT whoami.i2p:80 HTTP/1.1\r\n{field}\r\n");
        let answer = response(&proxy, &request).await;
        answer.strip_prefix("HTTP/1.1 200 Connection established\r\n\r\n").unwrap().to_owned()
    };
    let anna = who("Proxy-Authorization: Basic YW5uYTp4\r\n").await;
    let bert = who("Proxy-Authorization: Basic YmVydDp4\r\n").await;
    let nobody = who("").await;
    assert!(anna.len() > 500, "{anna}");
    assert!(anna != bert && bert != nobody && anna != nobody);
    assert_eq!(who("Proxy-Authorization: Basic YW5uYTp4\r\n").await, anna);
    let socks5 = b"\x05\x01\x02\x01\x04anna\x01x\x05\x01\x00\x03\x0awhoami.i2p\x00\x50";
    let answer = proxy.exchange(socks5).await;
    assert_eq!(String::from_utf8_lossy(&answer[14..]), anna, "the protocol does not isolate");
}

#[tokio::test]
async fn unsupported_credentials_are_requested_again() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge).await;
    // The last is <torS0X>1:x, a format of Tor's with another meaning.
    for field in ["Bearer x", "Basic ?", "Basic PHRvclMwWD4xOng="] {
        let request = format!("CONNECT known.i2p:80 HTTP/1.1\r\nProxy-Authorization: {field}\r\n\r\n");
        let answer = response(&proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 407 The "), "{field}: {answer}");
        assert!(answer.contains("\r\nProxy-Authenticate: Basic realm="), "{answer}");
    }
}

#[tokio::test]
async fn a_browser_gets_a_link_to_the_status_page_if_there_is_one() {
    let bridge = TestBridge::start().await;
    let access = AccessPolicy { status_page: Some("http://127.0.0.1:9/".into()), ..AccessPolicy::default() };
    let proxy = proxy_with_service(&bridge, |service| service.with_access(access)).await;
    let page = response(&proxy, "GET / HTTP/1.1\r\nAccept: text/html\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 501 ") && page.contains("href=\"http://127.0.0.1:9/\""), "{page}");
}

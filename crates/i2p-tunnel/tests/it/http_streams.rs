//! Streams to web sites are kept for the next request: of the same identity, to the same site, within bounds.

use std::time::Duration;

use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::common::{
    http::{ask, http_proxy, http_proxy_of},
    site::Site,
};

const LONG: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ANNA: &str = "Proxy-Authorization: Basic YW5uYTp4\r\n";

fn request(method: &str, host: &str, site: &Site, fields: &str) -> String {
    format!("{method} http://{host}:{}/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n", site.port)
}

/// Waits until the answer to the last request is complete for the proxy too: it may be for the client first.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn the_same_identity_uses_the_stream_to_a_site_again() {
    let bridge = TestBridge::start().await;
    bridge.host("other.i2p", sam_testkit::Endpoint::Echo);
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    for method in ["GET", "POST", "HEAD", "GET"] {
        // Another connection of the same client is the same identity.
        let mut client = proxy.connect().await;
        let (head, _) = timeout(LONG, async {
            client.write_all(request(method, "known.i2p", &site, "").as_bytes()).await.unwrap();
            let head = crate::common::http::head(&mut client).await;
            if method != "HEAD" {
                client.read_exact(&mut [0; 2]).await.unwrap();
            }
            (head, ())
        })
        .await
        .unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        settle().await;
        // The site of a test sends a body even after HEAD; a stream with data that nobody asked for is not used again.
        if method == "HEAD" {
            break;
        }
    }
    assert_eq!(site.seen().connections.len(), 1, "{:?}", site.seen());
    assert!(!site.text(0).contains("Connection:"), "{}", site.text(0));
    let mut client = proxy.connect().await;
    for (host, fields, connections) in [
        ("other.i2p", "", 2),
        ("known.i2p", ANNA, 3),
        ("other.i2p", ANNA, 4),
        ("other.i2p", "", 4),
        ("known.i2p", ANNA, 4),
    ] {
        assert_eq!(ask(&mut client, &request("GET", host, &site, fields)).await.1, "ok");
        settle().await;
        assert_eq!(site.seen().connections.len(), connections, "{host} {fields}");
    }
}

#[tokio::test]
async fn requests_at_the_same_time_have_streams_of_their_own() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await;
    let proxy = http_proxy(&bridge).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.connect().await;
        client.write_all(request("GET", "known.i2p", &site, "").as_bytes()).await.unwrap();
        client.read_exact(&mut [0; 30]).await.unwrap();
        clients.push(client);
    }
    assert_eq!(site.seen().connections.len(), 3);
}

/// The stream is closed by the site while it is unused.
#[tokio::test]
async fn a_stream_that_turns_out_closed_is_replaced_where_that_is_harmless() {
    let bridge = TestBridge::start().await;
    // The site closes each stream behind its second request, without an answer to that.
    let site = Site::start_with(&bridge, |head| match head.contains("X-Second") {
        true => b"Connection: close".to_vec(),
        false => OK.as_bytes().to_vec(),
    })
    .await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    let ask = async |client: &mut _, method: &str, fields: &str| {
        let answer = timeout(LONG, ask(client, &request(method, "known.i2p", &site, fields))).await.unwrap();
        settle().await;
        answer
    };
    assert_eq!(ask(&mut client, "GET", "").await.1, "ok");
    // What cannot be repeated fails, and reaches the site once.
    let (head, _) = ask(&mut client, "POST", "X-Second: post\r\n").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!((site.seen().connections.len(), site.text(0).matches("X-Second").count()), (1, 1));
    // What only asks is sent once more, on a new stream.
    assert_eq!(ask(&mut client, "GET", "").await.1, "ok");
    let (head, _) = ask(&mut client, "GET", "X-Second: get\r\n").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(site.seen().connections.len(), 3);
    assert!(
        site.text(1).contains("X-Second: get") && site.text(2).contains("X-Second: get"),
        "{:?}",
        site.seen()
    );
}

#[tokio::test]
async fn a_stream_that_the_site_has_closed_is_not_used() {
    let bridge = TestBridge::start().await;
    let site =
        Site::start(&bridge, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    for count in 1..4 {
        assert_eq!(ask(&mut client, &request("POST", "known.i2p", &site, "")).await.1, "ok");
        assert_eq!(site.seen().connections.len(), count);
        settle().await;
    }
}

/// After `new-identity`, no stream of the old one serves a request.
#[tokio::test]
async fn a_new_session_of_the_same_clients_gets_no_stream_of_the_old() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        assert_eq!(ask(&mut client, &request("GET", "known.i2p", &site, "")).await.1, "ok");
        settle().await;
    }
    assert_eq!(site.seen().connections.len(), 1);
    proxy.pool.renew_all();
    assert_eq!(ask(&mut client, &request("GET", "known.i2p", &site, "")).await.1, "ok");
    assert_eq!(site.seen().connections.len(), 2, "a stream of the new session");
}

/// Unused streams hold their session no longer than anybody needs it.
#[tokio::test]
async fn an_unused_stream_gives_its_session_up_when_others_need_one() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy_of(&bridge, 1).await;
    let mut client = proxy.connect().await;
    let ask = async |client: &mut _, fields: &str| {
        timeout(LONG, ask(client, &request("GET", "known.i2p", &site, fields))).await.unwrap().1
    };
    assert_eq!(ask(&mut client, "").await, "ok");
    settle().await;
    assert_eq!(ask(&mut client, ANNA).await, "ok", "the only session was freed");
}

#[tokio::test(flavor = "current_thread")]
async fn unused_streams_are_few() {
    let bridge = TestBridge::start().await;
    // Answers that end only when the client has sent one more byte of nothing: all are open at once.
    let site = Site::start(&bridge, OK).await;
    let proxy = http_proxy(&bridge).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = proxy.connect().await;
        let begun =
            format!("POST http://known.i2p:{}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", site.port);
        client.write_all(begun.as_bytes()).await.unwrap();
        clients.push(client);
    }
    site.until(|seen| seen.connections.iter().filter(|got| !got.is_empty()).count() == 12).await;
    for client in &mut clients {
        client.write_all(b"x").await.unwrap();
        crate::common::http::head(client).await;
        client.read_exact(&mut [0; 2]).await.unwrap();
    }
    site.until(|seen| seen.ended == 6).await;
    settle().await;
    assert_eq!(site.seen().ended, 6, "six stay");
}

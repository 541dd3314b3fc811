//! Far ends.

use sam_testkit::{Endpoint, TestBridge};
use tokio::io::AsyncWriteExt;

use crate::client::{Client, b32};

/// Whether the client closes its direction after it has sent.
#[derive(PartialEq, Eq)]
enum Fin {
    Sent,
    Omitted,
}

/// Sends these bytes to an endpoint, and a FIN if asked for, and returns what it sends back.
async fn exchange(endpoint: Endpoint, sent: &[u8], fin: Fin) -> Vec<u8> {
    let bridge = TestBridge::start().await;
    let (_control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let destination = bridge.host("far.i2p", endpoint);
    let mut stream = Client::stream(&bridge, "a", &b32(&destination)).await;
    stream.send(sent).await;
    if fin == Fin::Sent {
        stream.0.shutdown().await.unwrap();
    }
    stream.rest().await
}

#[tokio::test]
async fn each_endpoint_answers_as_its_name_says() {
    let large: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    assert!(exchange(Endpoint::Source(large.clone()), b"ignored", Fin::Omitted).await == large);
    assert_eq!(exchange(Endpoint::Echo, b"hello", Fin::Sent).await, b"hello");
    assert_eq!(exchange(Endpoint::Sink, &large, Fin::Sent).await, b"");
    assert_eq!(exchange(Endpoint::AnswerAfterFin(b"late".to_vec()), b"question", Fin::Sent).await, b"late");
    let page =
        exchange(Endpoint::Http("page".to_owned()), b"GET / HTTP/1.1\r\nHost: far.i2p\r\n\r\n", Fin::Omitted)
            .await;
    let page = String::from_utf8(page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("\r\nContent-Length: 4\r\n") && page.ends_with("\r\n\r\npage"), "{page}");
}

#[tokio::test]
async fn whoami_names_the_session_that_connects() {
    let bridge = TestBridge::start().await;
    bridge.host("who.i2p", Endpoint::Whoami);
    for id in ["a", "b"] {
        let (_control, destination) = Client::session(&bridge, id, "STYLE=STREAM").await;
        let mut stream = Client::stream(&bridge, id, "who.i2p").await;
        assert_eq!(String::from_utf8(stream.rest().await).unwrap(), format!("{destination}\n"));
    }
}

#[tokio::test]
async fn an_http_request_may_arrive_in_pieces() {
    let bridge = TestBridge::start().await;
    bridge.host("web.i2p", Endpoint::Http("page".to_owned()));
    let (_control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let mut stream = Client::stream(&bridge, "a", "web.i2p").await;
    stream.send("GET / HTTP/1.0\r\n").await;
    stream.is_silent().await;
    stream.send("\r\n").await;
    assert!(stream.rest().await.ends_with(b"page"));
}

#[tokio::test]
async fn a_new_name_resolves_at_once_in_upper_and_lower_case() {
    let bridge = TestBridge::start().await;
    let destination = bridge.host("Far.i2p", Endpoint::Sink);
    let mut client = Client::hello(&bridge).await;
    let answer = client.ask("NAMING LOOKUP NAME=far.I2P").await;
    assert_eq!(answer, format!("NAMING REPLY RESULT=OK NAME=far.I2P VALUE={destination}"));
    for name in ["known.i2p", "echo.i2p"] {
        let answer = client.ask(&format!("NAMING LOOKUP NAME={name}")).await;
        assert!(answer.ends_with(&format!("VALUE={}", sam_testkit::destination())));
    }
}

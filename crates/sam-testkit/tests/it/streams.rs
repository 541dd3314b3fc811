//! Streams from session to session.

use sam_testkit::{Dialect, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::client::{Client, b32, until};

const DIALECTS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];

#[tokio::test]
async fn a_stream_reaches_an_acceptor_by_destination_and_by_address() {
    for dialect in DIALECTS {
        let bridge = TestBridge::start_as(dialect).await;
        let (_a, a) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
        for to in [b.clone(), b32(&b)] {
            let mut acceptor = Client::hello(&bridge).await;
            assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
            assert_eq!(bridge.open_streams(), 0);
            let mut stream = Client::stream(&bridge, "a", &to).await;
            let line = acceptor.line().await;
            assert!(line.starts_with(&a), "{line}");
            assert_eq!(line.ends_with(" FROM_PORT=0 TO_PORT=0"), dialect == Dialect::Java, "{line}");
            stream.send("question").await;
            assert_eq!(&acceptor.bytes::<8>().await, b"question");
            acceptor.send("answer").await;
            assert_eq!(&stream.bytes::<6>().await, b"answer");
            assert_eq!(bridge.open_streams(), 1);
            // The end of one side ends both.
            drop(stream);
            assert_eq!(acceptor.rest().await, b"");
            until(|| bridge.open_streams() == 0).await;
        }
    }
}

#[tokio::test]
async fn ports_are_reported_from_3_2_on() {
    let bridge = TestBridge::start().await;
    let (_a, a) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    for (versions, ports) in [("MIN=3.3 MAX=3.3", " FROM_PORT=7 TO_PORT=8"), ("MIN=3.1 MAX=3.1", "")] {
        let mut acceptor = Client::connect(&bridge).await;
        acceptor.ask(&format!("HELLO VERSION {versions}")).await;
        assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
        let mut stream = Client::hello(&bridge).await;
        stream.ask(&format!("STREAM CONNECT ID=a DESTINATION={b} FROM_PORT=7 TO_PORT=8")).await;
        assert_eq!(acceptor.line().await, format!("{a}{ports}"));
    }
}

#[tokio::test]
async fn silent_true_omits_status_and_peer() {
    let bridge = TestBridge::start().await;
    let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    let mut acceptor = Client::hello(&bridge).await;
    acceptor.send("STREAM ACCEPT ID=b SILENT=true\n").await;
    until(|| bridge.commands().last().is_some_and(|line| line.starts_with("STREAM ACCEPT"))).await;
    let mut stream = Client::hello(&bridge).await;
    stream.send(format!("STREAM CONNECT ID=a DESTINATION={b} SILENT=true\nABC")).await;
    assert_eq!(&acceptor.bytes::<3>().await, b"ABC");
    acceptor.send("XYZ").await;
    assert_eq!(&stream.bytes::<3>().await, b"XYZ");
}

#[tokio::test]
async fn a_fin_ends_the_stream_after_what_was_sent() {
    let bridge = TestBridge::start().await;
    let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    let mut acceptor = Client::hello(&bridge).await;
    acceptor.ask("STREAM ACCEPT ID=b").await;
    let mut stream = Client::stream(&bridge, "a", &b).await;
    acceptor.line().await;
    let sent = vec![7; 1_000_000];
    let sending = async {
        stream.send(&sent).await;
        stream.0.shutdown().await.unwrap();
        stream.rest().await
    };
    // As recorded of all routers: the data arrives, and an answer to it does not.
    let (rest, received) = tokio::join!(sending, acceptor.rest());
    assert!(received == sent);
    assert!(rest.is_empty());
}

#[tokio::test]
async fn an_acceptor_that_has_gone_is_skipped() {
    let bridge = TestBridge::start().await;
    let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    let mut gone = Client::hello(&bridge).await;
    gone.ask("STREAM ACCEPT ID=b").await;
    let mut acceptor = Client::hello(&bridge).await;
    acceptor.ask("STREAM ACCEPT ID=b").await;
    gone.0.shutdown().await.unwrap();
    assert_eq!(gone.line().await, "<EOF>");
    let mut stream = Client::stream(&bridge, "a", &b).await;
    stream.send("x").await;
    acceptor.line().await;
    assert_eq!(&acceptor.bytes::<1>().await, b"x");
    // As recorded of Java: once the session has accepted, a peer gets a stream that is closed at once.
    let mut stream = Client::stream(&bridge, "a", &b).await;
    assert_eq!(stream.line().await, "<EOF>");
}

#[tokio::test]
async fn a_forward_connects_and_names_the_peer() {
    for (dialect, silent) in [(Dialect::Java, false), (Dialect::Java, true), (Dialect::I2pd245, false)] {
        let bridge = TestBridge::start_as(dialect).await;
        let (_a, a) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let mut forward = Client::hello(&bridge).await;
        let line = format!("STREAM FORWARD ID=b PORT={port} HOST=127.0.0.1 SILENT={silent}");
        assert_eq!(forward.ask(&line).await, "STREAM STATUS RESULT=OK");
        let mut stream = Client::stream(&bridge, "a", &b).await;
        stream.send("hello").await;
        let (mut served, _) = server.accept().await.unwrap();
        let first = match (silent, dialect) {
            (true, _) => String::new(),
            (false, Dialect::Java) => format!("{a} FROM_PORT=0 TO_PORT=0\n"),
            _ => format!("{a}\n"),
        };
        let mut received = vec![0; first.len() + 5];
        served.read_exact(&mut received).await.unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), format!("{first}hello"));
        served.write_all(b"FWD").await.unwrap();
        assert_eq!(&stream.bytes::<3>().await, b"FWD");
    }
}

#[tokio::test]
async fn java_does_not_forward_and_accept_at_once() {
    let bridge = TestBridge::start().await;
    let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let failed = |what: &str| {
        format!(
            "STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"Forwarding failed : {what} server is already defined for this destination\""
        )
    };
    let mut acceptor = Client::hello(&bridge).await;
    acceptor.ask("STREAM ACCEPT ID=a").await;
    let mut forward = Client::hello(&bridge).await;
    assert_eq!(forward.ask("STREAM FORWARD ID=a PORT=1").await, failed("an accepting"));
    let (_b, _) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    let mut forward = Client::hello(&bridge).await;
    assert_eq!(forward.ask("STREAM FORWARD ID=b PORT=70000").await, "STREAM STATUS RESULT=OK");
    let mut second = Client::hello(&bridge).await;
    assert_eq!(second.ask("STREAM FORWARD ID=b PORT=1").await, failed("a forwarding"));
    let mut acceptor = Client::hello(&bridge).await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
}

#[tokio::test]
async fn a_subsession_receives_streams_to_its_port() {
    let bridge = TestBridge::start().await;
    let (mut primary, destination) = Client::session(&bridge, "m", "STYLE=PRIMARY").await;
    let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    primary.ask("SESSION ADD STYLE=STREAM ID=all").await;
    primary.ask("SESSION ADD STYLE=STREAM ID=web FROM_PORT=80").await;
    let mut acceptors = Vec::new();
    for id in ["all", "web"] {
        let mut acceptor = Client::hello(&bridge).await;
        acceptor.ask(&format!("STREAM ACCEPT ID={id}")).await;
        acceptors.push(acceptor);
    }
    for (port, acceptor) in [(80, 1), (81, 0)] {
        let mut stream = Client::hello(&bridge).await;
        stream.ask(&format!("STREAM CONNECT ID=a DESTINATION={destination} TO_PORT={port}")).await;
        let line = acceptors[acceptor].line().await;
        assert!(line.ends_with(&format!(" TO_PORT={port}")), "{line}");
    }
}

//! i2pd 2.45.1, 2.56.0 and 2.59.0, as recorded from running routers. Lines that all answer alike are listed once.
//! `<n>` is a key of n characters, `<EOF>` the end of the connection.

use std::time::Duration;

use sam_testkit::{Dialect, TestBridge};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use crate::client::{After, Client, b32, shape, until};

const VERSIONS: [Dialect; 3] = [Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259];
const UNKNOWN_B32: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p";

/// Sends each line on a connection of its own after HELLO, and checks the answer and whether the connection is closed.
async fn each(bridge: &TestBridge, lines: &[(&str, &str)], after: After) {
    for (line, answer) in lines {
        let mut client = Client::hello(bridge).await;
        assert_eq!(shape(&client.ask(line).await), *answer, "{line}");
        if after == After::Closed {
            assert_eq!(client.line().await, "<EOF>", "{line}");
        } else {
            assert!(client.ask("DEST GENERATE").await.starts_with("DEST REPLY PUB="), "{line}");
        }
    }
}

#[tokio::test]
async fn hello() {
    for (dialect, line, answer) in [
        (Dialect::I2pd245, "HELLO VERSION", "HELLO REPLY RESULT=OK VERSION=3.1"),
        (Dialect::I2pd245, "HELLO VERSION MIN=3.1 MAX=3.3", "HELLO REPLY RESULT=OK VERSION=3.1"),
        (Dialect::I2pd245, "HELLO VERSION MIN=3.2 MAX=3.2", "HELLO REPLY RESULT=NOVERSION"),
        (Dialect::I2pd245, "hello version min=3.0 max=3.3", "<EOF>"),
        (Dialect::I2pd256, "HELLO VERSION", "HELLO REPLY RESULT=OK VERSION=3.1"),
        (Dialect::I2pd256, "HELLO VERSION MIN=3.1 MAX=3.3", "HELLO REPLY RESULT=OK VERSION=3.1"),
        (Dialect::I2pd256, "HELLO VERSION MAX=3.3", "HELLO REPLY RESULT=OK VERSION=3.0"),
        (Dialect::I2pd256, "HELLO VERSION MIN=3.2", "HELLO REPLY RESULT=OK VERSION=3.1"),
        (Dialect::I2pd256, "HELLO VERSION MIN=3.2 MAX=3.3", "HELLO REPLY RESULT=NOVERSION"),
        (Dialect::I2pd259, "HELLO VERSION", "HELLO REPLY RESULT=OK VERSION=3.0"),
        (Dialect::I2pd259, "HELLO VERSION MIN=3.0 MAX=3.3", "HELLO REPLY RESULT=OK VERSION=3.3"),
        (Dialect::I2pd259, "hello version min=3.0 max=3.3", "<EOF>"),
    ] {
        let bridge = TestBridge::start_as(dialect).await;
        assert_eq!(Client::connect(&bridge).await.ask(line).await, answer, "{dialect:?}");
    }
}

#[tokio::test]
async fn utility_commands() {
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let pong = if dialect == Dialect::I2pd259 { "PONG abc" } else { "<EOF>" };
        let lines = [("PING", "<EOF>"), ("PING abc", pong), ("QUIT", "<EOF>"), ("garbage FOO BAR", "<EOF>")];
        each(&bridge, &lines, After::Closed).await;
        let lines = [
            ("DEST GENERATE", "DEST REPLY PUB=<516> PRIV=<884>"),
            ("DEST GENERATE SIGNATURE_TYPE=7", "DEST REPLY PUB=<524> PRIV=<908>"),
            ("DEST GENERATE SIGNATURE_TYPE=0", "DEST REPLY PUB=<516> PRIV=<884>"),
            ("DEST GENERATE SIGNATURE_TYPE=11", "DEST REPLY PUB=<524> PRIV=<908>"),
            ("DEST GENERATE SIGNATURE_TYPE=EdDSA_SHA512_Ed25519", "DEST REPLY PUB=<524> PRIV=<908>"),
        ];
        each(&bridge, &lines, After::Open).await;
    }
}

#[tokio::test]
async fn lookups() {
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let unknown = format!("NAMING REPLY RESULT=INVALID_KEY NAME={UNKNOWN_B32}");
        let lines = [
            // Without a session, it answers with a destination of its own.
            ("NAMING LOOKUP NAME=ME", "NAMING REPLY RESULT=OK NAME=ME VALUE=<524>"),
            ("NAMING LOOKUP NAME=nosuch.i2p", "NAMING REPLY RESULT=INVALID_KEY NAME=nosuch.i2p"),
            ("NAMING LOOKUP NAME=foo", "NAMING REPLY RESULT=INVALID_KEY NAME=foo"),
            (&format!("NAMING LOOKUP NAME={UNKNOWN_B32}"), &unknown),
        ];
        each(&bridge, &lines, After::Open).await;
        let (mut client, destination) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let b32 = b32(&destination);
        for name in [&b32, &destination] {
            let answer = client.ask(&format!("NAMING LOOKUP NAME={name}")).await;
            assert_eq!(answer, format!("NAMING REPLY RESULT=OK NAME={name} VALUE={destination}"));
        }
    }
}

#[tokio::test]
async fn refused_sessions() {
    let unknown = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Unknown STYLE\"";
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let (_first, _) = Client::session(&bridge, "taken", "STYLE=STREAM").await;
        let lines = [
            ("SESSION CREATE STYLE=PRIMARY ID=a DESTINATION=TRANSIENT", unknown),
            ("SESSION CREATE STYLE=BOGUS ID=a DESTINATION=TRANSIENT", unknown),
            ("SESSION CREATE STYLE=STREAM ID=a", "SESSION STATUS RESULT=INVALID_KEY"),
            ("SESSION CREATE STYLE=STREAM ID=a DESTINATION=abcd", "SESSION STATUS RESULT=INVALID_KEY"),
            (
                "SESSION CREATE STYLE=STREAM ID=taken DESTINATION=TRANSIENT",
                "SESSION STATUS RESULT=DUPLICATED_ID",
            ),
            // From i2pd's source.
            ("SESSION CREATE STYLE=STREAM ID=a/b DESTINATION=TRANSIENT", "SESSION STATUS RESULT=INVALID_ID"),
        ];
        each(&bridge, &lines, After::Closed).await;
    }
    for dialect in [Dialect::I2pd245, Dialect::I2pd256] {
        let bridge = TestBridge::start_as(dialect).await;
        let lines = [
            ("SESSION CREATE STYLE=DATAGRAM2 ID=a DESTINATION=TRANSIENT", unknown),
            ("SESSION CREATE STYLE=DATAGRAM3 ID=a DESTINATION=TRANSIENT", unknown),
        ];
        each(&bridge, &lines, After::Closed).await;
    }
}

#[tokio::test]
async fn created_sessions() {
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let mut styles = vec!["STREAM", "DATAGRAM", "DATAGRAM PORT=39999 HOST=127.0.0.1", "RAW", "MASTER"];
        if dialect == Dialect::I2pd259 {
            styles.extend(["DATAGRAM2", "DATAGRAM3"]);
        }
        for style in styles {
            let mut client = Client::connect(&bridge).await;
            // Below 3.3, the newer one does not support MASTER.
            client.ask("HELLO VERSION MIN=3.0 MAX=3.3").await;
            let create = format!("SESSION CREATE ID=a DESTINATION=TRANSIENT STYLE={style}");
            assert_eq!(
                shape(&client.ask(&create).await),
                "SESSION STATUS RESULT=OK DESTINATION=<884>",
                "{style}"
            );
            drop(client);
            until(|| bridge.open_sessions() == 0).await;
        }
        // Two sessions may have one destination.
        let key = sam_testkit::private_key();
        let (mut first, mut second) = (Client::hello(&bridge).await, Client::hello(&bridge).await);
        for (client, id) in [(&mut first, "b"), (&mut second, "c")] {
            let answer = client.ask(&format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION={key}")).await;
            assert_eq!(answer, format!("SESSION STATUS RESULT=OK DESTINATION={key}"));
        }
        assert_eq!(bridge.open_sessions(), 2);
    }
}

#[tokio::test]
async fn subsessions_are_for_streams_only() {
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let mut client = Client::hello(&bridge).await;
    let create = "SESSION CREATE STYLE=MASTER ID=m DESTINATION=TRANSIENT";
    assert_eq!(shape(&client.ask(create).await), "SESSION STATUS RESULT=OK DESTINATION=<884>");
    for add in ["ID=sub1 FROM_PORT=0 LISTEN_PORT=0", "ID=sub2 FROM_PORT=80 LISTEN_PORT=80"] {
        let answer = client.ask(&format!("SESSION ADD STYLE=STREAM {add}")).await;
        assert_eq!(shape(&answer), "SESSION STATUS RESULT=OK DESTINATION=<884>");
    }
    let mut stream = Client::stream(&bridge, "sub1", "echo.i2p").await;
    let answer = client.ask("SESSION ADD STYLE=RAW ID=sub3 PORT=38883 HOST=127.0.0.1 FROM_PORT=5").await;
    assert_eq!(answer, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Unsupported STYLE\"");
    assert_eq!(client.line().await, "<EOF>");
    // The error has closed the session and its subsession.
    assert_eq!(stream.line().await, "<EOF>");
    let mut stream = Client::hello(&bridge).await;
    assert_eq!(stream.ask("STREAM ACCEPT ID=sub1").await, "STREAM STATUS RESULT=INVALID_ID");
}

#[tokio::test]
async fn failing_streams() {
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let (mut control, own) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let connect = |to: &str| format!("STREAM CONNECT ID=a DESTINATION={to}");
        let unreachable = match dialect {
            Dialect::I2pd245 => "STREAM STATUS RESULT=CANT_REACH_PEER",
            _ => "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"LeaseSet not found\"",
        };
        let lines = [
            ("STREAM CONNECT ID=x DESTINATION=echo.i2p", "STREAM STATUS RESULT=INVALID_ID"),
            ("STREAM ACCEPT ID=x", "STREAM STATUS RESULT=INVALID_ID"),
            (&connect("abcd"), "STREAM STATUS RESULT=INVALID_KEY"),
            (&connect("nosuch.i2p"), "STREAM STATUS RESULT=INVALID_KEY"),
            (&connect("example.com"), "STREAM STATUS RESULT=INVALID_KEY"),
            (&connect(UNKNOWN_B32), unreachable),
            ("STREAM FORWARD ID=x PORT=1", "STREAM STATUS RESULT=INVALID_ID"),
        ];
        each(&bridge, &lines, After::Closed).await;
        let itself = match dialect {
            Dialect::I2pd245 => "STREAM STATUS RESULT=OK",
            _ => "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Can't connect to myself\"",
        };
        let mut stream = Client::hello(&bridge).await;
        assert_eq!(stream.ask(&connect(&own)).await, itself);
        // From i2pd's source.
        let used = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Socket already in use\"";
        assert_eq!(control.ask(&connect("echo.i2p")).await, used);
    }
}

#[tokio::test]
async fn a_peer_is_named_without_ports() {
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let (_a, a) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    let mut acceptor = Client::hello(&bridge).await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
    let mut stream = Client::hello(&bridge).await;
    let answer = stream.ask(&format!("STREAM CONNECT ID=a DESTINATION={b} FROM_PORT=7 TO_PORT=8")).await;
    assert_eq!(answer, "STREAM STATUS RESULT=OK");
    assert_eq!(acceptor.line().await, a);
}

/// Streams to one session, and what each STREAM ACCEPT of it receives within 5 s.
async fn accepts(dialect: Dialect, pauses: &[f32], streams: usize) -> Vec<&'static str> {
    let bridge = TestBridge::start_as(dialect).await;
    let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    let mut acceptors = Vec::new();
    for pause in pauses {
        sleep(Duration::from_secs_f32(*pause)).await;
        let mut acceptor = Client::hello(&bridge).await;
        assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
        acceptors.push(acceptor);
    }
    let mut open = Vec::new();
    for _ in 0..streams {
        open.push(Client::stream(&bridge, "a", &b).await);
        sleep(Duration::from_millis(700)).await;
    }
    let mut seen = Vec::new();
    for acceptor in &mut acceptors {
        seen.push(match timeout(Duration::from_secs(5), acceptor.line()).await {
            Err(_) => "nothing",
            Ok(line) if line == "<EOF>" => "closed",
            Ok(_) => "peer",
        });
    }
    seen
}

/// Recorded: it agrees to each of them.
#[tokio::test(start_paused = true)]
async fn since_2_56_one_accept_of_a_session_is_served_and_those_beside_it_are_closed() {
    for dialect in [Dialect::I2pd256, Dialect::I2pd259] {
        assert_eq!(accepts(dialect, &[0.0, 0.5], 2).await, ["peer", "closed"], "{dialect:?}");
        let four = accepts(dialect, &[0.0, 0.3, 0.3, 0.3], 4).await;
        assert_eq!(four, ["peer", "closed", "closed", "closed"], "{dialect:?}");
        // Those that have waited for longer are served, one after the other.
        assert_eq!(
            accepts(dialect, &[0.0, 4.0, 4.0], 0).await,
            ["nothing", "nothing", "nothing"],
            "{dialect:?}"
        );
    }
    assert_eq!(accepts(Dialect::I2pd245, &[0.0, 0.5], 2).await, ["peer", "peer"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_an_accept_for_ten_seconds() {
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
        for (pause, served) in [(3, true), (11, false)] {
            let _stream = Client::stream(&bridge, "a", &b).await;
            sleep(Duration::from_secs(pause)).await;
            let mut acceptor = Client::hello(&bridge).await;
            assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
            let line = timeout(Duration::from_secs(1), acceptor.line()).await;
            assert_eq!(line.is_ok(), served, "{dialect:?}, after {pause} s: {line:?}");
        }
    }
}

#[tokio::test]
async fn a_session_forwards_once_and_not_while_it_accepts() {
    let refused = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Already accepting\"";
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let mut acceptor = Client::hello(&bridge).await;
        acceptor.ask("STREAM ACCEPT ID=a").await;
        each(&bridge, &[("STREAM FORWARD ID=a PORT=1", refused)], After::Closed).await;
        let (_b, _) = Client::session(&bridge, "b", "STYLE=STREAM").await;
        let mut forward = Client::hello(&bridge).await;
        assert_eq!(forward.ask("STREAM FORWARD ID=b PORT=1").await, "STREAM STATUS RESULT=OK");
        each(&bridge, &[("STREAM FORWARD ID=b PORT=1", refused)], After::Closed).await;
        let mut acceptor = Client::hello(&bridge).await;
        assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
    }
}

#[tokio::test]
async fn no_accept_is_served_after_the_client_of_one_has_gone_until_another_comes() {
    for dialect in VERSIONS {
        let bridge = TestBridge::start_as(dialect).await;
        let (_a, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
        let (mut first, mut second) = (Client::hello(&bridge).await, Client::hello(&bridge).await);
        for acceptor in [&mut first, &mut second] {
            assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
        }
        first.0.shutdown().await.unwrap();
        assert_eq!(first.line().await, "<EOF>");
        let _stream = Client::stream(&bridge, "a", &b).await;
        let mut third = Client::hello(&bridge).await;
        assert_eq!(third.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
        assert_eq!(shape(&third.line().await), "<524>", "{dialect:?}");
    }
}

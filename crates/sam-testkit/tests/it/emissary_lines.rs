//! emissary-core 0.4.0, as recorded from a running router. `<n>` is a key of n characters, `<EOF>` the end of the connection;
//! an answer before `<EOF>` has no newline.

use sam_testkit::{Dialect, TestBridge};

use crate::client::{Client, b32, shape};

const UNKNOWN_B32: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p";

async fn bridge() -> TestBridge {
    TestBridge::start_as(Dialect::Emissary).await
}

/// Asserts that the line is ignored: the next answer is that to another line.
async fn is_ignored(client: &mut Client, line: &str) {
    client.send(format!("{line}\n")).await;
    client.is_silent().await;
    assert!(client.ask("NAMING LOOKUP NAME=x").await.starts_with("NAMING REPLY RESULT="), "{line}");
}

#[tokio::test]
async fn hello_is_never_refused() {
    let bridge = bridge().await;
    for (limits, version) in
        [("", "3.2"), (" MIN=3.0 MAX=3.0", "3.2"), (" MIN=3.1 MAX=3.1", "3.1"), (" MIN=3.4 MAX=3.9", "3.2")]
    {
        let mut client = Client::connect(&bridge).await;
        let answer = client.ask(&format!("HELLO VERSION{limits}")).await;
        assert_eq!(answer, format!("HELLO REPLY RESULT=OK VERSION={version}"));
    }
    let mut client = Client::connect(&bridge).await;
    assert_eq!(client.ask("hello version min=3.0 max=3.3").await, "<EOF>");
}

#[tokio::test]
async fn unknown_lines_are_ignored() {
    let bridge = bridge().await;
    let (mut client, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    for line in [
        "PING",
        "PING abc",
        "garbage FOO BAR",
        "DEST GENERATE",
        "DEST GENERATE SIGNATURE_TYPE=0",
        "SESSION REMOVE ID=sub2",
        "DATAGRAM SEND DESTINATION=x SIZE=1",
    ] {
        is_ignored(&mut client, line).await;
    }
    for line in [
        "SESSION CREATE STYLE=BOGUS ID=b DESTINATION=TRANSIENT",
        "SESSION CREATE STYLE=DATAGRAM ID=b DESTINATION=TRANSIENT",
        "SESSION CREATE STYLE=RAW ID=b DESTINATION=TRANSIENT",
        "SESSION CREATE STYLE=DATAGRAM2 ID=b DESTINATION=TRANSIENT",
        "SESSION CREATE STYLE=DATAGRAM3 ID=b DESTINATION=TRANSIENT PORT=39999 HOST=127.0.0.1",
        "SESSION CREATE STYLE=STREAM ID=b DESTINATION=TRANSIENT inbound.length=0 outbound.length=0",
        "SESSION CREATE STYLE=STREAM ID=b",
        "SESSION CREATE STYLE=STREAM ID=b DESTINATION=abcd",
    ] {
        let mut client = Client::hello(&bridge).await;
        is_ignored(&mut client, line).await;
    }
    let mut client = Client::hello(&bridge).await;
    assert_eq!(client.ask("QUIT").await, "<EOF>");
    assert_eq!(bridge.open_sessions(), 1);
}

#[tokio::test]
async fn sessions() {
    let bridge = bridge().await;
    for (id, options) in [
        ("a", "STYLE=STREAM"),
        ("b", "STYLE=STREAM SIGNATURE_TYPE=7 inbound.length=1 outbound.length=1 i2cp.leaseSetEncType=4"),
        ("c", "STYLE=DATAGRAM PORT=39999 HOST=127.0.0.1"),
        ("d", "STYLE=RAW PORT=39999 HOST=127.0.0.1"),
        ("e", "STYLE=DATAGRAM2 PORT=39999 HOST=127.0.0.1"),
        ("f", "STYLE=PRIMARY"),
        ("g", "STYLE=MASTER"),
    ] {
        let mut client = Client::hello(&bridge).await;
        let answer = client.ask(&format!("SESSION CREATE ID={id} DESTINATION=TRANSIENT {options}")).await;
        assert_eq!(shape(&answer), "SESSION STATUS RESULT=OK DESTINATION=<908>", "{options}");
    }
    let mut client = Client::hello(&bridge).await;
    assert_eq!(shape(&client.ask("DEST GENERATE SIGNATURE_TYPE=7").await), "DEST REPLY PUB=<524> PRIV=<908>");
    let (_first, _) = Client::session(&bridge, "taken", "STYLE=STREAM").await;
    let mut client = Client::hello(&bridge).await;
    let answer = client.ask("SESSION CREATE STYLE=STREAM ID=taken DESTINATION=TRANSIENT").await;
    assert_eq!(answer, "SESSION STATUS RESULT=DUPLICATE_ID<EOF>");
    let key = sam_testkit::private_key();
    let create = |id: &str| format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION={key}");
    let mut first = Client::hello(&bridge).await;
    assert_eq!(first.ask(&create("k")).await, format!("SESSION STATUS RESULT=OK DESTINATION={key}"));
    let mut second = Client::hello(&bridge).await;
    assert_eq!(second.ask(&create("l")).await, "SESSION STATUS RESULT=DUPLICATE_DEST<EOF>");
}

#[tokio::test]
async fn subsessions() {
    let bridge = bridge().await;
    let (mut client, _) = Client::session(&bridge, "m", "STYLE=PRIMARY").await;
    for (id, options) in [
        ("sub1", "STYLE=STREAM ID=sub1 FROM_PORT=0 LISTEN_PORT=0"),
        ("sub2", "STYLE=STREAM ID=sub2 FROM_PORT=80 LISTEN_PORT=80"),
        ("sub3", "STYLE=RAW ID=sub3 PORT=38883 HOST=127.0.0.1 FROM_PORT=5"),
        ("sub4", "STYLE=DATAGRAM ID=sub4 PORT=38884 HOST=127.0.0.1 FROM_PORT=6"),
        ("sub5", "STYLE=DATAGRAM2 ID=sub5 PORT=38885 HOST=127.0.0.1 FROM_PORT=7"),
    ] {
        let answer = client.ask(&format!("SESSION ADD {options}")).await;
        assert_eq!(answer, format!("SESSION STATUS RESULT=OK ID=\"{id}\" MESSAGE=\"ADD {id}\""));
    }
    let answer = client.ask("SESSION ADD STYLE=STREAM ID=sub1 FROM_PORT=0").await;
    assert_eq!(answer, "SESSION STATUS RESULT=DUPLICATE_ID");
    is_ignored(&mut client, "SESSION ADD STYLE=RAW ID=sub6 FROM_PORT=9").await;
    // From the source: one for each port, of any kind, and none is ever removed.
    is_ignored(&mut client, "SESSION REMOVE ID=sub4").await;
    for style in ["DATAGRAM", "RAW"] {
        let answer = client.ask(&format!("SESSION ADD STYLE={style} ID=again PORT=38886 FROM_PORT=6")).await;
        assert_eq!(answer, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"invalid datagram configuration\"");
    }
}

#[tokio::test]
async fn lookups_need_a_session() {
    let bridge = bridge().await;
    let mut client = Client::hello(&bridge).await;
    for name in ["ME", "nosuch.i2p", "known.i2p", "foo", UNKNOWN_B32] {
        let answer = client.ask(&format!("NAMING LOOKUP NAME={name}")).await;
        assert_eq!(answer, format!("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={name}"));
    }
    let (mut client, own) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let b32 = b32(&own);
    for (name, answer) in [
        ("nosuch.i2p", "KEY_NOT_FOUND NAME=nosuch.i2p".to_owned()),
        ("foo", "INVALID_KEY NAME=foo".to_owned()),
        (UNKNOWN_B32, format!("KEY_NOT_FOUND NAME={UNKNOWN_B32}")),
        (&own, format!("INVALID_KEY NAME={own}")),
        (&b32, format!("OK NAME={b32} VALUE={own}")),
        ("known.i2p", format!("OK NAME=known.i2p VALUE={}", sam_testkit::destination())),
    ] {
        let line = client.ask(&format!("NAMING LOOKUP NAME={name}")).await;
        assert_eq!(line, format!("NAMING REPLY RESULT={answer}"));
    }
}

#[tokio::test]
async fn streams() {
    let bridge = bridge().await;
    let (_a, a) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    for (line, answer) in [
        ("STREAM CONNECT ID=x DESTINATION=echo.i2p", "<EOF>"),
        ("STREAM ACCEPT ID=x", "<EOF>"),
        ("STREAM CONNECT ID=a DESTINATION=nosuch.i2p", "<EOF>"),
        (
            &format!("STREAM CONNECT ID=a DESTINATION={UNKNOWN_B32}"),
            "STREAM STATUS RESULT=CANT_REACH_PEER<EOF>",
        ),
        (&format!("STREAM CONNECT ID=a DESTINATION={a}"), "STREAM STATUS RESULT=CANT_REACH_PEER"),
        (
            &format!("STREAM CONNECT ID=a DESTINATION={}", sam_testkit::destination()),
            "STREAM STATUS RESULT=OK",
        ),
        // Nobody accepts; the stream stays open.
        (&format!("STREAM CONNECT ID=a DESTINATION={b}"), "STREAM STATUS RESULT=OK"),
        ("STREAM FORWARD ID=b PORT=1 HOST=127.0.0.1", "STREAM STATUS RESULT=OK"),
    ] {
        let mut client = Client::hello(&bridge).await;
        assert_eq!(client.ask(line).await, answer, "{line}");
    }
    // The forwarding ends with its connection.
    let mut tries = 0;
    let mut acceptor = loop {
        let mut acceptor = Client::hello(&bridge).await;
        if acceptor.ask("STREAM ACCEPT ID=b").await == "STREAM STATUS RESULT=OK" {
            break acceptor;
        }
        tries += 1;
        assert!(tries < 100, "the forwarding is still there");
    };
    let mut stream = Client::stream(&bridge, "a", &b).await;
    assert_eq!(acceptor.line().await, a);
    stream.send("hi").await;
    assert_eq!(&acceptor.bytes::<2>().await, b"hi");
    let mut forward = Client::hello(&bridge).await;
    assert_eq!(forward.ask("STREAM FORWARD ID=b PORT=1 HOST=127.0.0.1").await, "STREAM STATUS RESULT=OK");
    let mut acceptor = Client::hello(&bridge).await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=I2P_ERROR");
    for line in ["STREAM CONNECT ID=a DESTINATION=abcd", "STREAM CONNECT ID=a DESTINATION=example.com"] {
        let mut client = Client::hello(&bridge).await;
        is_ignored(&mut client, line).await;
    }
}

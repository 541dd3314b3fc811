//! The client with bridges that answer as real routers do only sometimes.

use std::time::Duration;

use i2p_name::{HostName, I2pName};
use i2p_sam::{Accepted, Bridge, Error, Phase, Ports, ResultWord, Session, SessionOptions, Timeouts};
use sam_testkit::{Act, Dialect, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn session(bridge: &TestBridge) -> Result<Session, Error> {
    Bridge::new(bridge.address()).create_session(&SessionOptions::default()).await
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn name(name: &str) -> I2pName {
    I2pName::parse(name).unwrap()
}

#[tokio::test]
async fn a_stream_carries_bytes_and_starts_right_after_the_status() {
    let bridge = TestBridge::start().await;
    // The status and the far end's data arrive in one segment: the client must not lose the data.
    bridge.on("STREAM CONNECT", [Act::Send(b"STREAM STATUS RESULT=OK\nhello ".to_vec()), Act::Echo]);
    let session = session(&bridge).await.unwrap();
    assert_eq!(session.destination().to_base64(), bridge.sessions()[0].destination);
    let mut stream = session.connect(&name("known.i2p"), 80).await.unwrap();
    stream.write_all(b"world").await.unwrap();
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello world");
    let connect = bridge.commands().pop().unwrap();
    assert!(connect.ends_with("DESTINATION=known.i2p SILENT=false TO_PORT=80"), "{connect}");
}

#[tokio::test]
async fn answers_may_arrive_byte_by_byte() {
    let bridge = TestBridge::start().await;
    let bytes = b"STREAM STATUS RESULT=OK\n".iter();
    bridge.on(
        "STREAM CONNECT",
        bytes
            .flat_map(|&byte| [Act::Send(vec![byte]), Act::Wait(Duration::from_millis(1))])
            .chain([Act::Echo]),
    );
    let session = session(&bridge).await.unwrap();
    session.connect(&name("known.i2p"), 0).await.unwrap();
}

#[tokio::test]
async fn the_last_line_may_lack_its_newline() {
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::Send(b"STREAM STATUS RESULT=CANT_REACH_PEER".to_vec()), Act::Close]);
    let session = session(&bridge).await.unwrap();
    let error = session.connect(&name("known.i2p"), 0).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Refused { phase: Phase::StreamConnect, result: ResultWord::CantReachPeer, .. }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_error_may_arrive_as_a_session_status() {
    let bridge = TestBridge::start().await;
    bridge
        .on("STREAM CONNECT", [Act::line("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Socket \\u{1b}busy\"")]);
    let session = session(&bridge).await.unwrap();
    let error = session.connect(&name("known.i2p"), 0).await.unwrap_err();
    assert!(matches!(error, Error::Refused { result: ResultWord::I2pError, .. }), "{error}");
}

#[tokio::test]
async fn names_are_looked_up_one_after_the_other() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    let known = format!("NAMING REPLY RESULT=OK NAME=known.i2p VALUE={}", sam_testkit::destination());
    // If the second lookup were sent with the first, it would be recorded here.
    bridge.on("NAMING LOOKUP NAME=known.i2p", [Act::Listen(Duration::from_millis(100)), Act::line(&known)]);
    let session = session(&bridge).await.unwrap();
    let (known, unknown) = (host("known.i2p"), host("unknown.i2p"));
    let (known, unknown) = tokio::join!(session.lookup(&known), session.lookup(&unknown));
    assert_eq!(known.unwrap().to_base64(), sam_testkit::destination());
    let error = unknown.unwrap_err();
    assert!(matches!(error, Error::Refused { result: ResultWord::KeyNotFound, .. }), "{error}");
    assert!(
        bridge.commands().contains(&String::new()),
        "the second lookup did not wait: {:?}",
        bridge.commands()
    );
}

#[tokio::test]
async fn an_abandoned_lookup_does_not_delay_another() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    bridge.on("NAMING LOOKUP NAME=slow.i2p", []);
    let session = session(&bridge).await.unwrap();
    let limit = Duration::from_millis(50);
    assert!(tokio::time::timeout(limit, session.lookup(&host("slow.i2p"))).await.is_err());
    let known = tokio::time::timeout(Duration::from_secs(10), session.lookup(&host("known.i2p"))).await;
    known.expect("the lookup before was given up").unwrap();
}

#[tokio::test]
async fn a_ping_on_a_stream_is_skipped_and_not_answered() {
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::line("PING 1"), Act::line("STREAM STATUS RESULT=OK"), Act::Echo]);
    let session = session(&bridge).await.unwrap();
    let mut stream = session.connect(&name("known.i2p"), 0).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x', "a PONG would be sent back first");
}

#[tokio::test]
async fn a_late_answer_to_another_lookup_is_not_taken_for_this_one() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    let late = format!("NAMING REPLY RESULT=OK NAME=late.i2p VALUE={}", sam_testkit::destination());
    let session = session(&bridge).await.unwrap();
    bridge
        .on("NAMING LOOKUP", [Act::line(&late), Act::line("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={NAME}")]);
    let error = session.lookup(&host("wanted.i2p")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { result: ResultWord::KeyNotFound, .. }), "{error}");
}

#[tokio::test]
async fn a_ping_is_answered_and_the_session_continues() {
    let bridge = TestBridge::start().await;
    let session = session(&bridge).await.unwrap();
    bridge.push_to_sessions("PING 1763870000123");
    while !bridge.commands().contains(&"PONG 1763870000123".to_owned()) {
        tokio::task::yield_now().await;
    }
    session.lookup(&host("known.i2p")).await.unwrap();
}

#[tokio::test]
async fn a_killed_router_ends_all_operations_with_session_lost() {
    let mut bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::Hang]);
    let session = session(&bridge).await.unwrap();
    let waiting = {
        let session = session.clone();
        tokio::spawn(async move { session.connect(&name("known.i2p"), 0).await })
    };
    while !bridge.commands().iter().any(|line| line.starts_with("STREAM CONNECT")) {
        tokio::task::yield_now().await;
    }
    assert!(session.is_alive());
    bridge.kill().await;
    assert!(matches!(waiting.await.unwrap(), Err(Error::SessionLost)));
    session.lost().await;
    assert!(!session.is_alive());
    assert!(matches!(session.lookup(&host("known.i2p")).await, Err(Error::SessionLost)));
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_session() {
    let bridge = TestBridge::start().await;
    let session = session(&bridge).await.unwrap();
    let clone = session.clone();
    drop(session);
    clone.lookup(&host("known.i2p")).await.unwrap();
    assert_eq!(bridge.open_sessions(), 1);
    drop(clone);
    while bridge.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_that_is_no_bridge_is_reported() {
    let bridge = TestBridge::start().await;
    bridge.on("HELLO", [Act::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Act::Close]);
    let error = session(&bridge).await.unwrap_err();
    assert!(matches!(error, Error::NotSam { .. }), "{error}");

    bridge.on("HELLO", [Act::line("HELLO REPLY RESULT=NOVERSION")]);
    let error = session(&bridge).await.unwrap_err();
    assert!(matches!(error, Error::Refused { result: ResultWord::NoVersion, .. }), "{error}");

    // Fatal alerts of TLS 1.0 to 1.3: unexpected message, whose code is that of a newline, and protocol version.
    for alert in [[21, 3, 1, 0, 2, 2, 10], [21, 3, 3, 0, 2, 2, 70]] {
        bridge.on("HELLO", [Act::Send(alert.to_vec()), Act::Close]);
        let error = session(&bridge).await.unwrap_err();
        assert!(matches!(error, Error::ExpectsTls { .. }), "{error}");
    }
    bridge.on("HELLO", [Act::Send(vec![b'x'; 100_000]), Act::Hang]);
    let error = session(&bridge).await.unwrap_err();
    assert!(matches!(error, Error::NotSam { .. }), "{error}");

    let mut gone = TestBridge::start().await;
    gone.kill().await;
    let error = session(&gone).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

/// A router that is killed while a client says HELLO is no other program.
#[tokio::test]
async fn a_connection_that_ends_during_hello_is_reported_as_closed() {
    let bridge = TestBridge::start().await;
    bridge.on("HELLO", [Act::Close]);
    let error = session(&bridge).await.unwrap_err();
    assert!(matches!(error, Error::ClosedAtHello { .. }), "{error}");
    assert!(error.is_unreachable() && !error.needs_other_configuration());
}

#[tokio::test]
async fn an_endless_line_is_an_error() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Send(vec![b'x'; 100_000]), Act::Hang]);
    let error = session(&bridge).await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { phase: Phase::SessionCreate }), "{error}");
}

#[tokio::test]
async fn each_timeout_names_its_phase() {
    let bridge = TestBridge::start().await;
    let limit = Duration::from_millis(50);
    let timeouts = Timeouts {
        session_create: limit,
        naming_lookup: limit,
        stream_connect: limit,
        ..Timeouts::default()
    };
    let client = Bridge::new(bridge.address()).with_timeouts(timeouts);
    let session = client.create_session(&SessionOptions::default()).await.unwrap();
    for command in ["SESSION CREATE", "NAMING LOOKUP", "STREAM CONNECT"] {
        bridge.on(command, [Act::Hang]);
    }
    let stream = session.connect(&name("known.i2p"), 0).await.unwrap_err();
    assert!(matches!(stream, Error::Timeout { phase: Phase::StreamConnect, .. }), "{stream}");
    let create = client.create_session(&SessionOptions::default()).await.unwrap_err();
    assert!(matches!(create, Error::Timeout { phase: Phase::SessionCreate, .. }), "{create}");
    bridge.on("NAMING LOOKUP NAME=known.i2p", [Act::Hang]);
    let lookup = session.lookup(&host("known.i2p")).await.unwrap_err();
    assert!(matches!(lookup, Error::Timeout { phase: Phase::NamingLookup, .. }), "{lookup}");
}

#[tokio::test]
async fn a_refused_session_reports_why() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::line("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no tunnels\"")]);
    let error = session(&bridge).await.unwrap_err().to_string();
    assert_eq!(error, "the router answered I2P_ERROR (no tunnels) while creating a session");
}

#[tokio::test]
async fn an_accepted_stream_has_its_peers_destination() {
    let bridge = TestBridge::start().await;
    let accepted =
        format!("STREAM STATUS RESULT=OK\n{} FROM_PORT=0 TO_PORT=80\nGET", sam_testkit::destination());
    bridge.on("STREAM ACCEPT", [Act::Send(accepted.into_bytes()), Act::Hang]);
    let session = session(&bridge).await.unwrap();
    let Accepted { mut stream, peer, ports } = session.accept().await.unwrap();
    assert_eq!((peer.to_base64(), ports), (sam_testkit::destination(), Ports { from: 0, to: 80 }));
    let mut first = [0; 3];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"GET");
}

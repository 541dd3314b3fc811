//! A session ends with its control connection, and so do its streams and subsessions.

use sam_testkit::{Act, TestBridge};

use crate::client::{Client, until};

#[tokio::test]
async fn each_session_has_a_destination_of_its_own() {
    let bridge = TestBridge::start().await;
    let (_a, a) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let (_b, b) = Client::session(&bridge, "b", "STYLE=STREAM").await;
    assert_ne!(a, b);
    let mut sessions: Vec<_> =
        bridge.sessions().into_iter().map(|session| (session.id, session.destination)).collect();
    sessions.sort();
    assert_eq!(sessions, [("a".to_owned(), a), ("b".to_owned(), b)]);
}

#[tokio::test]
async fn streams_and_subsessions_end_with_their_session() {
    let bridge = TestBridge::start().await;
    let (control, _) = Client::session(&bridge, "m", "STYLE=PRIMARY").await;
    let (_other, _) = Client::session(&bridge, "other", "STYLE=STREAM").await;
    let mut control = control;
    control.ask("SESSION ADD STYLE=STREAM ID=sub").await;
    let mut stream = Client::stream(&bridge, "sub", "echo.i2p").await;
    let mut kept = Client::stream(&bridge, "other", "echo.i2p").await;
    let mut acceptor = Client::hello(&bridge).await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=sub").await, "STREAM STATUS RESULT=OK");
    bridge.on("STREAM CONNECT ID=sub", [Act::Hang]);
    let mut scripted = Client::hello(&bridge).await;
    scripted.send("STREAM CONNECT ID=sub DESTINATION=echo.i2p\n").await;
    until(|| bridge.commands().iter().filter(|line| line.starts_with("STREAM CONNECT ID=sub")).count() == 2)
        .await;
    assert_eq!((bridge.open_sessions(), bridge.open_streams()), (2, 2));

    drop(control);
    for client in [&mut stream, &mut acceptor, &mut scripted] {
        assert_eq!(client.line().await, "<EOF>");
    }
    until(|| (bridge.open_sessions(), bridge.open_streams()) == (1, 1)).await;
    kept.send("x").await;
    assert_eq!(&kept.bytes::<1>().await, b"x");
}

#[tokio::test]
async fn removing_a_subsession_ends_only_its_streams() {
    let bridge = TestBridge::start().await;
    let (mut control, _) = Client::session(&bridge, "m", "STYLE=PRIMARY").await;
    control.ask("SESSION ADD STYLE=STREAM ID=one").await;
    control.ask("SESSION ADD STYLE=STREAM ID=two LISTEN_PORT=2 FROM_PORT=2").await;
    let mut one = Client::stream(&bridge, "one", "echo.i2p").await;
    let mut two = Client::stream(&bridge, "two", "echo.i2p").await;
    control.ask("SESSION REMOVE ID=one").await;
    assert_eq!(one.line().await, "<EOF>");
    two.send("x").await;
    assert_eq!(&two.bytes::<1>().await, b"x");
}

#[tokio::test]
async fn lost_control_connections_leave_the_port_open() {
    let bridge = TestBridge::start().await;
    let (mut control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let mut stream = Client::stream(&bridge, "a", "echo.i2p").await;
    // A script that has not finished does not delay the end.
    bridge.on("NAMING LOOKUP NAME=slow.i2p", [Act::Hang]);
    control.send("NAMING LOOKUP NAME=slow.i2p\n").await;
    until(|| bridge.commands().contains(&"NAMING LOOKUP NAME=slow.i2p".to_owned())).await;
    bridge.drop_control_connections();
    assert_eq!(control.line().await, "<EOF>");
    assert_eq!(stream.line().await, "<EOF>");
    assert_eq!(bridge.open_sessions(), 0);
    Client::session(&bridge, "a", "STYLE=STREAM").await;
}

#[tokio::test]
async fn a_killed_bridge_restarts_without_sessions() {
    let mut bridge = TestBridge::start().await;
    let address = (bridge.address(), bridge.udp_address());
    let (mut control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let mut stream = Client::stream(&bridge, "a", "echo.i2p").await;
    bridge.kill().await;
    assert_eq!((bridge.open_sessions(), bridge.open_streams()), (0, 0));
    assert!(tokio::net::TcpStream::connect(bridge.address()).await.is_err());
    assert_eq!(control.line().await, "<EOF>");
    assert_eq!(stream.line().await, "<EOF>");
    bridge.restart().await;
    assert_eq!((bridge.address(), bridge.udp_address()), address);
    let (mut control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    Client::stream(&bridge, "a", "echo.i2p").await;
    // Again, without a kill before.
    bridge.restart().await;
    assert_eq!(control.line().await, "<EOF>");
    Client::session(&bridge, "a", "STYLE=STREAM").await;
}

#[tokio::test]
async fn unsolicited_lines_are_sent_to_sessions_only() {
    let bridge = TestBridge::start().await;
    let (mut control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let mut idle = Client::hello(&bridge).await;
    bridge.push_to_sessions("PING 5");
    assert_eq!(control.line().await, "PING 5");
    assert_eq!(idle.ask("PING mine").await, "PONG mine");
}

#[tokio::test]
async fn everything_is_recorded() {
    let bridge = TestBridge::start().await;
    let (_control, destination) = Client::session(&bridge, "a", "STYLE=STREAM FROM_PORT=3").await;
    let mut stream = Client::hello(&bridge).await;
    let connect = "STREAM CONNECT ID=a DESTINATION=nosuch.i2p TO_PORT=80";
    stream.ask(connect).await;
    let streams = bridge.streams();
    assert_eq!(streams.len(), 1);
    assert_eq!((streams[0].session.as_str(), streams[0].to.as_str()), ("a", "nosuch.i2p"));
    assert_eq!(
        (streams[0].from.as_str(), streams[0].from_port, streams[0].to_port),
        (destination.as_str(), 3, 80)
    );
    let commands = bridge.commands();
    assert_eq!(commands[1..], ["NAMING LOOKUP NAME=ME", connect]);
    let transcript = bridge.transcript();
    let lines: Vec<_> = transcript.iter().map(|record| (record.connection, record.line.as_str())).collect();
    let hello = "HELLO VERSION MIN=3.1 MAX=3.3";
    assert_eq!(lines[0], (1, hello));
    assert_eq!(lines[3..], [(2, hello), (2, connect)]);
    assert_eq!(bridge.accepted_connections(), 2);
}

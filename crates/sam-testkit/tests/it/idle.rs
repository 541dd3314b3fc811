//! When a bridge stops waiting for a client. The clock is tokio's and paused, so that minutes pass at once.

use std::time::Duration;

use sam_testkit::{Dialect, TestBridge};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::Instant,
};

/// A client without time limits: a paused clock would reach those of `Client`.
struct PatientClient(BufReader<TcpStream>);

impl PatientClient {
    async fn connect(bridge: &TestBridge) -> Self {
        Self(BufReader::new(TcpStream::connect(bridge.address()).await.unwrap()))
    }

    async fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }

    async fn hello(bridge: &TestBridge, limits: &str) -> Self {
        let mut client = Self::connect(bridge).await;
        client.send(&format!("HELLO VERSION{limits}")).await;
        assert!(client.line().await.contains("RESULT=OK"));
        client
    }
}

fn about(since: Instant, seconds: u64) -> bool {
    since.elapsed().abs_diff(Duration::from_secs(seconds)) < Duration::from_secs(1)
}

#[tokio::test(start_paused = true)]
async fn java_sends_a_ping_and_waits_for_the_pong() {
    // Java I2P 2.7.0, "idle session control connection": PING after 180 s, the end after 360 s.
    let bridge = TestBridge::start().await;
    let mut client = PatientClient::hello(&bridge, "").await;
    let begin = Instant::now();
    let ping = client.line().await;
    let text = ping.strip_prefix("PING ").unwrap().trim_end().to_owned();
    assert!(text.parse::<u64>().is_ok() && about(begin, 180), "{ping}");
    client.send(&format!("PONG {text}")).await;
    let begin = Instant::now();
    assert!(client.line().await.starts_with("PING ") && about(begin, 180));
    assert_eq!(client.line().await, "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"PONG timeout\"\n");
    assert!(about(begin, 360));
    assert_eq!(client.line().await, "");
}

#[tokio::test(start_paused = true)]
async fn java_waits_a_minute_for_hello() {
    let bridge = TestBridge::start().await;
    let begin = Instant::now();
    let mut client = PatientClient::connect(&bridge).await;
    let answer = client.line().await;
    assert_eq!(answer, "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Timeout waiting for HELLO VERSION\"\n");
    assert!(about(begin, 60));
    assert_eq!(client.line().await, "");
}

#[tokio::test(start_paused = true)]
async fn java_waits_for_ever_for_old_versions_after_a_first_command() {
    let bridge = TestBridge::start().await;
    let begin = Instant::now();
    let mut client = PatientClient::hello(&bridge, " MAX=3.1").await;
    let answer = client.line().await;
    assert!(answer.starts_with("SESSION STATUS RESULT=I2P_ERROR ") && about(begin, 60), "{answer}");
    let mut client = PatientClient::hello(&bridge, " MAX=3.1").await;
    client.send("PING").await;
    assert_eq!(client.line().await, "PONG\n");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    client.send("PING again").await;
    assert_eq!(client.line().await, "PONG again\n");
}

#[tokio::test(start_paused = true)]
async fn emissary_waits_ten_seconds() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    let begin = Instant::now();
    assert_eq!(PatientClient::connect(&bridge).await.line().await, "");
    assert!(about(begin, 10));
    let mut client = PatientClient::hello(&bridge, "").await;
    let begin = Instant::now();
    // As recorded, an ignored line does not count: "SESSION STYLE=BOGUS: 10.0s <EOF>".
    tokio::time::sleep(Duration::from_secs(5)).await;
    client.send("SESSION CREATE STYLE=BOGUS ID=a DESTINATION=TRANSIENT").await;
    assert_eq!(client.line().await, "");
    assert!(about(begin, 10));
    let mut session = PatientClient::hello(&bridge, "").await;
    session.send("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT").await;
    assert!(session.line().await.contains("RESULT=OK"));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    session.send("NAMING LOOKUP NAME=foo").await;
    assert_eq!(session.line().await, "NAMING REPLY RESULT=INVALID_KEY NAME=foo\n");
}

#[tokio::test(start_paused = true)]
async fn i2pd_reports_success_and_closes_when_nobody_accepts() {
    // As recorded: "connect, no acceptor: OK 0.0s", "then: b'' after: 10.0s".
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let mut sessions = Vec::new();
    for id in ["a", "b"] {
        let mut session = PatientClient::hello(&bridge, "").await;
        session.send(&format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION=TRANSIENT")).await;
        session.line().await;
        sessions.push(session);
    }
    let to = bridge.sessions().into_iter().find(|session| session.id == "b").unwrap().destination;
    let mut stream = PatientClient::hello(&bridge, "").await;
    let begin = Instant::now();
    stream.send(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await;
    assert_eq!(stream.line().await, "STREAM STATUS RESULT=OK\n");
    assert_eq!(stream.line().await, "");
    assert!(about(begin, 10));
}

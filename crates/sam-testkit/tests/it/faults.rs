//! Faults that a test can script.

use std::time::Duration;

use sam_testkit::{Act, Dialect, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::client::{Client, until};

const CREATE: &str = "SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT";

#[tokio::test]
async fn a_session_can_be_refused_once_and_late_the_next_time() {
    let bridge = TestBridge::start().await;
    let refusal = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no tunnels\"";
    bridge.once("SESSION CREATE", Act::refuse(refusal));
    bridge.once("SESSION CREATE", Act::late(Duration::from_millis(80)));
    let mut client = Client::hello(&bridge).await;
    assert_eq!(client.ask(CREATE).await, refusal);
    assert_eq!(client.line().await, "<EOF>");
    let mut client = Client::hello(&bridge).await;
    let begin = Instant::now();
    client.send(format!("{CREATE}\n")).await;
    client.is_silent().await;
    assert_eq!(bridge.open_sessions(), 0);
    assert!(client.line().await.starts_with("SESSION STATUS RESULT=OK "));
    assert!(begin.elapsed() >= Duration::from_millis(80));
    assert_eq!(bridge.open_sessions(), 1);
}

#[tokio::test]
async fn a_script_can_add_to_the_healthy_answer() {
    let bridge = TestBridge::start().await;
    bridge.on("NAMING LOOKUP", [Act::line("PING {NAME}"), Act::Behave, Act::Close]);
    let mut client = Client::hello(&bridge).await;
    assert_eq!(client.ask("NAMING LOOKUP NAME=nosuch.i2p").await, "PING nosuch.i2p");
    assert_eq!(client.line().await, "NAMING REPLY RESULT=KEY_NOT_FOUND NAME=nosuch.i2p");
    assert_eq!(client.line().await, "<EOF>");
}

#[tokio::test]
async fn a_scripted_hello_counts_as_a_hello() {
    let bridge = TestBridge::start_as(Dialect::Emissary).await;
    bridge.on("HELLO", [Act::line("HELLO REPLY RESULT=OK VERSION=3.9")]);
    let mut client = Client::connect(&bridge).await;
    assert_eq!(client.ask("HELLO VERSION").await, "HELLO REPLY RESULT=OK VERSION=3.9");
    assert!(client.ask(CREATE).await.starts_with("SESSION STATUS RESULT=OK "));
}

#[tokio::test]
async fn a_refusal_can_lack_its_newline() {
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", Act::refuse_without_newline("STREAM STATUS RESULT=TIMEOUT"));
    let mut client = Client::hello(&bridge).await;
    assert_eq!(client.ask("STREAM CONNECT ID=a DESTINATION=x").await, "STREAM STATUS RESULT=TIMEOUT<EOF>");
}

/// The sizes of single reads, up to a newline.
async fn reads(client: &mut Client) -> Vec<usize> {
    let mut reads = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let count = client.0.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0);
        reads.push(count);
        if bytes[..count].ends_with(b"\n") {
            return reads;
        }
    }
}

#[tokio::test]
async fn answers_can_be_sent_byte_by_byte() {
    let bridge = TestBridge::start().await;
    let mut client = Client::hello(&bridge).await;
    bridge.split_answers(true);
    client.send("PING 1\n").await;
    assert_eq!(reads(&mut client).await, [1; 7]);
    bridge.split_answers(false);
    client.send("PING 1\n").await;
    assert_eq!(reads(&mut client).await, [7]);
    bridge.on("PING", [Act::Split(b"PONG 1\n".to_vec(), Duration::from_millis(1))]);
    client.send("PING 1\n").await;
    assert_eq!(reads(&mut client).await, [1; 7]);
}

#[tokio::test]
async fn a_hang_keeps_the_connection() {
    let bridge = TestBridge::start().await;
    bridge.on("PING", [Act::Hang]);
    let mut client = Client::hello(&bridge).await;
    client.send("PING 1\nHELP\n").await;
    client.is_silent().await;
}

#[tokio::test]
async fn what_arrives_meanwhile_is_recorded() {
    let bridge = TestBridge::start().await;
    bridge.on("HELP", [Act::Listen(Duration::from_millis(50)), Act::line("HEARD")]);
    let mut client = Client::hello(&bridge).await;
    client.send("HELP\nand\nmore").await;
    assert_eq!(client.line().await, "HEARD");
    assert_eq!(bridge.commands(), ["HELP", "and\nmore"]);
}

#[tokio::test]
async fn streams_can_be_scripted() {
    let bridge = TestBridge::start().await;
    let ok = || Act::line("STREAM STATUS RESULT=OK");
    bridge.once("STREAM CONNECT", [ok(), Act::Echo]);
    bridge.once("STREAM CONNECT", [ok(), Act::AnswerAfterFin(b"late".to_vec())]);
    for answer in ["hello", "late"] {
        let mut stream = Client::hello(&bridge).await;
        assert_eq!(stream.ask("STREAM CONNECT ID=none DESTINATION=x").await, "STREAM STATUS RESULT=OK");
        stream.send("hello").await;
        stream.0.shutdown().await.unwrap();
        assert_eq!(stream.rest().await, answer.as_bytes());
    }
    until(|| bridge.open_streams() == 0).await;
}

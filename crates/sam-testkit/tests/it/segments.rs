//! Lines that arrive in one TCP segment, or in several.

use sam_testkit::{Dialect, TestBridge};

use crate::client::Client;

#[tokio::test]
async fn java_keeps_what_follows_a_line() {
    let bridge = TestBridge::start().await;
    let mut client = Client::connect(&bridge).await;
    client.send("HELLO VERSION\nPING 1\nPING 2\n").await;
    for answer in ["HELLO REPLY RESULT=OK VERSION=3.3", "PONG 1", "PONG 2"] {
        assert_eq!(client.line().await, answer);
    }
    let (_control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let mut stream = Client::hello(&bridge).await;
    stream.send("STREAM CONNECT ID=a DESTINATION=echo.i2p\nearly").await;
    assert_eq!(stream.line().await, "STREAM STATUS RESULT=OK");
    assert_eq!(&stream.bytes::<5>().await, b"early");
}

#[tokio::test]
async fn i2pd_and_emissary_lose_what_follows_a_line() {
    for dialect in [Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary] {
        let bridge = TestBridge::start_as(dialect).await;
        let (mut control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
        // As recorded: "2 lookups pipelined: TimeoutError".
        control.send("NAMING LOOKUP NAME=a.i2p\nNAMING LOOKUP NAME=b.i2p\n").await;
        let answer = control.line().await;
        assert!(answer.ends_with(" NAME=a.i2p"), "{answer}");
        let answer = control.ask("NAMING LOOKUP NAME=c.i2p").await;
        assert!(answer.ends_with(" NAME=c.i2p"), "{answer}");
        let mut stream = Client::hello(&bridge).await;
        stream.send("STREAM CONNECT ID=a DESTINATION=echo.i2p\nearly").await;
        assert_eq!(stream.line().await, "STREAM STATUS RESULT=OK");
        stream.send("later").await;
        assert_eq!(&stream.bytes::<5>().await, b"later");
    }
}

#[tokio::test]
async fn a_line_may_arrive_in_pieces_except_for_i2pds_hello() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::Emissary] {
        let bridge = TestBridge::start_as(dialect).await;
        let mut client = Client::connect(&bridge).await;
        client.send("HELLO VER").await;
        if dialect == Dialect::I2pd245 {
            assert_eq!(client.line().await, "<EOF>");
            continue;
        }
        client.is_silent().await;
        let answer = client.ask("SION").await;
        assert!(answer.starts_with("HELLO REPLY RESULT=OK"), "{answer}");
        client.send("NAMING LOOKUP ").await;
        client.is_silent().await;
        let answer = client.ask("NAME=a.i2p").await;
        assert!(answer.ends_with(" NAME=a.i2p"), "{answer}");
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_connection() {
    for (dialect, limit) in [(Dialect::I2pd245, 8_192), (Dialect::Emissary, 4_095)] {
        let bridge = TestBridge::start_as(dialect).await;
        let lookup = |length: usize| format!("{:y<length$}", "NAMING LOOKUP NAME=");
        let mut client = Client::hello(&bridge).await;
        let answer = client.ask(&lookup(limit)).await;
        assert!(answer.starts_with("NAMING REPLY RESULT="), "{answer}");
        assert_eq!(client.ask(&lookup(limit + 1)).await, "<EOF>");
    }
}

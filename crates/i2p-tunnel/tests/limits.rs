//! Every limit of time cuts, and the log says which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::log::Lines;
use common::{proxy_that, socks5_request};
use i2p_tunnel::{Limit, Limits};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

async fn say(lines: &Lines, limit: Limit) {
    let wanted = format!("a limit was reached limit=\"{}\"", limit.label());
    let begin = Instant::now();
    loop {
        let text = lines.text();
        if text.contains(&wanted) {
            return;
        }
        assert!(begin.elapsed() < LONG, "{wanted} is not in\n{text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One at a time, with all others long.
#[tokio::test]
async fn each_limit_cuts_by_itself_and_is_named() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let long = Limits { handshake: LONG, dial: LONG, half_close: LONG, linger: LONG, ..Limits::default() };
    let bridge = TestBridge::start().await;
    bridge.host("sink.i2p", Endpoint::Sink);
    let proxy = async |limits| proxy_that(&bridge, |service| service.with_limits(limits)).await;

    let silent = proxy(Limits { handshake: SHORT, ..long }).await;
    assert!(silent.exchange(b"").await.is_empty());
    say(&lines, Limit::Handshake).await;

    let idle = proxy(Limits { idle: Some(SHORT), ..long }).await;
    let (mut client, code) = idle.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);
    let begin = Instant::now();
    while begin.elapsed() < SHORT * 3 {
        client.write_all(b"x").await.unwrap();
        client.read_u8().await.expect("what is not idle goes on");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(timeout(LONG / 2, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    say(&lines, Limit::Idle).await;

    let half_close = proxy(Limits { half_close: SHORT, ..long }).await;
    let (mut client, _) = half_close.socks5("sink.i2p", 80).await;
    client.shutdown().await.unwrap();
    // The far end reads on and says nothing: the router does not pass our end on.
    assert_eq!(timeout(LONG / 2, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    say(&lines, Limit::HalfClose).await;

    let linger = proxy(Limits { linger: SHORT, ..long }).await;
    let mut client = linger.connect().await;
    client.write_all(&socks5_request("unknown.i2p", 80)).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    say(&lines, Limit::Linger).await;

    bridge.on("STREAM CONNECT", [Act::Hang]);
    let dial = proxy(Limits { dial: SHORT, ..long }).await;
    assert_eq!(dial.socks5("known.i2p", 80).await.1, 6);
    say(&lines, Limit::Dial).await;
}

/// They are counted, and they are keys.
#[test]
fn labels_are_the_keys_of_the_configuration_and_the_words_name_them() {
    for limit in Limit::ALL {
        let key = limit.label().replace('_', "-");
        assert!(limit == Limit::Accepting || limit.log().contains(&format!("[limits] {key}")), "{key}");
    }
}

//! Hundreds of streams at once. They take most of the file descriptors that a process may usually open, so this test has a
//! process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use sam_testkit::TestBridge;
use tokio::time::timeout;

use self::client::{Client, until};

#[allow(dead_code, reason = "the other test program uses the rest")]
#[path = "it/client.rs"]
mod client;

#[tokio::test]
async fn hundreds_of_streams_can_be_open_at_once() {
    // Each takes two of the 1,024 descriptors that a process may usually open.
    const STREAMS: usize = 400;
    let bridge = TestBridge::start().await;
    let (control, _) = Client::session(&bridge, "a", "STYLE=STREAM").await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(Client::stream(&bridge, "a", "echo.i2p").await);
    }
    assert_eq!(bridge.open_streams(), STREAMS);
    for stream in &mut streams {
        stream.send("x").await;
        assert_eq!(&stream.bytes::<1>().await, b"x");
    }
    drop(control);
    let ends = async {
        for stream in &mut streams {
            assert_eq!(stream.line().await, "<EOF>");
        }
    };
    timeout(Duration::from_secs(10), ends).await.unwrap();
    until(|| bridge.open_streams() == 0).await;
}

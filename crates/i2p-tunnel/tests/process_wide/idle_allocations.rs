//! Memory that an idle stream holds.

use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{alone, common::socks5_request, counting};

/// Most memory that an idle stream holds. tokio takes 512 bytes of it for the two sockets, and 384 for the task.
const MAX_BYTES_PER_STREAM: i64 = 2_300;
/// Streams that are opened before the count begins, so that shared tables have grown.
const WARM_UP_STREAMS: i64 = 300;
/// Streams that are counted.
const COUNTED_STREAMS: i64 = 200;

#[tokio::test]
async fn an_idle_stream_holds_little_memory() {
    alone();
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let proxy = counting::proxy(&bridge).await;
    let mut streams = Vec::new();
    let mut before = 0;
    for number in 0..WARM_UP_STREAMS + COUNTED_STREAMS {
        if number == WARM_UP_STREAMS {
            before = counting::counted().1;
        }
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(&[&socks5_request("echo.i2p", 7)[..], b"x"].concat()).await.unwrap();
        let mut answer = [0; 13];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((answer[3], answer[12]), (0, b'x'));
        streams.push(client);
    }
    let each = (counting::counted().1 - before) / COUNTED_STREAMS;
    println!("{each} bytes");
    assert!(each <= MAX_BYTES_PER_STREAM, "{each} bytes");
}

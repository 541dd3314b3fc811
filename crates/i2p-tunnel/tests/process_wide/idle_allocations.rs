//! What a stream keeps in memory while nothing happens.

use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{alone, common::socks5_request, counting};

/// What a stream may hold. 512 of it are tokio's for its two sockets and 384 for its task; allocators need some more.
const MOST: i64 = 2_300;
/// Streams before the count begins, and those that it is about: tables that all share have grown by then.
const FIRST: i64 = 300;
const MORE: i64 = 200;

#[tokio::test]
async fn an_idle_stream_holds_little() {
    alone();
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let proxy = counting::proxy(&bridge).await;
    let mut streams = Vec::new();
    let mut before = 0;
    for number in 0..FIRST + MORE {
        if number == FIRST {
            before = counting::counted().1;
        }
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(&[&socks5_request("echo.i2p", 7)[..], b"x"].concat()).await.unwrap();
        let mut answer = [0; 13];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((answer[3], answer[12]), (0, b'x'));
        streams.push(client);
    }
    let each = (counting::counted().1 - before) / MORE;
    println!("{each} bytes");
    assert!(each <= MOST, "{each} bytes");
}

//! Runs `examples/proxy.rs`: a client reaches a peer through the proxy inside this program.

use i2p_sam::Bridge;
use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::socks5_request;

#[allow(dead_code, reason = "the tests do not use its main function")]
#[path = "../../examples/proxy.rs"]
mod proxy;

#[tokio::test]
async fn a_client_reaches_a_peer_through_the_proxy_of_the_example() {
    let bridge = TestBridge::start().await;
    let proxy = proxy::EmbeddedProxy::start(Bridge::new(bridge.address())).await.unwrap();
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(&socks5_request("echo.i2p", 80)).await.unwrap();
    let mut reply = [0; 12];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[3], 0, "the stream is open");
    client.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    client.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    drop(client);
    proxy.stop().await.unwrap();
}

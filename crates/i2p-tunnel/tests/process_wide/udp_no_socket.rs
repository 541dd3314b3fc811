//! A client gets a reply if the system has no socket for its datagrams.
#![cfg(unix)]

use std::net::Ipv4Addr;

use rustix::process::{Resource, getrlimit, setrlimit};
use sam_testkit::{Dialect, Endpoint, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    alone,
    common::{
        binary,
        udp::{self, Client, UdpOptions},
    },
};

#[tokio::test]
async fn without_a_socket_for_datagrams_the_reply_is_general_failure() {
    alone();
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let proxy = udp::proxy_with(&bridge.address(), &bridge.udp_address(), UdpOptions::default()).await;
    // Open the session for datagrams beforehand: it then waits for the next client.
    let mut client = Client::open(&proxy).await;
    client.echo(b"x").await;
    client.control.shutdown().await.unwrap();
    assert_eq!(client.control.read(&mut [0]).await.unwrap(), 0);
    let mut next = proxy.connect().await;
    next.write_all(&[5, 1, 2]).await.unwrap();
    next.write_all(&[&[1, 4][..], b"user", &[1, b'x']].concat()).await.unwrap();
    let mut answers = [0; 4];
    next.read_exact(&mut answers).await.unwrap();
    let before = getrlimit(Resource::Nofile);
    let mut none = before;
    none.current = Some(3);
    setrlimit(Resource::Nofile, none).unwrap();
    let request = [&[5, 3, 0][..], &binary(Ipv4Addr::UNSPECIFIED.into()), &[0, 0]].concat();
    next.write_all(&request).await.unwrap();
    let mut reply = Vec::new();
    next.read_to_end(&mut reply).await.unwrap();
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(reply, [5, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    Client::open(&proxy).await.echo(b"sockets again").await;
}

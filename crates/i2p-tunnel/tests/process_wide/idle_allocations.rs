//! Memory that an idle stream holds.

use std::net::IpAddr;

use i2p_tunnel::{Filtering, LeakGuardPolicy, LeakPatterns, Machine, OwnMachine};
use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    alone,
    common::{socks5_request, udp::UdpOptions},
    counting,
};

/// Most memory that an idle stream holds. tokio takes 512 bytes of it for the two sockets, and 384 for the task.
const MAX_BYTES_PER_STREAM: i64 = 2_300;
/// The same while the leak guard still looks at the stream.
const MAX_BYTES_PER_GUARDED_STREAM: i64 = 2_800;
/// Streams that are opened before the count begins, so that shared tables have grown.
const WARM_UP_STREAMS: i64 = 300;
/// Streams that are counted.
const COUNTED_STREAMS: i64 = 200;

#[tokio::test]
async fn an_idle_stream_holds_little_memory() {
    alone();
    let each = bytes_per_stream(Filtering::default()).await;
    println!("{each} bytes");
    assert!(each <= MAX_BYTES_PER_STREAM, "{each} bytes");
}

#[tokio::test]
async fn an_idle_stream_with_a_leak_guard_holds_little_more() {
    alone();
    let machine = OwnMachine::default();
    let addresses = [IpAddr::from([192, 0, 2, 35]), IpAddr::from([0x20; 16])];
    let own = Machine { addresses: &addresses, host_names: &["laptop.example.net"], ..Machine::default() };
    machine.set(LeakPatterns::new(&own).unwrap());
    let leak_guard = Some(LeakGuardPolicy { machine, cuts: false });
    let each = bytes_per_stream(Filtering { leak_guard, ..Filtering::default() }).await;
    println!("{each} bytes with a guard");
    assert!(each <= MAX_BYTES_PER_GUARDED_STREAM, "{each} bytes");
}

/// What each of many idle streams holds.
async fn bytes_per_stream(filtering: Filtering) -> i64 {
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let proxy = counting::proxy(&bridge, UdpOptions { filtering, ..UdpOptions::default() }).await;
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
    (counting::counted().1 - before) / COUNTED_STREAMS
}

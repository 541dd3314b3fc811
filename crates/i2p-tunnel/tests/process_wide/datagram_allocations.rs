//! Passing on a datagram allocates nothing once its target is known.

use sam_testkit::{Dialect, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use crate::{
    alone,
    common::{domain, udp::UdpOptions},
    counting,
};

#[tokio::test]
async fn passing_a_datagram_on_allocates_nothing() {
    alone();
    // Kept running: a proxy that loses its router reconnects, which allocates.
    let mut running = Vec::new();
    for dialect in [Dialect::Java, Dialect::I2pd245] {
        let bridge = TestBridge::start_as(dialect).await;
        bridge.host("echo.i2p", Endpoint::Echo);
        let proxy = counting::proxy(&bridge, UdpOptions::default()).await;
        let address = proxy.address;
        running.push((proxy, bridge));
        let mut control = TcpStream::connect(address).await.unwrap();
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut reply = [0; 12];
        control.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply[3], 0);
        let relay = (address.ip(), u16::from_be_bytes([reply[10], reply[11]]));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let datagram = [&[0, 0, 0][..], &domain("echo.i2p"), &[0, 7], &[b'x'; 1000]].concat();
        let mut buffer = [0; 2048];
        let mut before = 0;
        for number in 0..1_100 {
            if number == 100 {
                before = counting::counted().0;
            }
            socket.send_to(&datagram, relay).await.unwrap();
            socket.recv(&mut buffer).await.unwrap();
        }
        assert_eq!(counting::counted().0 - before, 0, "{dialect:?}: 1,000 datagrams there and back");
    }
}

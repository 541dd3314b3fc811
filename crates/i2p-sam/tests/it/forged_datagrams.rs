//! Datagrams that other programs on this machine send to a session's UDP port.

use std::time::Duration;

use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, MAX_PACKET_BYTES, Ports, SessionOptions};
use sam_testkit::{Dialect, TestBridge};
use tokio::{net::UdpSocket, time::timeout};

#[tokio::test]
async fn only_datagrams_from_the_bridges_port_are_received() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary] {
        let test = TestBridge::start_as(dialect).await;
        let bridge = Bridge::new(test.address()).with_udp_address(test.udp_address().parse().unwrap());
        let options = SessionOptions::default();
        let (style, any) = (DatagramStyle::Datagram, Ports::default());
        let session = bridge.create_datagram_session(style, any, &options).await.unwrap();
        let peer = bridge.create_datagram_session(style, any, &options).await.unwrap();
        // The port is in SESSION CREATE, and any program can read it in /proc/net/udp.
        let create = test.commands().into_iter().find(|sent| sent.starts_with("SESSION CREATE")).unwrap();
        let port = create.split(' ').find_map(|word| word.strip_prefix("PORT=")).unwrap().to_owned();
        let forger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let header = peer.session().destination().to_base64();
        for line in [header.clone(), format!("{header} FROM_PORT=0 TO_PORT=0")] {
            forger.send_to(format!("{line}\nFORGED").as_bytes(), format!("127.0.0.1:{port}")).await.unwrap();
        }
        let to = DatagramPeer::from(session.session().destination());
        peer.send(&to, any, b"signed").await.unwrap();
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        let received = timeout(Duration::from_secs(20), session.receive(&mut buffer)).await;
        let received = received.expect("a datagram").unwrap();
        assert_eq!(received.payload, b"signed", "{dialect:?}");
    }
}

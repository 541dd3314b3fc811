//! Sessions for streams that lend their destination to datagrams, where the router can.
#![allow(clippy::unwrap_used, clippy::panic)]

use i2p_name::I2pName;
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, MAX_PACKET, Ports, SessionOptions};
use sam_testkit::{Dialect, Endpoint, TestBridge};

const ANY: Ports = Ports { from: 0, to: 0 };

#[tokio::test]
async fn datagrams_come_from_the_destination_of_the_streams_where_the_router_can() {
    for (dialect, same) in [
        (Dialect::Java, true),
        (Dialect::Emissary, true),
        (Dialect::I2pd, false),
        (Dialect::I2pdMaster, false),
    ] {
        let kit = TestBridge::start_as(dialect).await;
        kit.host("echo.i2p", Endpoint::Echo);
        let udp = kit.udp_address().parse().unwrap();
        let bridge = Bridge::new(kit.address()).with_udp_address(udp);
        let options = SessionOptions::default().lend(true);
        let session = bridge.create_session(&options).await.unwrap();
        let own = SessionOptions::default();
        let datagrams = session.open_datagrams(DatagramStyle::Datagram, ANY, &own).await.unwrap();
        let shares = datagrams.session().destination() == session.destination();
        assert_eq!(shares, same, "{dialect:?}");
        // Both work, side by side.
        let name = I2pName::parse("echo.i2p").unwrap();
        session.connect(&name, 0).await.unwrap();
        let echo = session.destination_of(&name).await.unwrap();
        datagrams.send(&DatagramPeer::from(&echo), ANY, b"there and back").await.unwrap();
        let mut buffer = vec![0; MAX_PACKET];
        assert_eq!(datagrams.receive(&mut buffer).await.unwrap().payload, b"there and back");
        // By hash too, and by itself.
        let by_hash = session.destination_of(&echo.b32().into()).await.unwrap();
        assert_eq!(by_hash, echo, "{dialect:?}");
        assert_eq!(session.destination_of(&echo.clone().into()).await.unwrap(), echo);
    }
}

#[tokio::test]
async fn a_session_that_was_not_asked_to_lend_does_not() {
    let kit = TestBridge::start_as(Dialect::Java).await;
    let bridge = Bridge::new(kit.address()).with_udp_address(kit.udp_address().parse().unwrap());
    let options = SessionOptions::default();
    let session = bridge.create_session(&options).await.unwrap();
    let datagrams = session.open_datagrams(DatagramStyle::Datagram, ANY, &options).await.unwrap();
    assert_ne!(datagrams.session().destination(), session.destination());
}

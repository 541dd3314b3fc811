//! Sessions for streams that lend their destination to datagrams, where the router can.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, MAX_PACKET_BYTES, Ports, SessionOptions};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use tokio::time::timeout;

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
        let mut buffer = vec![0; MAX_PACKET_BYTES];
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

/// emissary takes no subsession away, and refuses a second one on the same port.
#[tokio::test]
async fn what_emissary_cannot_take_away_serves_the_next() {
    let kit = TestBridge::start_as(Dialect::Emissary).await;
    kit.host("echo.i2p", Endpoint::Echo);
    let bridge = Bridge::new(kit.address()).with_udp_address(kit.udp_address().parse().unwrap());
    let options = SessionOptions::default().lend(true);
    let session = bridge.create_session(&options).await.unwrap();
    let open = || session.open_datagrams(DatagramStyle::Datagram, ANY, &options);
    // Given up before its answer.
    kit.once("SESSION ADD STYLE=DATAGRAM", Act::late(Duration::from_millis(300)));
    timeout(Duration::from_millis(100), open()).await.unwrap_err();
    let echo = session.destination_of(&I2pName::parse("echo.i2p").unwrap()).await.unwrap();
    for number in 0..3 {
        let datagrams = open().await.unwrap();
        assert_eq!(datagrams.session().destination(), session.destination());
        assert!(open().await.is_err(), "the place is in use");
        datagrams.send(&DatagramPeer::from(&echo), ANY, &[number]).await.unwrap();
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        assert_eq!(datagrams.receive(&mut buffer).await.unwrap().payload, [number]);
        // Nobody takes the answer to this one: the next does not get it.
        datagrams.send(&DatagramPeer::from(&echo), ANY, b"too late").await.unwrap();
        while kit.datagrams().len() < 2 * usize::from(number + 1) {
            tokio::task::yield_now().await;
        }
    }
    drop(session);
}

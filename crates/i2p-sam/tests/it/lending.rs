//! Sessions for streams that lend their destination to datagrams, where the router supports it.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{Bridge, DatagramPeer, DatagramStyle, MAX_PACKET_BYTES, Ports, SessionOptions};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use tokio::time::timeout;

const ANY_PORTS: Ports = Ports { from: 0, to: 0 };

#[tokio::test]
async fn datagrams_come_from_the_destination_of_the_streams_where_the_router_can() {
    for (dialect, same) in [
        (Dialect::Java, true),
        (Dialect::Emissary, true),
        (Dialect::I2pd245, false),
        (Dialect::I2pd259, false),
    ] {
        let kit = TestBridge::start_as(dialect).await;
        kit.host("echo.i2p", Endpoint::Echo);
        let udp = kit.udp_address().parse().unwrap();
        let bridge = Bridge::new(kit.address()).with_udp_address(udp);
        let options = SessionOptions::default().lend(true);
        let session = bridge.create_session(&options).await.unwrap();
        let own = SessionOptions::default();
        let datagrams = session.open_datagrams(DatagramStyle::Datagram, ANY_PORTS, &own).await.unwrap();
        let shares = datagrams.session().destination() == session.destination();
        assert_eq!(shares, same, "{dialect:?}");
        // Both work at the same time.
        let name = I2pName::parse("echo.i2p").unwrap();
        session.connect(&name, 0).await.unwrap();
        let echo = session.destination_of(&name).await.unwrap();
        datagrams.send(&DatagramPeer::from(&echo), ANY_PORTS, b"there and back").await.unwrap();
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        assert_eq!(datagrams.receive(&mut buffer).await.unwrap().payload, b"there and back");
        // The hash and the destination itself resolve, too.
        let by_hash = session.destination_of(&echo.b32().into()).await.unwrap();
        assert_eq!(by_hash, echo, "{dialect:?}");
        assert_eq!(session.destination_of(&echo.clone().into()).await.unwrap(), echo);
    }
}

#[tokio::test]
async fn a_session_lends_only_on_request() {
    let kit = TestBridge::start_as(Dialect::Java).await;
    let bridge = Bridge::new(kit.address()).with_udp_address(kit.udp_address().parse().unwrap());
    let options = SessionOptions::default();
    let session = bridge.create_session(&options).await.unwrap();
    let datagrams = session.open_datagrams(DatagramStyle::Datagram, ANY_PORTS, &options).await.unwrap();
    assert_ne!(datagrams.session().destination(), session.destination());
}

/// emissary removes no subsession, and refuses a second one on the same port.
#[tokio::test]
async fn a_subsession_that_emissary_cannot_remove_is_used_again() {
    let kit = TestBridge::start_as(Dialect::Emissary).await;
    kit.host("echo.i2p", Endpoint::Echo);
    let bridge = Bridge::new(kit.address()).with_udp_address(kit.udp_address().parse().unwrap());
    let options = SessionOptions::default().lend(true);
    let session = bridge.create_session(&options).await.unwrap();
    let open = || session.open_datagrams(DatagramStyle::Datagram, ANY_PORTS, &options);
    // The caller gives up before the answer.
    kit.once("SESSION ADD STYLE=DATAGRAM", Act::late(Duration::from_millis(300)));
    timeout(Duration::from_millis(100), open()).await.unwrap_err();
    let echo = session.destination_of(&I2pName::parse("echo.i2p").unwrap()).await.unwrap();
    for number in 0..3 {
        let datagrams = open().await.unwrap();
        assert_eq!(datagrams.session().destination(), session.destination());
        assert!(open().await.is_err(), "the port is in use");
        datagrams.send(&DatagramPeer::from(&echo), ANY_PORTS, &[number]).await.unwrap();
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        assert_eq!(datagrams.receive(&mut buffer).await.unwrap().payload, [number]);
        // The answer to this datagram is not received, and the next session does not receive it either.
        datagrams.send(&DatagramPeer::from(&echo), ANY_PORTS, b"too late").await.unwrap();
        while kit.datagrams().len() < 2 * usize::from(number + 1) {
            tokio::task::yield_now().await;
        }
    }
    drop(session);
}

//! UDP ASSOCIATE: which datagrams are the client's.

use std::{net::Ipv4Addr, time::Duration};

use i2p_tunnel::DropReason;
use sam_testkit::Dialect;
use tokio::net::UdpSocket;
#[cfg(target_os = "linux")]
use tokio::time::timeout;

#[cfg(target_os = "linux")]
use crate::common::udp::TIMEOUT;
use crate::common::{
    binary, domain,
    udp::{Client, UdpOptions, bridge, proxy},
};

#[tokio::test]
async fn datagrams_from_other_senders_are_ignored() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let client = Client::open(&proxy).await;
    client.echo(b"mine").await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = [&[0, 0, 0][..], &domain("echo.i2p"), &[0, 7], b"theirs"].concat();
    stranger.send_to(&datagram, client.relay).await.unwrap();
    let elsewhere = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    elsewhere.send_to(&datagram, client.relay).await.unwrap();
    client.echo(b"and nothing else").await;
    assert_eq!(bridge.datagrams().len(), 2);
}

/// A packet that is not a valid datagram does not determine the client's port, even if it arrives first.
#[tokio::test]
async fn malformed_packets_of_another_sender_do_not_lock_the_client_out() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let client = Client::open(&proxy).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [&b""[..], b"x", &[0, 0, 0, 9, 0, 0]] {
        stranger.send_to(packet, client.relay).await.unwrap();
    }
    client.echo(b"mine").await;
    assert_eq!(proxy.datagram_counts.dropped(DropReason::Malformed), 3);
}

#[tokio::test]
async fn any_address_in_the_request_is_granted_and_only_the_client_is_heard() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let behind_nat = binary(Ipv4Addr::new(10, 0, 0, 5).into());
    let target = binary(Ipv4Addr::new(8, 8, 8, 8).into());
    let target6 = binary("2001:db8::35".parse().unwrap());
    // PySocks sends the name "0".
    let unspecified = binary(std::net::Ipv6Addr::UNSPECIFIED.into());
    for (address, port) in
        [(behind_nat, 40_000), (target, 53), (target6, 53), (domain("0"), 0), (unspecified, 0)]
    {
        let client = Client::associate(&proxy, b"user", &address, port).await.unwrap();
        let elsewhere = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let datagram = [&[0, 0, 0][..], &domain("echo.i2p"), &[0, 7], b"theirs"].concat();
        elsewhere.send_to(&datagram, client.relay).await.unwrap();
        client.echo(b"mine").await;
    }
    assert_eq!(proxy.datagram_counts.dropped(DropReason::NotTheClient), 5);
}

#[tokio::test]
async fn a_port_in_the_request_is_the_only_one_that_is_heard() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let mine = binary(Ipv4Addr::LOCALHOST.into());
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let said = other.local_addr().unwrap().port();
    let mut client = Client::associate(&proxy, b"user", &mine, said).await.unwrap();
    client.send(0, &domain("echo.i2p"), 7, b"from the wrong port").await;
    client.socket = other;
    client.echo(b"from the right one").await;
}

#[tokio::test]
async fn a_new_port_is_followed_after_the_old_one_was_silent() {
    let bridge = bridge(Dialect::I2pd245).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let mut client = Client::open(&proxy).await;
    client.echo(b"from the first port").await;
    client.socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send(0, &domain("echo.i2p"), 7, b"too early").await;
    while proxy.datagram_counts.dropped(DropReason::NotTheClient) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    client.echo(b"from the second port").await;
}

/// Becoming another user takes root, as whom CI runs this.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_users_program_cannot_take_the_place_of_a_client_that_names_no_port() {
    use std::{
        os::unix::process::CommandExt,
        process::{Command, Stdio},
    };

    /// A user who is nobody else here.
    const OTHER: u32 = 65_534;
    assert!(rustix::process::geteuid().is_root(), "this test becomes another user, and needs root for it");
    let bridge = bridge(Dialect::Java).await;
    let proxy = proxy(&bridge, UdpOptions::default()).await;
    let client = Client::open(&proxy).await;
    let datagram = r"\0\0\0\3\10echo.i2p\0\7stolen";
    let port = client.relay.port();
    // It keeps its socket until its stdin ends.
    let script = format!("exec 3<>/dev/udp/127.0.0.1/{port}; printf '{datagram}' >&3; read -r");
    let mut thief = Command::new("bash");
    thief.args(["-c", &script]).uid(OTHER).gid(OTHER).current_dir("/").stdin(Stdio::piped());
    let mut thief = thief.spawn().expect("bash is needed");
    let refused = async {
        while proxy.datagram_counts.dropped(DropReason::NotTheClient) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, refused).await.expect("the datagram of the other user is refused");
    client.echo(b"the client's own").await;
    drop(thief.stdin.take());
    thief.wait().unwrap();
}

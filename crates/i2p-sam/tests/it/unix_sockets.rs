//! A bridge on a Unix socket. The conformance suite checks that it does what any other bridge does.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use i2p_name::I2pName;
use i2p_sam::{Bridge, DatagramStyle, Error, Ports, SamStream, SessionOptions};
use sam_testkit::{Act, Dialect, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// Generous: tests wait this long only if something is broken.
const LIMIT: Duration = Duration::from_secs(20);

async fn bridge_at(path: &Path) -> TestBridge {
    TestBridge::start_at(path, Dialect::Java).await
}

#[tokio::test]
async fn a_stream_is_the_socket_itself_and_no_byte_after_the_answer_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let kit = bridge_at(&directory.path().join("sam")).await;
    kit.on("STREAM CONNECT", [Act::Send(b"STREAM STATUS RESULT=OK\nhello ".to_vec()), Act::Echo]);
    let session = Bridge::new(kit.address()).create_session(&SessionOptions::default()).await.unwrap();
    let stream = session.connect(&I2pName::parse("known.i2p").unwrap(), 80).await.unwrap();
    let SamStream::Unix(mut stream): SamStream = stream else { panic!("not a Unix socket") };
    let _: &UnixStream = &stream;
    stream.write_all(b"world").await.unwrap();
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello world");
}

#[tokio::test]
async fn a_session_is_lost_with_its_router_and_the_next_router_makes_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut kit = bridge_at(&directory.path().join("sam")).await;
    let bridge = Bridge::new(kit.address()).with_spares(2);
    let first = bridge.create_session(&SessionOptions::default()).await.unwrap();
    kit.kill().await;
    timeout(LIMIT, first.lost()).await.unwrap();
    let error = bridge.create_session(&SessionOptions::default()).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("no program listens"), "{error}");
    kit.restart().await;
    let second = bridge.create_session(&SessionOptions::default()).await.unwrap();
    assert!(second.is_alive());
}

#[tokio::test]
async fn an_error_names_the_socket_and_what_is_wrong_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sam");
    let address = format!("unix:{}", path.display());
    let error = Bridge::new(&address).probe().await.unwrap_err().to_string();
    assert_eq!(error, format!("no SAM bridge answers at {address}: there is no such file"));
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Bridge::new(&address).probe().await.unwrap_err().to_string();
    assert_eq!(error, format!("no SAM bridge answers at {address}: the file is not a socket"));
}

/// A Unix socket tells no UDP address, so that datagrams could go nowhere.
#[tokio::test]
async fn datagrams_need_a_udp_address() {
    let directory = tempfile::tempdir().unwrap();
    let kit = bridge_at(&directory.path().join("sam")).await;
    let (style, any, options) = (DatagramStyle::Datagram, Ports::default(), SessionOptions::default());
    let bridge = Bridge::new(kit.address());
    let error = bridge.create_datagram_session(style, any, &options).await.unwrap_err();
    assert!(matches!(error, Error::NoUdpAddress), "{error}");
    let bridge = bridge.with_udp_address(kit.udp_address().parse().unwrap());
    let session = bridge.create_datagram_session(style, any, &options).await.unwrap();
    assert!(session.session().is_alive());
    let create = kit.commands().into_iter().find(|sent| sent.starts_with("SESSION CREATE")).unwrap();
    assert!(create.contains(" HOST=127.0.0.1 PORT="), "{create}");
}

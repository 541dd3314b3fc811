//! A SAM bridge survives a shortage of file descriptors.
#![cfg(unix)]

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use i2p_embedded::PrivateNetwork;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::turn;

#[tokio::test(flavor = "multi_thread")]
async fn the_sam_bridge_answers_again_when_there_are_descriptors_again() {
    let _turn = turn().await;
    let network = PrivateNetwork::builder().start().await.unwrap();
    let address = network.sam_address(0).unwrap();

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(128);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    // The client gets the last descriptor, so the bridge cannot accept the connection that the kernel has made.
    hoard.pop().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    assert!(File::open("/dev/null").is_err(), "no shortage");
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    client.write_all(b"HELLO VERSION\n").unwrap();
    assert!(client.read(&mut [0; 64]).is_err(), "accepted without a descriptor");

    drop(hoard);
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 21];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HELLO REPLY RESULT=OK");
}

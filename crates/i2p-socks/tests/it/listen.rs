//! `listen`: streams from peers, through the running proxy and with sessions of its own.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    process::Command,
    time::{Duration, Instant},
};

use i2p_name::I2pName;
use i2p_sam::{Bridge, SamStream, Session, SessionOptions};
use sam_testkit::Dialect;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::common::{
    lab::{ALL, LIMIT, Lab, Started, TCP, started},
    stand_in::{fake_proxy, greeted},
};

/// Another program on the same router.
async fn peer(lab: &Lab) -> Session {
    Bridge::new(lab.bridge.address()).create_session(&SessionOptions::default()).await.unwrap()
}

/// Returns the first line that is an address, and the pipe, which must stay open.
fn address<R: Read>(lines: R) -> (I2pName, BufReader<R>) {
    let mut lines = BufReader::new(lines);
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended without an address");
        if line.trim_end().ends_with(".b32.i2p") {
            return (I2pName::parse(line.trim_end()).unwrap(), lines);
        }
    }
}

/// Opens a stream once the peer is listening: the proxy starts a new wait after each peer.
async fn stream_to(peer: &Session, name: &I2pName) -> SamStream {
    let begin = Instant::now();
    loop {
        if let Ok(stream) = peer.connect(name, 0).await {
            return stream;
        }
        assert!(begin.elapsed() < LIMIT, "nobody listens there");
        sleep(Duration::from_millis(1)).await;
    }
}

async fn one_stream(lab: &Lab, config: &str) {
    let mut child = started(lab.command(&["listen", "22"], config));
    let (own, _stderr) = address(child.stderr.take().unwrap());
    let peer = peer(lab).await;
    let mut stream = stream_to(&peer, &own).await;
    stream.write_all(b"to stdout").await.unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut back = [0; 9];
    stdout.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"to stdout");
    stdin.write_all(b"from stdin").unwrap();
    let mut back = [0; 10];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"from stdin");
    drop(stream);
    assert_eq!(stdout.read(&mut [0; 1]).unwrap(), 0, "nothing but the stream is on stdout");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_is_requested_from_the_proxy_and_the_peers_first_data_is_printed() {
    let lab = Lab::new(Dialect::Java).await;
    let (listener, _control) = fake_proxy(&lab).await;
    let mut child = started(lab.command(&["listen", "22"], ""));
    let mut stream = greeted(&listener).await;
    let mut request = [0; 10];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 2, 0, 1, 0, 0, 0, 0, 0, 22]);
    let own = format!("{}.b32.i2p", "a".repeat(52));
    let reply = [&[5, 0, 0, 3, 60], own.as_bytes(), &[0, 22]].concat();
    stream.write_all(&reply).await.unwrap();
    let (said, _stderr) = address(child.stderr.take().unwrap());
    assert_eq!(said.to_string(), own);
    stream.write_all(&[&reply[..], b"hello"].concat()).await.unwrap();
    let mut hello = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_connects_through_the_running_proxy_or_to_the_commands_own_session() {
    for dialect in [Dialect::Java, Dialect::I2pd245, Dialect::Emissary] {
        let lab = Lab::new(dialect).await;
        one_stream(&lab, TCP).await;
        let _proxy = lab.proxy(ALL);
        one_stream(&lab, ALL).await;
    }
}

/// How many accepts the router has received.
fn accepts(lab: &Lab) -> usize {
    lab.bridge.commands().iter().filter(|command| command.starts_with("STREAM ACCEPT")).count()
}

/// Waits until the router has received this many accepts.
async fn accepted(child: &mut Started, lab: &Lab, count: usize) {
    while accepts(lab) < count {
        assert!(child.try_wait().unwrap().is_none(), "it has ended, {} of {count}", accepts(lab));
        sleep(Duration::from_millis(10)).await;
    }
}

async fn many_streams(lab: &Lab, config: &str) {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = service.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = service.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    let before = accepts(lab);
    let mut child = started(lab.command(&["listen", "--forward", &at], config));
    let (own, mut stdout) = address(child.stdout.take().unwrap());
    let peer = peer(lab).await;
    accepted(&mut child, lab, before + 4).await;
    // As many peers as there are accepts: none is refused.
    let call = || peer.connect(&own, 0);
    drop(tokio::try_join!(call(), call(), call(), call()).unwrap());
    let mut open = Vec::new();
    // More peers than accepts, and all streams stay open. A router may close a stream that nobody accepts at that moment.
    for number in 0..10 {
        let stream = loop {
            let mut stream = stream_to(&peer, &own).await;
            let mut back = [0; 1000];
            let echo = async {
                stream.write_all(&[number; 1000]).await?;
                stream.read_exact(&mut back).await
            };
            if echo.await.is_ok() {
                assert_eq!(back, [number; 1000]);
                break stream;
            }
        };
        open.push(stream);
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut more = String::new();
    stdout.read_to_string(&mut more).unwrap();
    assert_eq!(more, "", "the address is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_peers_are_forwarded_to_a_local_port_until_interrupted() {
    let lab = Lab::new(Dialect::Java).await;
    many_streams(&lab, TCP).await;
    let _proxy = lab.proxy(ALL);
    many_streams(&lab, ALL).await;
}

/// A peer's stream, as the proxy hands it to the waiting client.
async fn given(listener: &TcpListener) -> TcpStream {
    let mut stream = greeted(listener).await;
    stream.read_exact(&mut [0; 10]).await.unwrap();
    let reply = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&[reply, reply].concat()).await.unwrap();
    stream
}

/// Whether the stream ends with a reset.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let end = timeout(LIMIT / 2, stream.read(&mut [0])).await.expect("it ends");
    match end {
        Ok(length) => {
            assert_eq!(length, 0, "there is more");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            true
        }
    }
}

/// What ends a forwarded stream.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Finishes,
    Breaks,
    IsKilled,
}

/// A truncated stream must not look like a complete one, whichever side breaks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_stream_that_breaks_on_one_side_is_reset_on_the_other() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = service.local_addr().unwrap().to_string();
    for (ends, peer_does) in [
        (Ends::Finishes, true),
        (Ends::Finishes, false),
        (Ends::Breaks, true),
        (Ends::Breaks, false),
        (Ends::IsKilled, true),
        (Ends::IsKilled, false),
    ] {
        let lab = Lab::new(Dialect::Java).await;
        let (listener, _control) = fake_proxy(&lab).await;
        let mut child = started(lab.command(&["listen", "--forward", &at], ""));
        let peer = given(&listener).await;
        let (local, _) = service.accept().await.unwrap();
        let (mut from, mut to) = if peer_does { (peer, local) } else { (local, peer) };
        from.write_all(b"a part").await.unwrap();
        to.read_exact(&mut [0; 6]).await.unwrap();
        match ends {
            Ends::Finishes => drop(from),
            Ends::Breaks => {
                // With this option, closing resets the connection.
                socket2::SockRef::from(&from).set_linger(Some(Duration::ZERO)).unwrap();
                drop(from);
            }
            Ends::IsKilled => child.kill().unwrap(),
        }
        assert_eq!(
            is_reset(&mut to).await,
            !matches!(ends, Ends::Finishes),
            "{ends:?}, the peer: {peer_does}"
        );
    }
}

/// A stream that was never forwarded must not look like an empty one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_forwarded_is_reset() {
    let lab = Lab::new(Dialect::Java).await;
    // A bound port without a listener.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = nobody.local_addr().unwrap().to_string();
    let (listener, _control) = fake_proxy(&lab).await;
    let _child = started(lab.command(&["listen", "--forward", &at], ""));
    assert!(is_reset(&mut given(&listener).await).await);
}

/// A persistent key keeps its address, with or without a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_key_keeps_the_address() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("{TCP}key = 'persistent'\n");
    let listen = || {
        let mut child = started(lab.command(&["listen"], &config));
        let (own, _stderr) = address(child.stderr.take().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        own
    };
    assert_eq!(listen(), listen());
}

/// The proxy waits for a peer for a limited time only.
#[tokio::test(flavor = "multi_thread")]
async fn listening_goes_on_after_the_proxys_time_limit() {
    let lab = Lab::new(Dialect::Java).await;
    let config = format!("[limits]\nbind = '1s'\n{ALL}");
    let _proxy = lab.proxy(&config);
    let mut child = started(lab.command(&["listen"], &config));
    let (own, _stderr) = address(child.stderr.take().unwrap());
    accepted(&mut child, &lab, 2).await;
    let peer = peer(&lab).await;
    let mut stream = stream_to(&peer, &own).await;
    stream.write_all(b"late").await.unwrap();
    let mut back = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut back).unwrap();
    assert_eq!(&back, b"late");
}

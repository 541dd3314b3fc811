//! `early-data`: reports success before there is a connection, if configured and supported by the router.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use i2p_name::Destination;
use sam_testkit::{Dialect, TestBridge};

use crate::common::Running;

/// Starts a proxy with this configuration. Returns it with the address of its first tunnel.
fn start(bridge: &TestBridge, dir: &tempfile::TempDir, configuration: &str) -> Running {
    let file = dir.path().join("i2p-socks.toml");
    std::fs::write(&file, configuration).unwrap();
    Running::start(&["--router", "sam", "--sam", &bridge.address(), "--config", file.to_str().unwrap()])
}

/// Sends a SOCKS5 CONNECT with credentials of its own for each `user`. Returns the reply code and the stream.
fn connect(proxy: SocketAddr, user: u8, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let length = u8::try_from(host.len()).unwrap();
    let hello = [5, 1, 2, 1, 1, user, 1, b'p', 5, 1, 0, 3, length];
    stream.write_all(&[&hello[..], host.as_bytes(), &[0, 80]].concat()).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    (answer[5], stream)
}

/// The destination of one of the proxy's own sessions, which accepts no streams.
fn nobody(bridge: &TestBridge) -> String {
    let sessions = bridge.sessions();
    sessions[0].destination.parse::<Destination>().unwrap().b32().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_java_reports_success_before_the_connection_and_only_if_configured() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = TestBridge::start().await;
    let configuration = "[session]\nearly-data = true\n[[tunnel]]\nlisten = ['127.0.0.1:0']\n\
                         [[tunnel]]\nname = 'true'\nlisten = ['127.0.0.2:0']\nearly-data = false\n";
    let mut proxy = start(&bridge, &dir, configuration);
    let tunnels = proxy.listeners(2);
    let nobody = nobody(&bridge);
    let mut outcomes = Vec::new();
    for tunnel in tunnels {
        let (code, mut stream) = connect(tunnel, b'a', &nobody);
        let end = stream.read(&mut [0; 1]).unwrap_or(0);
        assert_eq!(end, 0);
        outcomes.push(code);
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, [0, 5], "granted by one and then ended, refused by the other: {}", proxy.said());
    assert!(!proxy.said().contains("early data"), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_support_is_logged_once() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    let mut proxy =
        start(&bridge, &dir, "[session]\nearly-data = true\n[[tunnel]]\nlisten = ['127.0.0.1:0']\n");
    let tunnel = proxy.ready();
    for user in [b'a', b'b'] {
        assert_eq!(connect(tunnel, user, "known.i2p").0, 0);
    }
    let commands = bridge.commands();
    let created = commands.iter().filter(|line| line.starts_with("SESSION CREATE"));
    assert!(created.clone().count() > 1);
    assert!(created.into_iter().all(|line| !line.contains("connectDelay")), "{commands:?}");
    proxy.stderr_lines("early data is ignored", 1);
    assert_eq!(proxy.said().matches("early data is ignored").count(), 1, "{}", proxy.said());
}

//! What the service manager is told, and when.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use sam_testkit::{Act, TestBridge};

use crate::common::{self, LIMIT, Running, processes::until};

/// Stands in for systemd.
struct Manager {
    socket: UnixDatagram,
    said: Vec<String>,
}

impl Manager {
    /// Listens at the socket `notify` in this directory.
    fn listen(directory: &Path) -> Self {
        let socket = UnixDatagram::bind(directory.join("notify")).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, said: Vec::new() }
    }

    /// Waits for a message with this line.
    fn told(&mut self, wanted: &str) -> String {
        let begin = Instant::now();
        loop {
            let mut message = [0; 4096];
            let length = self.socket.recv(&mut message).unwrap();
            let message = String::from_utf8(message[..length].to_vec()).unwrap();
            self.said.push(message.clone());
            if message.lines().any(|line| line.starts_with(wanted)) {
                return message;
            }
            assert!(begin.elapsed() < LIMIT / 5, "{wanted} was not said: {:?}", self.said);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_each_state() {
    let bridge = TestBridge::start().await;
    bridge.once("SESSION CREATE", [Act::line("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no tunnels\"")]);
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("notify");
    let mut manager = Manager::listen(dir.path());
    let config = dir.path().join("config.toml");
    let text = format!("[router]\nsam = '{}'\n[[tunnel]]\nlisten = ['127.0.0.1:0']\n", bridge.address());
    fs::write(&config, &text).unwrap();
    let mut command = common::i2p_socks(&["--config", config.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", &at).env("WATCHDOG_USEC", "400000");
    let mut proxy = Running::of(command);
    manager.told("STATUS=Starting: looking for an I2P router");
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=Serving on 1 listener\n"), "{ready}");
    let create = bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count();
    assert_eq!(create, 2, "ready is said after the session, not before: {:?}", manager.said);
    assert_eq!(manager.said.iter().filter(|message| message.contains("READY=1")).count(), 1);
    manager.told("WATCHDOG=1");

    proxy.send("HUP");
    let reloading = manager.told("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    manager.told("READY=1");
    proxy.stderr_line("the new configuration is in effect");

    fs::write(&config, "nonsense").unwrap();
    proxy.send("HUP");
    manager.told("RELOADING=1");
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=The last reload was refused"), "{ready}");

    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    manager.told("STOPPING=1");
}

/// A reload while tunnels are being built ends, and does not count as the end of the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_before_the_first_session_ends_before_ready_is_sent() {
    let bridge = TestBridge::start().await;
    bridge.once("SESSION CREATE", [Act::Hang]);
    let dir = tempfile::tempdir().unwrap();
    let mut manager = Manager::listen(dir.path());
    let config = dir.path().join("config.toml");
    let text = format!("[router]\nsam = '{}'\n[[tunnel]]\nlisten = ['127.0.0.1:0']\n", bridge.address());
    fs::write(&config, &text).unwrap();
    let mut command = common::i2p_socks(&["--config", config.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", dir.path().join("notify"));
    let mut proxy = Running::of(command);
    proxy.stderr_line("[3/3] building I2P tunnels");
    let asks = || (!bridge.times("SESSION CREATE").is_empty()).then_some(());
    until("a session is asked for", asks).await;
    fs::write(&config, "nonsense").unwrap();
    proxy.send("HUP");
    proxy.stderr_line("the new configuration was refused");
    proxy.send("USR1");
    proxy.stderr_line("new identities");
    assert!(proxy.stdout().is_empty(), "{}", proxy.said());
    // The new tunnel needs sessions with other options, which are built at once.
    let more = "[[tunnel]]\nname = 'more'\nlisten = ['127.0.0.1:0']\n[session]\nquantity = 3\n";
    fs::write(&config, text + more).unwrap();
    proxy.send("HUP");
    proxy.stderr_line("the new configuration is in effect");
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=Serving on 2 listeners\n"), "{ready}");
    assert!(!manager.said.iter().any(|message| message.contains("RELOADING=1")), "{:?}", manager.said);
    // The lines were written before READY=1 was sent, and may not have been read yet.
    let begin = Instant::now();
    while proxy.stdout().len() < 2 && begin.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(proxy.stdout().iter().filter(|line| line.ends_with(" ready")).count(), 2, "{}", proxy.said());
}

/// Clients of one tunnel are served, so units that depend on this one may start.
#[tokio::test(flavor = "multi_thread")]
async fn ready_is_sent_once_when_the_first_of_several_tunnels_is_served() {
    let bridge = TestBridge::start().await;
    bridge.once("SESSION CREATE", Act::late(Duration::from_secs(6)));
    let dir = tempfile::tempdir().unwrap();
    let mut manager = Manager::listen(dir.path());
    let config = dir.path().join("config.toml");
    let tunnels = "[[tunnel]]\nlisten = ['127.0.0.1:0']\n[[tunnel]]\nname = 'own'\nlisten = ['127.0.0.1:0']\nquantity = 3\n";
    fs::write(&config, format!("[router]\nsam = '{}'\n{tunnels}", bridge.address())).unwrap();
    let mut command = common::i2p_socks(&["--config", config.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", dir.path().join("notify"));
    let proxy = Running::of(command);
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=Serving on 2 listeners; tunnel "), "{ready}");
    assert!(ready.ends_with(" has no I2P session") || ready.contains(" has no I2P session\n"), "{ready}");
    manager.told("STATUS=Serving on 2 listeners");
    drop(proxy);
    assert_eq!(
        manager.said.iter().filter(|message| message.contains("READY=1")).count(),
        1,
        "{:?}",
        manager.said
    );
}

/// At boot the router's unit runs long before its bridge answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_a_router_that_is_slow_to_start() {
    let mut bridge = TestBridge::start().await;
    bridge.kill().await;
    let dir = tempfile::tempdir().unwrap();
    let mut manager = Manager::listen(dir.path());
    let mut command = common::i2p_socks(&["--sam", &bridge.address(), "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", dir.path().join("notify"));
    let mut proxy = Running::of(command);
    proxy.stderr_line("trying for 180 s");
    bridge.restart().await;
    manager.told("READY=1");
    assert!(!proxy.said().contains("starting the embedded router"), "{}", proxy.said());
}

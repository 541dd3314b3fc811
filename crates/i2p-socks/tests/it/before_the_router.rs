//! Clients that come before there is a router: they are served as while a router is away.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::{Duration, Instant},
};

use sam_testkit::TestBridge;

use crate::common::{
    LIMIT, Running, connect, echo,
    fake_i2pd::{self, Fake},
    output,
};

/// Far less than the time for which clients got no answer, and enough for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A proxy with `backend = "auto"`, for a bridge at this address.
struct Lab {
    dir: tempfile::TempDir,
    sam: String,
}

impl Lab {
    fn new(sam: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::DirBuilder::new().mode(0o700).create(dir.path().join("state")).unwrap();
        fs::write(dir.path().join("config.toml"), "[limits]\ndial = '1s'\n").unwrap();
        Self { dir, sam: sam.to_owned() }
    }

    /// One that has used the bridge before.
    fn used(sam: &str) -> Self {
        let lab = Self::new(sam);
        fs::write(lab.dir.path().join("state/used-sam-bridge"), format!("{sam}\n")).unwrap();
        lab
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(&self, more: &[&str]) -> Running {
        let (config, state) = (self.path("config.toml"), self.path("state"));
        let options =
            ["--config", &config, "--state-dir", &state, "--sam", &self.sam, "--listen", "127.0.0.1:0"];
        Running::start(&[&["run"][..], &options, more].concat())
    }

    /// The address of the listener, which is not printed before the proxy is ready.
    fn listener(&self) -> SocketAddr {
        let file = self.dir.path().join("state/ports.json");
        let begin = Instant::now();
        loop {
            let ports: Option<serde_json::Value> =
                fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(address) = ports.iter().find_map(first_address) {
                return address;
            }
            assert!(begin.elapsed() < LIMIT, "no listener in {}", file.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn status(&self) -> serde_json::Value {
        let (code, stdout, stderr) = output(&["status", "--json", "--state-dir", &self.path("state")]);
        assert_eq!(code, Some(1), "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }
}

fn first_address(json: &serde_json::Value) -> Option<SocketAddr> {
    match json {
        serde_json::Value::String(text) => text.parse().ok(),
        serde_json::Value::Array(values) => values.iter().find_map(first_address),
        serde_json::Value::Object(values) => values.values().find_map(first_address),
        _ => None,
    }
}

fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The status line of the answer to a plain HTTP request.
fn get(proxy: SocketAddr, url: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(AT_ONCE)).unwrap();
    write!(stream, "GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap().to_owned()
}

/// What needs no router is answered at once, and the rest within its limit.
fn is_served(lab: &Lab, proxy: SocketAddr) {
    let begin = Instant::now();
    assert_eq!(get(proxy, "http://proxy.i2p/"), "HTTP/1.1 200 OK");
    assert_eq!(get(proxy, "http://example.com/"), "HTTP/1.1 403 This address is outside I2P");
    assert_eq!(connect(proxy, "example.com").0, 2);
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    assert_eq!(connect(proxy, "echo.i2p").0, 1, "the router is missing, and no site is at fault");
    assert!(begin.elapsed() < AT_ONCE, "the limit is 1 s: {:?}", begin.elapsed());
    let status = lab.status();
    assert_eq!((&status["state"], &status["ready"]), (&"no-router".into(), &false.into()), "{status:#}");
    let (_, _, stderr) = output(&["status", "--state-dir", &lab.path("state")]);
    assert!(stderr.contains("the router does not answer"), "{stderr}");
    let sessions = status["sessions"].as_array().unwrap();
    assert!(
        sessions.iter().all(|session| session["trouble"] == "no router has been found yet"),
        "{status:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_only_bridge_is_away() {
    let mut bridge = TestBridge::start().await;
    bridge.kill().await;
    let lab = Lab::used(&bridge.address());
    let mut proxy = lab.start(&["--router", "sam"]);
    let line = proxy.stderr_line("The proxy waits until it does");
    assert!(!line.contains("--router embedded"), "{line}");
    is_served(&lab, lab.listener());
    bridge.restart().await;
    let (code, mut stream) = connect(proxy.ready(), "echo.i2p");
    assert_eq!(code, 0, "{}", proxy.said());
    echo(&mut stream);
    // Somebody who has just typed a wrong address is told so.
    let lab = Lab::new(&nobody());
    let mut proxy = lab.start(&["--router", "sam"]);
    assert_eq!(proxy.ended("nothing"), Some(1), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_used_bridge_is_away() {
    let mut bridge = TestBridge::start().await;
    bridge.kill().await;
    let lab = Lab::used(&bridge.address());
    let mut proxy = lab.start(&[]);
    proxy.stderr_line("so it waits for it");
    is_served(&lab, lab.listener());
    assert!(proxy.stdout().is_empty(), "{}", proxy.said());
    // A reload needs no router either.
    proxy.send("HUP");
    proxy.stderr_line("the new configuration is in effect");
    bridge.restart().await;
    let (code, mut stream) = connect(proxy.ready(), "echo.i2p");
    assert_eq!(code, 0, "{}", proxy.said());
    echo(&mut stream);
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    bridge.kill().await;
    let mut proxy = lab.start(&[]);
    proxy.stderr_line("so it waits for it");
    assert_eq!(proxy.signal("INT"), Some(0), "{}", proxy.said());
    assert!(!proxy.said().contains("a router that is being started"), "{}", proxy.said());
}

/// Without sessions that are built in advance, nothing else shows that there is no router.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_before_the_router_answers_even_if_no_session_is_built() {
    let mut bridge = TestBridge::start().await;
    bridge.kill().await;
    let lab = Lab::used(&bridge.address());
    let mut proxy = lab.start(&["-o", "session.delay-open=true"]);
    proxy.stderr_line("so it waits for it");
    connect(lab.listener(), "echo.i2p");
    assert_eq!(lab.status()["state"], "no-router");
    assert!(proxy.stdout().is_empty(), "{}", proxy.said());
    bridge.restart().await;
    assert_eq!(connect(proxy.ready(), "echo.i2p").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_auto_looks_for_a_bridge_and_while_its_own_router_starts() {
    let lab = Lab::new(&nobody());
    let i2pd = format!("router.i2pd={}", fake_i2pd::install(lab.dir.path(), Fake::Mute).display());
    let mut proxy = lab.start(&["-o", &i2pd]);
    proxy.stderr_line("trying for 5 s before i2pd (");
    is_served(&lab, lab.listener());
    proxy.stderr_line("waiting for the SAM bridge of i2pd");
    is_served(&lab, lab.listener());
    proxy.send("INT");
    proxy.stderr_line("a router that is being started ends first");
    assert_eq!(proxy.ended("INT"), Some(0), "{}", proxy.said());
}

/// The keys are made by the router. Served without them, clients would have another identity.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_whose_persistent_keys_do_not_exist_yet_waits_for_the_router() {
    let mut bridge = TestBridge::start().await;
    bridge.kill().await;
    let lab = Lab::used(&bridge.address());
    let persistent = "[[tunnel]]\nname = 'main'\nkey = 'persistent'\n";
    fs::write(lab.path("config.toml"), persistent).unwrap();
    let mut proxy = lab.start(&[]);
    proxy.stderr_line("tunnel main has no keys yet");
    proxy.stderr_line("so it waits for it");
    let (_, status, _) = output(&["status", "--state-dir", &lab.path("state")]);
    assert!(status.contains("warning: tunnel main has no keys yet: a router makes them."), "{status}");
    assert!(!Path::new(&lab.path("state/keys/main.dat")).exists());
    bridge.restart().await;
    assert_eq!(connect(proxy.ready(), "echo.i2p").0, 0);
    assert!(Path::new(&lab.path("state/keys/main.dat")).exists());
    assert_eq!(proxy.signal("TERM"), Some(0));
    // From now on they exist, and nothing waits.
    bridge.kill().await;
    fs::write(lab.path("config.toml"), format!("[limits]\ndial = '1s'\n{persistent}")).unwrap();
    let mut proxy = lab.start(&[]);
    proxy.stderr_line("so it waits for it");
    is_served(&lab, lab.listener());
}

/// A bridge that accepts connections and says nothing costs the 10 s of a HELLO before it counts as missing.
#[test]
fn the_time_for_which_it_tries_begins_when_it_says_so() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::new(&silent.local_addr().unwrap().to_string());
    let i2pd = format!("router.i2pd={}", fake_i2pd::install(lab.dir.path(), Fake::Mute).display());
    let mut proxy = lab.start(&["-o", &i2pd]);
    proxy.stderr_line("trying for 5 s before i2pd (");
    let begin = Instant::now();
    proxy.stderr_line("; starting i2pd (");
    assert!(begin.elapsed() > Duration::from_secs(4), "{:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
}

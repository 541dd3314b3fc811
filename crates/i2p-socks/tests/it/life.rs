//! From start to stop: the proxy is ready once clients can be served, survives the loss of its router, and ends when told to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::Stdio,
};

use i2p_name::Destination;
use sam_testkit::{Act, Endpoint, TestBridge};

use crate::common::{self, Running, connect};

fn start(bridge: &TestBridge) -> Running {
    Running::start(&["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_is_announced_and_signals_stop_the_proxy_cleanly() {
    let bridge = TestBridge::start().await;
    for signal in ["INT", "TERM"] {
        let mut proxy =
            Running::start(&["--sam", &bridge.address(), "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
        let first = proxy.ready();
        let second = proxy.stdout_line("socks [::1]:");
        assert!(second.ends_with(" ready"), "{second}");
        let (code, mut stream) = connect(first, "known.i2p");
        assert_eq!(code, 0);
        stream.write_all(b"ping").unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"ping");
        assert_eq!(proxy.signal(signal), Some(0), "{}", proxy.said());
        assert_eq!(proxy.stdout().len(), 2, "{}", proxy.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_is_printed_only_once_tunnels_are_built() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Hang]);
    let mut proxy = start(&bridge);
    proxy.stderr_line("[3/3] building I2P tunnels");
    assert!(proxy.stdout().is_empty(), "{}", proxy.said());
    // A slow start can be interrupted.
    assert_eq!(proxy.signal("INT"), Some(0), "{}", proxy.said());
    assert!(proxy.stdout().is_empty(), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_session_is_explained_and_retried() {
    let bridge = TestBridge::start().await;
    bridge.once("SESSION CREATE", [Act::line("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no tunnels\"")]);
    let mut proxy = start(&bridge);
    let line = proxy.stderr_line("no I2P session");
    assert!(line.contains("WARN") && line.contains("I2P_ERROR (no tunnels)"), "{line}");
    let address = proxy.ready();
    assert_eq!(connect(address, "known.i2p").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_router_is_logged_once_and_the_next_one_is_used() {
    let mut bridge = TestBridge::start().await;
    let mut proxy = start(&bridge);
    let address = proxy.ready();
    let (code, mut open) = connect(address, "known.i2p");
    assert_eq!(code, 0);
    bridge.kill().await;
    let line = proxy.stderr_line("the router has closed an I2P session");
    assert!(line.contains("WARN") && line.contains("it is built again"), "{line}");
    assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0, "the open stream ends");
    let waiting = std::thread::spawn(move || connect(address, "known.i2p").0);
    bridge.restart().await;
    assert_eq!(waiting.join().unwrap(), 0, "it waited for the router: {}", proxy.said());
    assert!(proxy.is_running(), "{}", proxy.said());
    assert_eq!(proxy.said().matches("has closed an I2P session").count(), 1);
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_pipe_does_not_end_the_proxy() {
    let bridge = TestBridge::start().await;
    let mut command = common::i2p_socks(&[
        "run",
        "-vv",
        "--sam",
        &bridge.address(),
        "--router",
        "sam",
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split(' ').nth(1).unwrap().parse().unwrap();
    drop(child.stderr.take());
    for _ in 0..3 {
        assert_eq!(connect(address, "unknown.i2p").0, 4);
    }
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The destination that a far end sees the proxy connect from.
fn seen(proxy: SocketAddr) -> String {
    let (code, mut stream) = connect(proxy, "whoami.i2p");
    assert_eq!(code, 0);
    let mut destination = String::new();
    stream.read_to_string(&mut destination).unwrap();
    assert!(destination.len() > 500, "{destination}");
    destination
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sigusr1_gives_new_identities() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let mut proxy = start(&bridge);
    let address = proxy.ready();
    proxy.send("USR1");
    proxy.stderr_line("none that can change was in use");
    assert!(!proxy.said().contains("switched"), "{}", proxy.said());
    let before = seen(address);
    assert_eq!(seen(address), before);
    proxy.send("USR1");
    let line = proxy.stderr_line("switched to new identities");
    assert!(line.ends_with("open streams keep the old ones, renewed=1"), "{line}");
    assert_ne!(seen(address), before);
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    assert!(!proxy.said().contains("idle"), "an end is not idleness: {}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn persistent_keys_survive_a_restart_and_are_private() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let text = "[[tunnel]]\nname = 'kept'\nkey = 'persistent'\nlisten = ['127.0.0.1:0']\n\
                [[tunnel]]\nname = 'other'\nlisten = ['127.0.0.2:0']\n";
    std::fs::write(&config, text).unwrap();
    let state = dir.path().join("state");
    let args = [
        "--sam",
        &bridge.address(),
        "--config",
        config.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let run = || {
        let mut proxy = Running::start(&args);
        let seen = proxy.listeners(2).into_iter().map(seen).collect::<Vec<_>>();
        assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
        seen
    };
    let (first, second) = (run(), run());
    assert_eq!(first[0], second[0], "the kept one is the same");
    assert_ne!(first[1], second[1], "the other is not");
    assert_ne!(first[0], first[1]);
    let file = state.join("keys").join("kept.dat");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (code, stdout, stderr) = common::output(&args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("can be read by others") && stderr.contains("chmod 600"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_with_a_login_gets_the_credentials() {
    let bridge = TestBridge::start().await;
    bridge.require_login("me", "pass word");
    let dir = tempfile::tempdir().unwrap();
    let (config, password) = (dir.path().join("i2p-socks.toml"), dir.path().join("password"));
    let text = format!(
        "[router]\nbackend = 'sam'\nsam = '{}'\nuser = 'me'\npassword-file = '{}'\n",
        bridge.address(),
        password.display()
    );
    std::fs::write(&config, text).unwrap();
    let args = ["--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
    for end_of_line in ["\n", "\r\n", ""] {
        std::fs::write(&password, format!("pass word{end_of_line}")).unwrap();
        let mut proxy = Running::start(&args);
        assert_eq!(connect(proxy.ready(), "known.i2p").0, 0, "{end_of_line:?}");
        assert!(!proxy.said().contains("pass word"), "{}", proxy.said());
    }
    std::fs::write(&password, "wrong\n").unwrap();
    let (code, _, stderr) = common::output(&args);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("Authorization failed"), "{stderr}");
    std::fs::remove_file(&password).unwrap();
    let (code, _, stderr) = common::output(&args);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("cannot use the password file"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn resolve_shows_where_a_name_leads() {
    let bridge = TestBridge::start().await;
    let page = bridge.host("page.i2p", Endpoint::Http("hello".into()));
    let b32 = page.parse::<Destination>().unwrap().b32().to_string();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    std::fs::write(&config, format!("[names.static]\n'own.i2p' = '{b32}'\n")).unwrap();
    let resolve = |name: &str, more: &[&str]| {
        let args = ["resolve", name, "--sam", &bridge.address(), "--config", config.to_str().unwrap()];
        common::output(&[&args[..], more].concat())
    };
    let (code, stdout, stderr) = resolve("PAGE.i2p.", &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let expected = format!(
        "page.i2p is a host name\n  the configuration's names: not there\n  the address book: not there\n  \
         the router's address book: {b32}\n\
         base32: {b32}\ndestination: {page}\n"
    );
    assert_eq!(stdout, expected);
    let (_, stdout, _) = resolve("own.i2p", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&json["name"], &json["b32"]), (&"own.i2p".into(), &b32.as_str().into()));
    assert_eq!(json["steps"][0]["answer"], b32.as_str());
    assert_eq!(json["steps"][1]["answer"], "not there");
    for (name, code, says) in [
        (b32.as_str(), 0, "so nobody was asked; whether something answers there, only a connection shows"),
        (page.as_str(), 0, "is a destination"),
        ("nobody.i2p", 1, "the router's address book: not there"),
        ("example.com", 1, "a host outside I2P"),
        ("127.0.0.1", 1, "an IP address"),
    ] {
        let (found, stdout, stderr) = resolve(name, &[]);
        assert_eq!(found, Some(code), "{name}: {stdout}{stderr}");
        assert!(stdout.contains(says), "{name}: {stdout}");
    }
    // The services of the name, from a router that returns them.
    let services = "OPTION:_smtp._tcp=\"0 86400 25\" OPTION:_smtp._udp=\"nonsense\" OPTION:x=\"y\"";
    let answer =
        format!("NAMING REPLY RESULT=OK NAME=mail.i2p VALUE={} {services}", sam_testkit::destination());
    bridge.on("NAMING LOOKUP NAME=mail.i2p", [Act::line(&answer)]);
    let (code, stdout, stderr) = resolve("mail.i2p", &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.ends_with("service _smtp._tcp: port 25\n"), "{stdout}");
    let (code, _, stderr) = resolve("router.i2p", &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("no address book accepts it: the name is reserved: proxy.i2p, router.i2p"),
        "{stderr}"
    );
    let (code, stdout, stderr) = resolve("a b.i2p", &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""));
    assert!(stderr.contains("byte 0x20 at position 1"), "{stderr}");
    let (code, _, stderr) = common::output(&["resolve", "nobody.i2p", "--sam", "127.0.0.1:9"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the others gave no answer"), "{stderr}");
    // The configuration changes which sources are asked.
    let args = ["--sam", &bridge.address(), "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
    let mut proxy = Running::start(&args);
    assert_eq!(connect(proxy.ready(), "own.i2p").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_overrides_environment_and_file() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    let text = format!(
        "[router]\nbackend = 'sam'\nsam = '{}'\n[session]\nlength = 1\nquantity = 3\n[[tunnel]]\nlisten = ['127.0.0.1:1']\n",
        bridge.address()
    );
    std::fs::write(&config, text).unwrap();
    // Port 1 needs privileges, so the proxy would fail if the port of the command line did not win.
    let mut proxy = Running::start(&["--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_ne!(proxy.ready().port(), 1);
    let create = bridge.commands().into_iter().find(|line| line.starts_with("SESSION CREATE")).unwrap();
    for option in
        ["inbound.length=1", "outbound.length=1", "inbound.quantity=3", "i2cp.dontPublishLeaseSet=true"]
    {
        assert!(create.contains(option), "{create}");
    }
    drop(proxy);

    let output = common::i2p_socks(&["run", "--router", "sam", "--listen", "127.0.0.1:0"])
        .env("I2P_SOCKS_SAM", "127.0.0.1:9")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("127.0.0.1:9"), "{stderr}");
}

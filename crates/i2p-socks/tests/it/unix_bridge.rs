//! A router whose SAM bridge is on a Unix socket.
#![cfg(unix)]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    process::{Command, Stdio},
};

use sam_testkit::{Dialect, TestBridge};

use crate::common::{self, Running, connect, echo, output};

fn at(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_served_and_the_router_may_be_restarted() {
    let directory = tempfile::tempdir().unwrap();
    let mut bridge = TestBridge::start_at(directory.path().join("sam"), Dialect::I2pd245).await;
    let state = directory.path().join("state");
    let mut command = common::i2p_socks(&["run", "--listen", "127.0.0.1:0", "--router", "sam"]);
    // The environment names it, as in the unit of a service.
    command.env("I2P_SOCKS_SAM", bridge.address()).arg("--state-dir").arg(&state).stdin(Stdio::null());
    let mut proxy = Running::of(command);
    let address = proxy.ready();
    for _ in 0..2 {
        let (code, mut stream) = connect(address, "known.i2p");
        assert_eq!(code, 0, "{}", proxy.said());
        echo(&mut stream);
        let (code, _, stderr) = output(&["status", "--state-dir", state.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{stderr}");
        bridge.kill().await;
        proxy.stderr_line("the router has closed an I2P session");
        bridge.restart().await;
    }
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_the_router_and_the_configuration_file_may_name_it() {
    let directory = tempfile::tempdir().unwrap();
    let bridge = TestBridge::start_at(directory.path().join("sam"), Dialect::I2pd245).await;
    let config = directory.path().join("config.toml");
    fs::write(&config, format!("[router]\nbackend = 'sam'\nsam = '{}'\n", bridge.address())).unwrap();
    let (code, stdout, stderr) = output(&["check", "--live", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("the router at {} answers: i2pd\n", bridge.address())), "{stdout}");
}

/// Going over to the embedded router would show anyone who watches the line that this machine runs I2P by other means now.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_has_used_a_bridge_waits_for_it_and_starts_no_router_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut bridge = TestBridge::start_at(directory.path().join("sam"), Dialect::I2pd245).await;
    let state = directory.path().join("state");
    let (sam, state) = (bridge.address(), state.to_str().unwrap());
    let args = ["--router", "auto", "--sam", &sam, "--state-dir", state];
    let run = [&["run", "--listen", "127.0.0.1:0"][..], &args].concat();
    let check = [&["check", "--live"][..], &args].concat();
    let mut proxy = Running::start(&run);
    proxy.ready();
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    bridge.kill().await;
    let (code, stdout, stderr) = output(&check);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stderr.contains("run would wait for it and start no router of its own"), "{stderr}");
    // A person waits for this command, so it does not wait for the router.
    let (code, _, stderr) = output(&[&["connect", "known.i2p", "80"][..], &args].concat());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("starts no router unless you name it"), "{stderr}");
    let mut proxy = Running::start(&run);
    let line = proxy.stderr_line("has used a router's SAM bridge before, so it waits for it");
    assert!(line.contains("used-sam-bridge"), "{line}");
    bridge.restart().await;
    let (code, mut stream) = connect(proxy.ready(), "known.i2p");
    assert_eq!(code, 0);
    echo(&mut stream);
}

#[test]
fn a_socket_that_cannot_be_used_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("file"), "").unwrap();
    drop(UnixListener::bind(path("left")).unwrap());
    for (name, cause, advice) in [
        ("missing", "there is no such file", "Start the router, and the program that forwards"),
        ("file", "the file is not a socket", "Name the socket of the SAM bridge with --sam unix:/PATH"),
        ("left", "no program listens on this socket", "Start the router, and the program that forwards"),
    ] {
        let sam = at(&path(name));
        for command in [&["run", "--listen", "127.0.0.1:0"][..], &["check", "--live"]] {
            let (code, _, stderr) = output(&[command, &["--router", "sam", "--sam", &sam]].concat());
            assert_eq!(code, Some(1), "{stderr}");
            for part in [&format!("no SAM bridge answers at {sam}: {cause}"), "nothing in I2P can be", advice]
            {
                assert!(stderr.contains(part), "{part} is not in\n{stderr}");
            }
        }
    }
    let (code, _, stderr) = output(&["run", "--sam", "unix:relative"]);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("expected unix:/PATH with an absolute path"), "{stderr}");
}

/// Root may open any socket, unless it has given up that right. CI runs this as root.
#[test]
fn a_user_without_permission_is_told_what_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sam");
    let _listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let proxy = common::i2p_socks(&[]);
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.arg("--bounding-set=-dac_override");
    }
    command.arg(proxy.get_program()).args(["check", "--live", "--router", "sam", "--sam", &at(&path)]);
    let output = command.output().expect("setpriv is needed: apt-get install util-linux");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in ["this user has no permission to connect", "Give the user of i2p-socks write permission"] {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
}

//! How clients reach the proxy: Unix sockets of other users, sockets from systemd, other machines, and passwords.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    process::{Command, Output, Stdio},
};

use sam_testkit::{Endpoint, TestBridge};

use crate::common::{self, Running, activated};

/// The ID of a user that nobody else here has.
const OTHER: &str = "65534";

/// Starts the proxy with this configuration.
fn start(bridge: &TestBridge, config: &str) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i2p-socks.toml");
    fs::write(&file, config).unwrap();
    let args =
        ["run", "-v", "--router", "sam", "--sam", &bridge.address(), "--config", file.to_str().unwrap()];
    (Running::start(&args), dir)
}

/// Asks a destination, on a stream opened with SOCKS5, for our address.
fn who(mut stream: impl Read + Write) -> String {
    stream.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x0awhoami.i2p\x00\x50").unwrap();
    let mut answer = String::new();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[3], 0, "connected");
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn curl(arguments: &[&str]) -> Output {
    let always = ["-q", "-sS", "--max-time", "60"];
    Command::new("curl")
        .args(always)
        .args(arguments)
        .env_clear()
        .output()
        .expect("curl is needed: apt-get install curl")
}

/// Another user connects with curl. Only root can become another user; CI runs this as root.
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_isolates_its_users_and_admits_them_by_its_mode() {
    assert!(rustix::process::geteuid().is_root(), "this test becomes another user, and needs root for it");
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("socks");
    let config =
        |mode: &str| format!("[[tunnel]]\nlisten = ['unix:{}']\nunix-mode = '{mode}'\n", path.display());
    let as_other = || {
        let proxy = format!("socks5h://localhost{}", path.display());
        let url = "http://whoami.i2p/";
        let mut command = Command::new("setpriv");
        command.args(["--reuid", OTHER, "--regid", OTHER, "--clear-groups"]);
        command.args(["curl", "-q", "-sS", "--http0.9", "--max-time", "60", "-x", &proxy, url]);
        command.env("HOME", "/nonexistent").output().expect("setpriv is needed: apt-get install util-linux")
    };
    let (mut proxy, _config) = start(&bridge, &config("0666"));
    let line = proxy.stdout_line("socks unix:");
    assert_eq!(line, format!("socks unix:{} ready", path.display()));
    let ours = who(UnixStream::connect(&path).unwrap());
    assert_eq!(who(UnixStream::connect(&path).unwrap()), ours, "one user is one");
    let output = as_other();
    let other = String::from_utf8(output.stdout).unwrap();
    assert!(other.len() > 500, "{other} {:?}", String::from_utf8(output.stderr));
    assert_ne!(other, ours, "two users are two");
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    assert!(!path.exists(), "the file is gone");

    let (mut proxy, _config) = start(&bridge, &config("0600"));
    proxy.stdout_line("socks unix:");
    let output = as_other();
    assert!(!output.status.success() && output.stdout.is_empty(), "let in: {output:?}");
    who(UnixStream::connect(&path).unwrap());
    // A killed proxy leaves its socket file, which the next one replaces.
    assert_eq!(proxy.signal("KILL"), None);
    assert!(path.exists());
    let (mut proxy, _config) = start(&bridge, &config("0600"));
    proxy.stdout_line("socks unix:");
    who(UnixStream::connect(&path).unwrap());
    // A second proxy beside a running one is refused.
    let (code, _, stderr) = common::output(&["run", "--listen", &format!("unix:{}", path.display())]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("another process listens there. Stop that process"), "{stderr}");
    assert!(!who(UnixStream::connect(&path).unwrap()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_systemd_are_served_by_name() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let sam = bridge.address();
    let arguments = |listen| ["run", "--router", "sam", "--sam", &sam, "--listen", listen].map(str::to_owned);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let arguments_of_tcp = arguments("fd:i2p-socks.socket");
    let arguments_of_tcp: Vec<_> = arguments_of_tcp.iter().map(String::as_str).collect();
    let mut proxy = activated(tcp.into(), "LISTEN_FDNAMES=i2p-socks.socket", &arguments_of_tcp);
    assert_eq!(proxy.ready(), address);
    who(std::net::TcpStream::connect(address).unwrap());
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socks");
    let unix = UnixListener::bind(&path).unwrap();
    let arguments_of_unix = arguments("fd:unknown");
    let arguments_of_unix: Vec<_> = arguments_of_unix.iter().map(String::as_str).collect();
    let mut proxy = activated(unix.into(), "", &arguments_of_unix);
    assert_eq!(proxy.stdout_line("socks "), format!("socks unix:{} ready", path.display()));
    who(UnixStream::connect(&path).unwrap());
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    assert!(path.exists(), "it is systemd's, and stays");
}

#[test]
fn missing_and_unusable_sockets_of_systemd_are_reported() {
    let (code, _, stderr) = common::output(&["run", "--listen", "fd:socks"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cannot listen on fd:socks: no socket of this name"), "{stderr}");
    assert!(stderr.contains("FileDescriptorName="), "{stderr}");
    let open = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut proxy = activated(open.into(), "LISTEN_FDNAMES=x", &["run", "--listen", "fd:x"]);
    proxy.stderr_line("can be reached from other machines, and anyone who can reach it could");
    let (one, _other) = UnixStream::pair().unwrap();
    let mut proxy = activated(one.into(), "LISTEN_FDNAMES=x", &["run", "--listen", "fd:x"]);
    proxy.stderr_line("not a listening stream socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_are_admitted_only_if_configured_and_each_time_logged() {
    let (code, stdout, stderr) = common::output(&["run", "--listen", "0.0.0.0:0"]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    for part in ["0.0.0.0:0 can be reached from other machines", "auth = \"required\"", "--open-to-others"] {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
    let bridge = TestBridge::start().await;
    let sam = bridge.address();
    let mut proxy =
        Running::start(&["--router", "sam", "--sam", &sam, "--listen", "0.0.0.0:0", "--open-to-others"]);
    let line = proxy.stderr_line("can be reached from other machines");
    assert!(line.contains("WARN"), "{line}");
    proxy.ready();
    // The file's `auth` applies to the listener of the command line, too: nobody gets in without a password.
    let (proxy, config) =
        start(&bridge, "[[tunnel]]\nauth = 'required'\nusers-file = '/nonexistent/users'\n");
    drop(proxy);
    let file = config.path().join("i2p-socks.toml");
    let (code, _, stderr) = common::output(&["--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("the users file /nonexistent/users cannot be used: No such file"), "{stderr}");
}

/// Runs `passwd` with these bytes on stdin.
fn passwd(arguments: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut command = common::i2p_socks(&[&["passwd"], arguments].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_passwd_admit_curl_by_socks_and_http() {
    let bridge = TestBridge::start().await;
    bridge.host("page.i2p", Endpoint::Http("hello".into()));
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let (code, anna, stderr) = passwd(&["anna"], "secret word\n");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let (code, bert, _) = passwd(&[], "bert\nother\n");
    assert_eq!(code, Some(0));
    assert!(anna.starts_with("anna:$argon2id$") && bert.starts_with("bert:$argon2id$"), "{anna}{bert}");
    for (arguments, stdin) in [(&["a:b"][..], "x\n"), (&["a"], "\n"), (&["a"], "")] {
        let (code, stdout, stderr) = passwd(arguments, stdin);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    }
    // As Notepad writes it.
    fs::write(&users, format!("\u{feff}{anna}# friends\n{bert}").replace('\n', "\r\n")).unwrap();
    let config = format!(
        "[[tunnel]]\nlisten = ['127.0.0.1:0']\nauth = 'required'\nusers-file = '{}'\n",
        users.display()
    );
    let (mut proxy, _config) = start(&bridge, &config);
    let address = proxy.ready();
    let page = |scheme: &str, user: &str| {
        // -p: for http://, curl otherwise sends the request to the proxy instead of CONNECT.
        let output = curl(&["-p", "-x", &format!("{scheme}://{address}"), "-U", user, "http://page.i2p/"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for scheme in ["socks5h", "http"] {
        assert_eq!(page(scheme, "anna:secret word"), (Some(0), "hello".into()), "{scheme}");
        assert_eq!(page(scheme, "bert:other"), (Some(0), "hello".into()), "{scheme}");
        let (code, stdout) = page(scheme, "anna:other");
        assert!(code != Some(0) && stdout.is_empty(), "{scheme}: {stdout}");
    }
    assert_ne!(page("socks4a", "anna:secret word").0, Some(0), "SOCKS4 has no passwords");
    assert!(!proxy.said().contains("anna") && !proxy.said().contains("secret"), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_serves_curl_in_every_protocol() {
    let bridge = TestBridge::start().await;
    bridge.host("page.i2p", Endpoint::Http("hello".into()));
    let sam = bridge.address();
    let mut proxy = Running::start(&["--router", "sam", "--sam", &sam, "--listen", "127.0.0.1:0"]);
    let address = proxy.ready();
    for scheme in ["socks4a", "socks5h", "http"] {
        let output = curl(&["-p", "-x", &format!("{scheme}://{address}"), "http://page.i2p/"]);
        assert_eq!(output.stdout, b"hello", "{scheme}: {output:?}");
    }
    // Without -p, curl asks the proxy for the page itself.
    let output = curl(&["-x", &format!("http://{address}"), "http://page.i2p/"]);
    assert_eq!(output.stdout, b"hello", "plain HTTP: {output:?}");
}

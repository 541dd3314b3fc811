//! The admin endpoint as a server: methods, foreign pages, floods, a Unix socket.
#![cfg(unix)]

use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use sam_testkit::TestBridge;

use crate::common::{
    self, Running,
    admin::{Proxy, ask, body, get},
};

/// Health is answered at once, whatever else is connected to the admin endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn slow_connections_do_not_delay_health() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "");
    let admin = proxy.admin();
    for sent in ["", "GET /live HTTP/1.1\r\n"] {
        let _slow: Vec<_> = (0..40)
            .map(|_| {
                let mut stream = TcpStream::connect(admin).unwrap();
                stream.write_all(sent.as_bytes()).unwrap();
                stream
            })
            .collect();
        let begin = Instant::now();
        assert_eq!(get(admin, "/live").0, 200);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}

/// Health checks send HEAD: `wget --spider`, `curl -I`, load balancers.
#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_as_get_without_content() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "");
    proxy.running.ready();
    let admin = proxy.admin();
    for path in ["/", "/live", "/ready", "/metrics", "/status.json", "/style.css", "/proxy.pac", "/nothing"] {
        let request = |method: &str| {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n");
            ask(TcpStream::connect(admin).unwrap(), &request)
        };
        let ((got, with_content), (headed, answer)) = (request("GET"), request("HEAD"));
        assert_eq!(headed, got, "{path}");
        assert_eq!(body(&answer), "", "{path}");
        let type_of =
            |answer: &str| answer.lines().find(|line| line.starts_with("content-type: ")).map(str::to_owned);
        assert_eq!(type_of(&answer), type_of(&with_content), "{path}");
        assert!(answer.contains("content-length: "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_pages_and_floods_are_refused() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "");
    let admin = proxy.admin();
    let get = |head: &str| ask(TcpStream::connect(admin).unwrap(), &format!("GET /{head}\r\n\r\n"));
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1"] {
        for path in ["", "status.json", "metrics", "ready", "proxy.pac", "style.css", "live"] {
            let (status, answer) = get(&format!("{path} HTTP/1.1\r\nHost: {host}"));
            assert_eq!(status, 421, "{answer}");
            assert!(!answer.contains("main"), "{answer}");
        }
    }
    assert_eq!(get(" HTTP/1.0").0, 421, "no host at all");
    assert_eq!(get(" HTTP/1.1\r\nHost: localhost\r\nHost: localhost").0, 421);
    for host in ["localhost", "127.0.0.1:1", "[::1]"] {
        assert_eq!(get(&format!("live HTTP/1.1\r\nHost: {host}")).0, 200, "{host}");
    }
    assert_eq!(get("nothing HTTP/1.1\r\nHost: localhost").0, 404);
    let post = "POST /status.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let (status, answer) = ask(TcpStream::connect(admin).unwrap(), post);
    assert!(status == 405 && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    assert_eq!(get(&format!("{} HTTP/1.1", "a".repeat(100_000))).0, 431);
    // More silent clients than are served at a time. They are closed after ten seconds, and others get their turn.
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(admin).unwrap()).collect();
    drop(silent);
    assert_eq!(get("live HTTP/1.1\r\nHost: localhost").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_serves_the_pages_to_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (config, at) = (dir.path().join("config.toml"), dir.path().join("admin"));
    fs::write(&config, format!("[admin]\nlisten = 'unix:{}'\n", at.display())).unwrap();
    let args = ["--config", config.to_str().unwrap(), "--sam", &bridge.address(), "--listen", "127.0.0.1:0"];
    let mut proxy = Running::start(&args);
    proxy.ready();
    assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o600);
    let ready = ask(UnixStream::connect(&at).unwrap(), "GET /ready HTTP/1.1\r\nHost: anything\r\n\r\n");
    assert_eq!(ready.0, 200, "{}", ready.1);
    let asked = |admin: &str| common::output(&["status", "--admin", admin]);
    let (code, stdout, stderr) = asked(&format!("unix:{}", at.display()));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("tunnel default"), "{stdout}");
    let (code, _, stderr) = asked("unix:/nonexistent/admin");
    assert!(code == Some(1) && stderr.contains("/nonexistent/admin: No such file"), "{stderr}");
    assert!(asked("unix:admin").2.contains("expected the absolute path"));
    let (code, _, stderr) = common::output(&args);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("for the admin pages"), "a live one is not taken away: {stderr}");
    assert_eq!(proxy.signal("TERM"), Some(0));
    assert!(!at.exists());
    fs::write(&at, "a file of somebody").unwrap();
    let (code, _, stderr) = common::output(&args);
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(fs::read_to_string(&at).unwrap(), "a file of somebody");
}

//! A router whose SAM bridge is reached over TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use i2p_sam::Fingerprint;
use sam_testkit::{Endpoint, TestBridge, TlsFront};

use crate::common::{self, Running, admin::ask, connect, output};

/// A configuration file with this `[router]`.
struct Config(tempfile::TempDir);

impl Config {
    fn new(sam: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sam.pem"), TlsFront::certificate()).unwrap();
        fs::write(dir.path().join("empty.pem"), "").unwrap();
        let text = format!("[router]\nsam = '{sam}'\n{}", more.replace("DIR", dir.path().to_str().unwrap()));
        fs::write(dir.path().join("config.toml"), text).unwrap();
        Self(dir)
    }

    /// A command with this configuration.
    fn args<'a>(&'a self, words: &[&'a str], path: &'a str) -> Vec<&'a str> {
        [words, &["--config", path]].concat()
    }

    fn path(&self) -> String {
        self.0.path().join("config.toml").to_str().unwrap().to_owned()
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        output(&self.args(words, &self.path()))
    }
}

fn fingerprint() -> String {
    Fingerprint::all_in(TlsFront::certificate()).unwrap()[0].to_string()
}

const RUN: [&str; 3] = ["run", "--listen", "127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_served_through_a_bridge_with_the_pinned_certificate() {
    let bridge = TestBridge::start().await;
    bridge.host("page.i2p", Endpoint::Http("hello".into()));
    let front = TlsFront::start(&bridge).await;
    for pin in ["DIR/sam.pem".to_owned(), fingerprint()] {
        let config = Config::new(&front.address(), &format!("sam-certificate = '{pin}'\n"));
        let (code, stdout, stderr) = config.run(&["check", "--live"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(&format!("the router at {} answers", front.address())), "{stdout}");
        let path = config.path();
        let mut proxy = Running::start(&config.args(&RUN, &path));
        let address = proxy.ready();
        let (code, mut stream) = connect(address, "echo.i2p");
        assert_eq!(code, 0, "{}", proxy.said());
        let data: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
        let mut writer = stream.try_clone().unwrap();
        let sent = data.clone();
        let writing = thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = vec![0; data.len()];
        stream.read_exact(&mut back).unwrap();
        writing.join().unwrap();
        assert_eq!(back, data);
        // The far end finishes first.
        let (code, mut stream) = connect(address, "page.i2p");
        assert_eq!(code, 0, "{}", proxy.said());
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        assert!(page.ends_with("hello"), "{page}");
        drop(stream);
        assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    }
}

/// No router of the proxy's own is started instead, and nothing waits for another certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_ends_the_start_and_says_what_to_compare() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let wrong = format!("sha256:{}", "ab".repeat(32));
    for (more, expected) in [
        (format!("sam-certificate = '{wrong}'\n"), format!("expected {wrong}")),
        (String::new(), "is not trusted".to_owned()),
    ] {
        let config = Config::new(&front.address(), &more);
        for backend in ["sam", "auto"] {
            for command in [&RUN[..], &["check", "--live"]] {
                let (code, _, stderr) = config.run(&[command, &["--router", backend]].concat());
                assert_eq!(code, Some(1), "{stderr}");
                let found = format!("its fingerprint is {}", fingerprint());
                for part in [&expected, &found, "pin it with sam-certificate under [router]"] {
                    assert!(stderr.contains(part), "{part} is not in\n{stderr}");
                }
                assert!(!stderr.contains("starting i2pd") && !stderr.contains("trying for"), "{stderr}");
            }
        }
    }
    assert_eq!(bridge.accepted_connections(), 0);
}

/// The environment names the authorities in place of those of the system.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_authority_has_to_be_for_the_name_of_the_host() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let port = front.tcp_address().rsplit_once(':').unwrap().1.to_owned();
    let config = Config::new(&front.address(), "");
    let check = |host: &str| {
        let sam = format!("tls:{host}:{port}");
        let mut command = common::i2p_socks(&["check", "--live", "--router", "sam", "--sam", &sam]);
        command.env("SSL_CERT_FILE", config.0.path().join("sam.pem"));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for host in ["localhost", "127.0.0.1"] {
        let (code, stderr) = check(host);
        assert_eq!(code, Some(0), "{host}: {stderr}");
    }
    // Another name of the same address, which the certificate does not have.
    let (code, stderr) = check("0.0.0.0");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("is not trusted") && stderr.contains("0.0.0.0"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_at_one_end_only_is_explained() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let (code, _, stderr) = output(&["check", "--live", "--router", "sam", "--sam", &front.tcp_address()]);
    assert_eq!(code, Some(1), "{stderr}");
    for part in ["expects TLS", "write its address as tls:HOST:PORT"] {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
    let plain = format!("tls:{}", bridge.address());
    let (code, _, stderr) = output(&["check", "--live", "--router", "sam", "--sam", &plain]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("HOST:PORT, under [router]") || stderr.contains("one without has HOST:PORT"),
        "{stderr}"
    );
}

/// Both ends of such a mistake may only close the connection. A router that is there is not doubled.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_at_hello_may_be_tls_at_one_end_and_starts_no_router() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    for (sam, advice) in [
        (
            tcp.clone(),
            "The SAM bridge may speak TLS, and the proxy does not there: then write its address as tls:HOST:PORT",
        ),
        (
            format!("tls:{tcp}"),
            "The proxy speaks TLS there, and the SAM bridge may not: then write its address as HOST:PORT",
        ),
    ] {
        let config = Config::new(&sam, "");
        for backend in ["sam", "auto"] {
            for command in [&["check", "--live"][..], &RUN] {
                let (code, _, stderr) = config.run(&[command, &["--router", backend]].concat());
                assert_eq!(code, Some(1), "{stderr}");
                let closed = format!("the program at {sam} closed the connection instead of answering HELLO");
                for part in [&closed, advice] {
                    assert!(stderr.contains(part), "{command:?} {backend}: {part} is not in\n{stderr}");
                }
                assert!(
                    backend == "sam" || command[0] == "check" || stderr.contains("before giving up"),
                    "{stderr}"
                );
                for started in ["starting i2pd", "starting the embedded", "is started (", "would start"] {
                    assert!(!stderr.contains(started), "{command:?} {backend}:\n{stderr}");
                }
            }
        }
    }
}

/// A router that is set up anew may lose its TLS while the proxy runs. Who looks at the status need not read the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_speaks_no_tls_any_more_is_told_in_the_status_with_what_to_do() {
    let bridge = TestBridge::start().await;
    let front = TlsFront::start(&bridge).await;
    let config = Config::new(&front.address(), "sam-certificate = 'DIR/sam.pem'\n");
    let (path, state) = (config.path(), config.0.path().join("state"));
    let state = state.to_str().unwrap();
    let mut proxy = Running::start(&[&config.args(&RUN, &path)[..], &["--state-dir", state]].concat());
    let address = proxy.ready();
    let tcp = front.tcp_address();
    let at = tcp.clone();
    drop(front);
    thread::spawn(move || {
        // Until the front has given up the port.
        let begin = Instant::now();
        let plain = loop {
            match TcpListener::bind(&at) {
                Ok(plain) => break plain,
                Err(error) => assert!(begin.elapsed() < common::LIMIT, "{error}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(b"HELLO, and no TLS\n");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let line = format!(
        "router: the program at tls:{tcp} does not speak TLS. If this is the router's SAM bridge without TLS, write its address as \
         HOST:PORT, under [router] or with --sam"
    );
    let status = |more: &[&str]| output(&[&["status", "--state-dir", state], more].concat()).1;
    let until_it_has = |wanted: &dyn Fn(&str) -> bool| {
        let begin = Instant::now();
        loop {
            let text = status(&[]);
            if text.lines().any(wanted) {
                return text;
            }
            assert!(begin.elapsed() < common::LIMIT, "{text}");
            thread::sleep(Duration::from_millis(100));
        }
    };
    until_it_has(&|found| found == line);
    // A client waits for a session, which cannot be built.
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&[&[4, 1, 0, 80, 0, 0, 0, 1, 0][..], b"echo.i2p\0"].concat()).unwrap();
    let failed = "attempts failed, the last one: the program at ";
    let text = until_it_has(&|found| found.starts_with("session ") && found.contains(failed));
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(text.contains(" attempts to build an I2P session failed; "), "{text}");
    let report: serde_json::Value = serde_json::from_str(&status(&["--json"])).unwrap();
    assert!(report["router-failure"]["what"].as_str().unwrap().ends_with("does not speak TLS"), "{report}");
    for of in [&report["tunnels"][0], &report["sessions"][0]] {
        assert!(of["failed-attempts"].as_u64().unwrap() > 1, "{report}");
        assert!(of["trouble"].as_str().unwrap().ends_with("does not speak TLS"), "{report}");
    }
    let socket = UnixStream::connect(format!("{state}/control.sock")).unwrap();
    let (_, page) = ask(socket, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        page.contains("<p class=\"bad\">router: the program at ")
            && page.contains("write its address as HOST:PORT"),
        "{page}"
    );
    assert!(page.contains(" to build an I2P session failed, the last one: the program at "), "{page}");
}

#[test]
fn settings_that_would_not_protect_are_refused() {
    let tls = "tls:127.0.0.1:7656";
    for (sam, more, says) in [
        (
            "127.0.0.1:7656",
            "sam-certificate = 'DIR/sam.pem'\n",
            "sam-certificate is for a SAM bridge with TLS",
        ),
        (tls, "sam-certificate = 'DIR/none.pem'\n", "cannot use the certificate file"),
        (tls, "sam-certificate = 'DIR/empty.pem'\n", "it holds no certificate in PEM or DER"),
        (tls, "sam-certificate = 'sha256:12'\n", "expected sha256: and the 64 hexadecimal digits"),
        (tls, "[[tunnel]]\nudp = 'datagram'\n", "does not protect them"),
        ("tls:127.0.0.1", "", "expected HOST:PORT"),
    ] {
        let (code, _, stderr) = Config::new(sam, more).run(&["check"]);
        assert_eq!(code, Some(64), "{more}{stderr}");
        assert!(stderr.contains(says), "{says} is not in\n{stderr}");
    }
    let udp = "sam-udp = '127.0.0.1:7655'\n[[tunnel]]\nudp = 'datagram'\n";
    assert_eq!(Config::new(tls, udp).run(&["check"]).0, Some(0));
}

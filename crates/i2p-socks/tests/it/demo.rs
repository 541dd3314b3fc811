//! `i2p-socks demo`, and the curl commands it prints, exactly as printed.
#![cfg(feature = "embedded")]

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use sam_testkit::TestBridge;

use crate::common::{Running, connect, i2p_socks, output};

/// What to do if the demo refuses something.
const INSTEAD: &str = "End the demo, and start a proxy with i2p-socks run";

#[test]
fn the_printed_curl_lines_fetch_the_page() {
    let begin = Instant::now();
    let mut demo = Running::start(&["demo", "--listen", "127.0.0.1:0"]);
    let proxy = demo.ready();
    demo.stdout_line("Ctrl-C ends the demo");
    let lines: Vec<_> = demo.stdout().into_iter().filter(|line| line.starts_with("  curl ")).collect();
    assert_eq!(lines.len(), 3, "{}", demo.said());
    assert!(lines[0].contains("--socks4a") && lines[1].contains("--socks5-hostname"), "{lines:?}");
    assert!(lines[2].contains(".b32.i2p"), "{lines:?}");
    let readme = readme_curl_lines(&proxy.to_string());
    assert!(readme.len() >= 2, "{readme:?}");
    for line in lines.into_iter().chain(readme) {
        let words: Vec<_> = line.split_whitespace().collect();
        // Long enough that a stall in the network's streaming does not fail this test.
        let output = Command::new(words[0])
            .args(["--silent", "--show-error", "--max-time", "60"])
            .args(&words[1..])
            .output()
            .expect("curl is needed: apt-get install curl");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}\n{}", demo.said());
        assert!(String::from_utf8_lossy(&output.stdout).contains("<h1>It works</h1>"), "{line}");
    }
    // The page has no TLS. That is an error at once, and 28 would be the time limit.
    let mut https = Command::new("curl");
    https.args([
        "--silent",
        "--max-time",
        "60",
        "--socks5-hostname",
        &proxy.to_string(),
        "https://demo.i2p/",
    ]);
    assert_eq!(https.output().unwrap().status.code(), Some(35), "{}", demo.said());
    assert!(begin.elapsed() < Duration::from_secs(240), "the demo took too long to be one");
    assert_eq!(demo.said().matches("the router's bridge: ").count(), 1, "{}", demo.said());
    assert_eq!(demo.signal("INT"), Some(0), "{}", demo.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_ask_the_demo_if_no_proxy_is_running() {
    let state = tempfile::tempdir().unwrap();
    let with_state = ["--state-dir", state.path().to_str().unwrap()];
    let command = |words: &[&str]| {
        let (options, program) =
            words.split_at(words.iter().position(|word| *word == "--").unwrap_or(words.len()));
        output(&[options, &with_state, program].concat())
    };
    let mut demo = Running::start(&[&["demo", "--listen", "127.0.0.1:0"][..], &with_state].concat());
    demo.stderr_line("[3/3] building");
    let (code, stdout, stderr) = command(&["status"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains(": starting, ") && stdout.contains("warning: this is the demo"), "{stdout}");
    let address = demo.ready();
    let by_address = demo.stdout_line("  curl --socks5-hostname 127.0.0.1:");
    assert!(by_address.contains("demo.i2p"));
    demo.stdout_line("Ctrl-C ends the demo");
    let lines = demo.stdout();
    let b32 = lines.iter().find_map(|line| line.split("http://").nth(1)?.strip_suffix(".b32.i2p/")).unwrap();

    let (code, stdout, stderr) = command(&["status"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains(": ready, ") && stdout.contains("warning: this is the demo"), "{stdout}");
    let (code, stdout, stderr) = command(&["resolve", "demo.i2p"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("base32: {b32}.b32.i2p\n")), "{stdout}");
    assert!(stderr.contains("the demo answers"), "{stderr}");
    assert_eq!(command(&["resolve", "nobody.i2p"]).0, Some(1));
    let (code, _stream) = connect(address, "demo.i2p");
    assert_eq!(code, 0);
    let (code, stdout, stderr) = command(&["new-identity"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("1 identity is replaced"), "{stdout}");
    let (code, _, stderr) = command(&["reload"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the demo reads its configuration only once"), "{stderr}");

    // It has no address book to offer.
    let (page, unknown) = (browse(address, "proxy.i2p", &[]), browse(address, "nobody.i2p", &[]));
    assert!(page.contains("the proxy works") && !page.contains("book"), "{page}");
    assert!(unknown.contains("If the proxy has an address book"), "{unknown}");
    let similar = browse(address, "demi.i2p", &["-H", "Accept: text/html"]);
    assert!(similar.contains("similar names") && similar.contains("http://demo.i2p/"), "{similar}");
    assert!(!similar.contains("Your address book"), "{similar}");
    assert!(browse(address, "proxy.i2p/book", &[]).contains("the proxy has no address book"));
    let (_, stdout, _) = command(&["status"]);
    assert!(stdout.contains("the same --config or --state-dir as this one"), "{stdout}");

    let (code, stdout, stderr) = fetched(&with_state);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("<h1>It works</h1>") && stderr.contains("the demo answers"), "{stdout}{stderr}");
    for (words, says) in [
        (&["listen"][..], "the demo accepts no streams from peers"),
        (&["connect", "--udp", "demo.i2p", "80"], "the demo carries no datagrams"),
    ] {
        let (code, _, stderr) = command(words);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(says) && stderr.contains(INSTEAD), "{stderr}");
    }
    #[cfg(target_os = "linux")]
    {
        let (code, _, stderr) = command(&["exec", "--", "true"]);
        assert_eq!(code, Some(69), "{stderr}");
        assert!(stderr.contains("the demo cannot be used by exec") && stderr.contains(INSTEAD), "{stderr}");
    }
    for words in [&["names", "list"][..], &["keys", "list"], &["explain", "demo.i2p", "80"]] {
        let (code, _, stderr) = command(words);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("the demo is running, but is not asked"), "{stderr}");
    }

    // A proxy has the state directory to itself, whichever of the two came first.
    let bridge = TestBridge::start().await;
    let args = ["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"];
    let mut proxy = Running::start(&[&args[..], &with_state].concat());
    proxy.ready();
    assert!(!proxy.said().contains("cannot be used"), "{}", proxy.said());
    let (code, stdout, stderr) = command(&["status"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("demo"), "{stdout}");
    assert_eq!(command(&["resolve", "demo.i2p"]).0, Some(1), "the proxy does not know it");
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
    assert!(command(&["status"]).1.contains("this is the demo"));
    assert_eq!(demo.signal("INT"), Some(0), "{}", demo.said());
    let (code, _, stderr) = command(&["status"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no proxy is running with the state directory"), "{stderr}");
}

#[test]
fn settings_that_the_demo_cannot_follow_are_refused() {
    let sessions = "tunnel default has settings for I2P sessions of its own";
    for (setting, says) in [
        ("tunnel.default.udp=datagram", sessions),
        ("tunnel.default.incoming=true", sessions),
        ("admin.listen=127.0.0.1:0", "the demo has no admin endpoint"),
        ("route=[{ via = 'reject' }]", "the demo has no way out of its private network"),
        ("outproxy=[{ name = 'o', at = 'o.i2p', protocol = 'socks5' }]", "the demo has no way out"),
    ] {
        let (code, stdout, stderr) = output(&["demo", "--listen", "127.0.0.1:0", "-o", setting]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}

/// What curl gets through the demo as an HTTP proxy.
fn browse(proxy: SocketAddr, url: &str, more: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-q", "--silent", "--max-time", "60", "--proxy", &format!("http://{proxy}"), url]).args(more);
    String::from_utf8(curl.output().expect("curl is needed: apt-get install curl").stdout).unwrap()
}

/// What `connect` gets from the page of the demo.
fn fetched(with_state: &[&str]) -> (Option<i32>, String, String) {
    let mut command = i2p_socks(&["connect", "demo.i2p", "80"]);
    command.args(with_state).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"GET / HTTP/1.1\r\nHost: demo.i2p\r\n\r\n").unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    drop(stdin);
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The curl commands of the README, with the address of this demo instead of the default one.
fn readme_curl_lines(proxy: &str) -> Vec<String> {
    let readme = include_str!("../../../../README.md");
    let lines = readme.lines().filter(|line| line.starts_with("curl ") && line.contains("demo.i2p"));
    lines.map(|line| line.replace("127.0.0.1:4450", proxy)).collect()
}

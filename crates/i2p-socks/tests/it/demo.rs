//! `i2p-socks demo`, and the curl commands it prints, exactly as printed.
#![cfg(feature = "embedded")]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::common::{Running, output};

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
    assert!(begin.elapsed() < Duration::from_secs(240), "the demo took too long to be one");
    assert_eq!(demo.signal("INT"), Some(0), "{}", demo.said());
}

#[test]
fn settings_that_the_demo_cannot_follow_are_refused() {
    let sessions = "tunnel default has settings for I2P sessions of its own";
    for (setting, says) in [
        ("tunnel.default.udp=datagram", sessions),
        ("tunnel.default.incoming=true", sessions),
        ("admin.listen=127.0.0.1:0", "the demo has no admin endpoint"),
    ] {
        let (code, stdout, stderr) = output(&["demo", "--listen", "127.0.0.1:0", "-o", setting]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}

/// The curl commands of the README, with the address of this demo instead of the default one.
fn readme_curl_lines(proxy: &str) -> Vec<String> {
    let readme = include_str!("../../../../README.md");
    let lines = readme.lines().filter(|line| line.starts_with("curl ") && line.contains("demo.i2p"));
    lines.map(|line| line.replace("127.0.0.1:4450", proxy)).collect()
}

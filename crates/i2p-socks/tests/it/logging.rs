//! The log as configured: level, format, and no hosts or clients unless `sensitive` is set.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use sam_testkit::TestBridge;

use crate::common::{self, Running, connect, output};

struct Proxy {
    running: Running,
    dir: tempfile::TempDir,
}

impl Proxy {
    fn start(bridge: &TestBridge, log: &str, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        let text = Self::text(log);
        fs::write(&config, text).unwrap();
        let address = bridge.address();
        let args = ["--router", "sam", "--sam", &address, "--config", config.to_str().unwrap()];
        Self { running: Running::start(&[&args, more].concat()), dir }
    }

    fn text(log: &str) -> String {
        format!("[[tunnel]]\nlisten = ['127.0.0.1:0']\n[log]\n{log}\n")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_object_per_line() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "format = 'json'\nlevel = 'debug'", &[]);
    let address = proxy.running.ready();
    assert_eq!(connect(address, "unknown.i2p").0, 4);
    let line = proxy.running.stderr_line("a request failed");
    assert_eq!(proxy.running.said().matches("a request failed").count(), 1, "{}", proxy.running.said());
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    let span = &object["span"];
    assert_eq!((&span["name"], &span["client"]), (&"connection".into(), &"[scrubbed]".into()), "{object:#}");
    assert!(span["id"].is_u64() && object["timestamp"].is_string(), "{object:#}");
    assert!(!proxy.running.said().contains("unknown.i2p"), "{}", proxy.running.said());
    // The module is called `target`, and JSON readers keep one of two fields with the same name.
    let line = proxy.running.stderr_line("\"a request\"");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["requested"], "[scrubbed]", "{line}");
    assert_eq!(line.matches("\"target\":").count(), 1, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_level() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "level = 'warn'", &[]);
    let address = proxy.running.ready();
    assert_eq!(connect(address, "first.i2p").0, 4);
    fs::write(proxy.config(), Proxy::text("level = 'debug'\nsensitive = true")).unwrap();
    proxy.running.send("HUP");
    let line = proxy.running.stderr_line("sensitive = true");
    assert!(line.contains("WARN"), "{line}");
    proxy.running.stderr_line("the new configuration is in effect");
    assert_eq!(connect(address, "second.i2p").0, 4);
    let line = proxy.running.stderr_line("requested=second.i2p");
    assert!(line.contains("client=127.0.0.1"), "{line}");
    assert!(!proxy.running.said().contains("first.i2p"), "{}", proxy.running.said());
    fs::write(proxy.config(), Proxy::text("format = 'json'")).unwrap();
    proxy.running.send("HUP");
    let line = proxy.running.stderr_line("the new configuration was refused");
    assert!(line.contains("format or journald of [log] cannot change"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_overrides_the_configuration() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "level = 'trace'", &["-q"]);
    let address = proxy.running.ready();
    assert_eq!(connect(address, "unknown.i2p").0, 4);
    assert_eq!(proxy.running.signal("TERM"), Some(0));
    assert!(!proxy.running.said().contains("a request"), "{}", proxy.running.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_json_every_line_on_stderr_is_an_object() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "format = 'json'", &[]);
    let address = proxy.running.ready();
    proxy.running.stderr_line("[1/3] looking for");
    let text =
        format!("{}[[tunnel]]\nname = 'taken'\nlisten = ['{address}']\n", Proxy::text("format = 'json'"));
    fs::write(proxy.config(), text).unwrap();
    let config = proxy.config();
    let config = config.to_str().unwrap();
    let sam = bridge.address();
    let state = proxy.dir.path().join("state");
    for (words, says) in [
        (&["run"][..], "cannot listen on"),
        (&["names", "list"], "the address book is empty"),
        (&["run", "-o", "session.max-sessions=1", "-o", "tunnel.taken.key=persistent"], "max-sessions is 1"),
    ] {
        let args = ["--sam", &sam, "--config", config, "--state-dir", state.to_str().unwrap()];
        let (_, _, stderr) = output(&[words, &args].concat());
        assert!(stderr.contains(says), "{words:?}: {stderr}");
        for line in stderr.lines().map(str::to_owned) {
            let object: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            assert!(object["level"].is_string() && object["timestamp"].is_string(), "{line}");
        }
    }
    let lines = proxy.running.stderr_so_far();
    assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines:#?}");
}

/// The lines on stderr, each of them an object with an error or a remark.
fn objects(words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Vec<serde_json::Value>) {
    let mut command = common::i2p_socks(words);
    command.envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{words:?}: {line}"));
    (output.status.code(), stderr.lines().map(object).collect())
}

#[test]
fn with_json_mistakes_are_objects_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let right = file("right", "[log]\nformat = 'json'\n");
    let wrong_key = file("wrong-key", "[log]\nformat = 'json'\n[limits]\ndail = '1s'\ndial = 'x'\n");
    let not_toml = file("not-toml", "[router\nsam = \n[log]\nformat = 'json'\n");
    let json = ["-o", "log.format=json"];
    for (words, code, says) in [
        (&["run", "--bogus", json[0], json[1]][..], 64, "--bogus"),
        (&["-olog.format=json", "nonsense"], 64, "nonsense"),
        (&["resolve", json[0], json[1]], 64, "NAME"),
        (&["run", "-o", "limits.dial", json[0], json[1]], 64, "expected KEY=VALUE"),
        (&["names", json[0], json[1]], 64, "Usage"),
        (&["run", "--config", &right, "--bogus"], 64, "--bogus"),
        (&["run", "--config", &wrong_key], 64, "has 2 errors"),
        (&["check", "--config", &wrong_key], 64, "has 2 errors"),
        (&["run", "--config", &not_toml], 64, "the configuration file"),
        (&["run", "--config", "/nonexistent/file", json[0], json[1]], 64, "cannot read the configuration"),
        (&["run", "-o", "session.length=9", json[0], json[1]], 64, "9 is not between"),
        (&["status", json[0], json[1]], 1, "no proxy is running"),
        (&["passwd", json[0], json[1]], 64, "name"),
        (&["generate", "pac", "--listen", "127.0.0.1:0", json[0], json[1]], 64, "browsers cannot use"),
        (&["generate", "man", "--dir", "/dev/null/man", json[0], json[1]], 1, "cannot write manual pages"),
        (&["reload", "--sam", "127.0.0.1:1", json[0], json[1]], 64, "has no effect on a running proxy"),
    ] {
        let (found, lines) = objects(words, &[]);
        assert_eq!(found, Some(code), "{words:?}: {lines:?}");
        let is_said = |line: &serde_json::Value| line["message"].as_str().unwrap().contains(says);
        assert!(lines.iter().any(is_said), "{words:?}: {lines:?}");
    }
    let (code, lines) = objects(&["run", "--bogus"], &[("I2P_SOCKS_CONFIG", &right)]);
    assert_eq!((code, lines.len(), &lines[0]["level"]), (Some(64), 1, &"ERROR".into()), "{lines:?}");
    let (_, lines) = objects(&["run"], &[("I2P_SOCKS_SAM", "tcp:"), ("I2P_SOCKS_CONFIG", &right)]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    // The command line has the last word.
    let (_, _, stderr) = output(&["run", "--bogus", "--config", &right, "-o", "log.format=text"]);
    assert!(stderr.starts_with("error: unexpected argument '--bogus'"), "{stderr}");
}

/// Otherwise, a user who has mistyped the name of an outproxy would look for a failure of the outproxy.
#[tokio::test(flavor = "multi_thread")]
async fn an_outproxy_whose_name_nobody_knows_is_told_from_one_that_fails() {
    let bridge = TestBridge::start().await;
    let (dir, closed) = (tempfile::tempdir().unwrap(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let config = dir.path().join("config.toml");
    let nameless = "[[outproxy]]\nname = 'a'\nat = 'nosuch.i2p'\nprotocol = 'socks5'\n".to_owned();
    let failing = format!(
        "[[outproxy]]\nname = 'b'\nvia = 'tcp'\nat = '{}'\nprotocol = 'socks5'\n",
        closed.local_addr().unwrap()
    );
    drop(closed);
    let unknown = "the names of the route's outproxies are in no address book";
    for (text, status, logged) in [
        (nameless.clone() + "[[route]]\nvia = 'a'\n", "502 The proxy's way out of I2P is unknown", unknown),
        (
            nameless + &failing + "[[route]]\nvia = ['a', 'b']\n",
            "502 No way out of I2P works",
            "no outproxy of the route",
        ),
    ] {
        fs::write(&config, text).unwrap();
        let sam = bridge.address();
        let more = [
            "--router",
            "sam",
            "--sam",
            &sam,
            "--listen",
            "127.0.0.1:0",
            "--config",
            config.to_str().unwrap(),
        ];
        let mut proxy = Running::start(&more);
        let mut client = TcpStream::connect(proxy.ready()).unwrap();
        client
            .write_all(b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        proxy.stderr_line(logged);
        assert!(!proxy.said().contains("nosuch") && !answer.contains("nosuch"), "{}", proxy.said());
    }
}

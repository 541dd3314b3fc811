//! `reload` and `new-identity`: the running proxy does it, and the command says what has happened.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use sam_testkit::{Endpoint, TestBridge};

use crate::common::{
    admin::get,
    connect, echo,
    reloadable::{Proxy, tunnel},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_by_command_says_what_has_changed_or_why_it_is_refused() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, &tunnel("a", ""));
    let first = proxy.running.ready();
    proxy.change(&(tunnel("a", "") + &tunnel("b", "")));
    let (code, stdout, stderr) = proxy.command(&["reload"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{}", proxy.running.said());
    let second = proxy.running.listeners(2)[1];
    let changed = "changed: tunnel.b.listen, tunnel.b.name\n";
    for part in ["is in effect", changed, &format!("opened {second}\n"), "1 listener stays as it was\n"] {
        assert!(stdout.contains(part), "{part} is not in\n{stdout}");
    }
    assert_eq!(connect(second, "echo.i2p").0, 0);

    proxy.change(&tunnel("a", "no-such-key = 1"));
    let (code, stdout, stderr) = proxy.command(&["reload"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    for part in ["was refused, and the old one stays in effect: ", "no-such-key"] {
        assert!(stderr.contains(part), "{part} is not in\n{stderr}");
    }
    let (code, stdout, _) = proxy.command(&["reload", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(code == Some(1) && json["refused"].as_str().unwrap().contains("no-such-key"), "{json}");
    assert_eq!(connect(second, "echo.i2p").0, 0);

    proxy.change(&(tunnel("a", "") + &tunnel("b", "")));
    let (_, stdout, _) = proxy.command(&["reload"]);
    assert!(stdout.contains("no setting has changed; the files that settings name"), "{stdout}");

    proxy.change(&tunnel("a", ""));
    let (code, stdout, _) = proxy.command(&["reload", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["kept"], &json["closed"][0]), (Some(0), &1.into(), &second.to_string().into()));
    assert_eq!(connect(first, "echo.i2p").0, 0);

    assert_eq!(proxy.running.signal("TERM"), Some(0), "{}", proxy.running.said());
    for words in [&["reload"][..], &["new-identity"]] {
        let (code, stdout, stderr) = proxy.command(words);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains("no proxy is running") && stderr.contains("--state-dir"), "{stderr}");
    }
}

/// Somebody who reloads by a signal sees no answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reload_stays_in_the_status_until_one_succeeds() {
    let bridge = TestBridge::start().await;
    let admin = "[admin]\nlisten = '127.0.0.1:0'\n";
    let mut proxy = Proxy::start(&bridge, &(tunnel("a", "") + admin));
    proxy.running.ready();
    let line = proxy.running.stderr_line("status page and metrics: http://");
    let address: SocketAddr =
        line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let page = |path: &str| get(address, path).1;
    assert!(!page("/").contains("was refused"));
    proxy.reload(&(tunnel("a", "") + admin + "[names.static]\n'secret.i2p' = 'x'\n"));
    proxy.running.stderr_line("the new configuration was refused");
    let (code, stdout, _) = proxy.command(&["status"]);
    assert_eq!(code, Some(0));
    for text in [&stdout, &page("/")] {
        assert!(text.contains("ago was refused, and the old configuration stays in effect: "), "{text}");
        assert!(text.contains("has an error in line ") && !text.contains("secret"), "{text}");
    }
    proxy.running.send("HUP");
    proxy.running.stderr_lines("the new configuration was refused", 2);
    let (_, stdout, _) = proxy.command(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(json["refused-reload"]["ago"].as_u64().unwrap() < 60, "{json}");

    proxy.reload(&(tunnel("a", "") + admin + "[limits]\ndial = '7s'\n"));
    let line = proxy.running.stderr_line("the new configuration is in effect");
    assert!(line.contains("limits.dial") && !line.contains("7s"), "{line}");
    assert!(!page("/").contains("was refused") && !proxy.command(&["status"]).1.contains("was refused"));
    let metrics = page("/metrics");
    for count in ["{result=\"applied\"} 1", "{result=\"refused\"} 2"] {
        assert!(metrics.contains(&format!("i2p_socks_reloads_total{count}\n")), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_of_the_configuration_of_the_proxy_whatever_the_command_is_given() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, &tunnel("a", ""));
    proxy.running.ready();
    let own = proxy.config().to_str().unwrap().to_owned();
    let other = proxy.dir.path().join("other.toml");
    fs::write(&other, "no-such-key = [").unwrap();
    let other = other.to_str().unwrap();
    let from_own = format!("The new configuration is in effect, from {own}. ");

    let (code, stdout, stderr) = proxy.command(&["reload", "--config", other]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with(&from_own), "{stdout}");
    assert!(stderr.contains(&format!("the proxy has read {own}, the file")), "{stderr}");
    let (code, stdout, stderr) = proxy.command(&["reload", "--config", &own]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with(&from_own), "{stdout}");
    for words in [&["status", "--config", other][..], &["new-identity", "--config", other]] {
        let (code, _, stderr) = proxy.command(words);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{words:?}");
    }

    // It would look as if the proxy followed them.
    for setting in [
        &["-o", "limits.dial=3s"][..],
        &["--sam", "127.0.0.1:1"],
        &["--listen", "127.0.0.1:1"],
        &["--router", "sam"],
        &["--open-to-others"],
    ] {
        let (code, stdout, stderr) = proxy.command(&[&["reload"], setting].concat());
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{setting:?}");
        assert!(stderr.contains(&format!("{} has no effect on a running proxy", setting[0])), "{stderr}");
    }
    assert_eq!(proxy.command(&["reload", "-o", "log.format=json"]).0, Some(0));
    let mut command = crate::common::i2p_socks(&["reload"]);
    command.arg("--state-dir").arg(proxy.dir.path().join("state"));
    command.envs([("I2P_SOCKS_SAM", "127.0.0.1:1"), ("I2P_SOCKS_LISTEN", "127.0.0.1:1")]);
    assert_eq!(command.output().unwrap().status.code(), Some(0), "variables are for all commands");

    proxy.change("no-such-key = [");
    let (code, _, stderr) = proxy.command(&["reload", "--config", &own]);
    assert_eq!(code, Some(1), "the answer is that of the proxy");
    assert!(stderr.contains("was refused, and the old one stays in effect"), "{stderr}");
}

/// Connects with this username.
fn connect_as(proxy: SocketAddr, user: &str, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let count = |text: &str| [u8::try_from(text.len()).unwrap()];
    let login = [b"\x01", &count(user)[..], user.as_bytes(), b"\x01x"].concat();
    let request = [b"\x05\x01\0\x03", &count(host)[..], host.as_bytes(), b"\0\x50"].concat();
    stream.write_all(&[b"\x05\x01\x02", &login[..], &request].concat()).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[5], 0, "{answer:?}");
    stream
}

/// The destination that a far end sees a client connect from.
fn seen(proxy: SocketAddr, user: &str) -> String {
    let mut destination = String::new();
    connect_as(proxy, user, "whoami.i2p").read_to_string(&mut destination).unwrap();
    assert!(destination.len() > 500, "{destination}");
    destination
}

#[tokio::test(flavor = "multi_thread")]
async fn new_identities_by_command_are_for_all_or_for_clients_with_a_username() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    let mut proxy = Proxy::start(&bridge, &tunnel("a", ""));
    let address = proxy.running.ready();
    let (code, stdout, stderr) = proxy.command(&["new-identity"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("There was nothing to change"), "{stdout}");
    let mut open = connect_as(address, "work", "echo.i2p");
    let before = (seen(address, "work"), seen(address, "home"));

    let (code, stdout, stderr) = proxy.command(&["new-identity", "--credentials", "work"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("1 identity is replaced"), "{stdout}");
    assert_ne!(seen(address, "work"), before.0);
    assert_eq!(seen(address, "home"), before.1);
    echo(&mut open);

    let between = seen(address, "work");
    let (code, stdout, _) = proxy.command(&["new-identity", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["renewed"]), (Some(0), &2.into()), "{stdout}");
    assert_ne!(seen(address, "work"), between);
    assert_ne!(seen(address, "home"), before.1);
    echo(&mut open);

    let (code, stdout, stderr) = proxy.command(&["new-identity", "--credentials", "nobody"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no identity has changed") && stderr.contains("socks-auth"), "{stderr}");
    assert!(!proxy.running.said().contains("nobody"), "usernames are not logged");
}

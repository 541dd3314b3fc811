//! The status of a running proxy: the same on the admin endpoint, on the control socket and by `status`.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use sam_testkit::{Act, Dialect, Endpoint, TestBridge};

use crate::common::{
    self,
    admin::{Proxy, ask, body, get},
    connect, echo,
};

#[tokio::test(flavor = "multi_thread")]
async fn all_interfaces_show_the_same_status() {
    let bridge = TestBridge::start().await;
    let mut proxy =
        Proxy::start(&bridge, "[[tunnel]]\nname = 'kept'\nkey = 'persistent'\nlisten = ['127.0.0.1:0']\n");
    let address = proxy.running.ready();
    let (_, mut stream) = connect(address, "echo.i2p");
    echo(&mut stream);
    assert_eq!(connect(address, "secret-name.i2p").0, 4);
    let admin = proxy.admin();
    // Wait until the refused client is no longer counted. Nothing changes after that.
    let begin = Instant::now();
    let (json, answer) = loop {
        let (status, answer) = get(admin, "/status.json");
        assert_eq!(status, 200);
        let json: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
        let main = &json["tunnels"][0];
        if (&main["connections"], &main["received"]) == (&1.into(), &1.into()) {
            break (json, answer);
        }
        assert!(begin.elapsed() < common::LIMIT, "{json:#}");
    };
    assert_eq!((&json["state"], &json["ready"]), (&"ready".into(), &true.into()), "{json:#}");
    let main = &json["tunnels"][0];
    assert_eq!((&main["name"], &main["listeners"][0]), (&"main".into(), &address.to_string().into()));
    assert_eq!((&main["streams"], &main["succeeded"], &main["failed"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&main["sent"], &main["received"]), (&1.into(), &1.into()));
    assert_eq!(json["failures"][0]["kind"], "name_unknown");
    let sessions = json["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{json:#}");
    let b32 = sessions.iter().find(|session| session["tunnel"] == "kept").unwrap()["b32"].as_str().unwrap();
    assert!(b32.ends_with(".b32.i2p"), "{b32}");

    let (code, _, stderr) = common::output(&["status", "--admin", &format!("http://{address}/")]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("what answers at {address} is not the admin endpoint")), "{stderr}");

    let (_, page) = get(admin, "/");
    for part in [
        "Ready: I2P tunnels are built",
        b32,
        &address.to_string(),
        "the name is in no address book",
        "Check the spelling.",
        "of tunnel</dt><dd>kept",
        "kept apart by</dt><dd>client<",
        "<dd>1 request or stream (unused streams that are kept for the next request count, too)",
        "<dd>0 requests and streams (unused streams",
        "<meta name=\"viewport\"",
    ] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let (_, style) = get(admin, "/style.css");
    assert!(style.contains("prefers-color-scheme: dark"), "{style}");
    let (_, metrics) = get(admin, "/metrics");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{metrics}");
    assert!(metrics.contains("\r\nvary: accept\r\n"), "{metrics}");
    let ask_open =
        format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nAccept: application/openmetrics-text\r\n\r\n");
    let (_, open_metrics) = ask(TcpStream::connect(admin).unwrap(), &ask_open);
    assert!(open_metrics.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(open_metrics.ends_with("# EOF\n"), "{open_metrics}");
    for line in ["i2p_socks_tunnel_ready{tunnel=\"main\"} 1\n", "i2p_socks_tunnel_ready{tunnel=\"kept\"} 1\n"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(metrics.contains(concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"))), "{metrics}");
    assert_eq!(main["ready"], true);
    assert!(metrics.contains("i2p_socks_sessions{state=\"ready\"} 2\n"), "{metrics}");
    assert!(metrics.contains("i2p_socks_relayed_bytes_total{tunnel=\"main\",direction=\"to_peer\"} 1\n"));
    let (_, pac) = get(admin, "/proxy.pac");
    assert!(pac.contains("content-type: application/x-ns-proxy-autoconfig"), "{pac}");
    assert!(pac.contains(&format!("return \"SOCKS5 {address}\";")), "{pac}");
    for text in [&page, &metrics, &answer] {
        assert!(!text.contains("secret-name"), "{text}");
        assert!(text.contains("default-src 'none'") && text.contains("cache-control: no-store"), "{text}");
    }

    let socket = Path::new(&proxy.state()).join("control.sock");
    let same = ask(UnixStream::connect(socket).unwrap(), "GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n").1;
    let same: serde_json::Value = serde_json::from_str(body(&same)).unwrap();
    assert_eq!((&same["sessions"], &same["tunnels"]), (&json["sessions"], &json["tunnels"]));
    let (code, stdout, stderr) = common::output(&["status", "--json", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(0), "{stderr}");
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(said["sessions"], json["sessions"]);
    let (code, stdout, _) = common::output(&["status", "--admin", &format!("http://{admin}/")]);
    assert_eq!(code, Some(0));
    for part in ["tunnel main at 127.0.0.1:", "session of tunnel kept ready: ", "Check the spelling."] {
        assert!(stdout.contains(part), "{part} is not in\n{stdout}");
    }
    let shared = stdout.lines().find(|line| line.starts_with("session ready: ")).unwrap();
    assert!(shared.ends_with(".b32.i2p, kept apart by client"), "{shared}");
    assert!(stdout.contains("1 failure of tunnel main (last ") && !stdout.contains(" s ago)"), "{stdout}");
}

/// Java I2P names destinations in its messages.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_says_of_a_session_is_shown_without_names() {
    let bridge = TestBridge::start().await;
    bridge.on(
        "SESSION CREATE",
        Act::refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"secret.i2p is in use\""),
    );
    let mut proxy = Proxy::start(&bridge, "");
    proxy.running.stderr_line("no I2P session");
    let state = proxy.state();
    let mut page = || proxy.get("/").1;
    let mut report = || common::output(&["status", "--json", "--state-dir", &state]).1;
    let pages: [&mut dyn FnMut() -> String; 2] = [&mut page, &mut report];
    for page in pages {
        let begin = Instant::now();
        let shown = std::iter::repeat_with(page).find(|shown| {
            assert!(begin.elapsed() < common::LIMIT, "{shown}");
            shown.contains("is in use")
        });
        assert!(shown.is_some_and(|shown| !shown.contains("secret")));
    }
}

/// While the router works on the second attempt, which may take minutes, the failure of the first is told.
#[tokio::test(flavor = "multi_thread")]
async fn that_a_first_attempt_has_failed_is_told_while_the_next_is_made() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Wait(Duration::from_secs(60)), Act::Behave]);
    bridge.once("SESSION CREATE", Act::refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"too few peers\""));
    let mut proxy = Proxy::start(&bridge, "");
    let begin = Instant::now();
    let report = loop {
        let report: serde_json::Value = serde_json::from_str(body(&proxy.get("/status.json").1)).unwrap();
        if report["sessions"][0]["state"] == "building" && report["sessions"][0]["failed-attempts"] == 1 {
            break report;
        }
        assert!(begin.elapsed() < common::LIMIT, "{report}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let why = "the router answered I2P_ERROR (too few peers) while creating a session";
    assert_eq!((&report["state"], &report["sessions"][0]["trouble"]), (&"starting".into(), &why.into()));
    let tunnel = &report["tunnels"][0];
    assert_eq!((&tunnel["failed-attempts"], &tunnel["trouble"]), (&1.into(), &why.into()), "{report}");
    assert_eq!(report["router-failure"], serde_json::Value::Null, "the bridge answers");
    let (_, text, _) = common::output(&["status", "--state-dir", &proxy.state()]);
    let session = text.lines().find(|line| line.starts_with("session building for ")).unwrap();
    assert!(session.ends_with(&format!("; 1 attempt failed, the last one: {why}")), "{session}");
    assert!(text.contains(": 1 attempt to build an I2P session failed; 0 connections"), "{text}");
    let page = proxy.get("/").1;
    assert!(
        page.contains(&format!("1 attempt to build an I2P session failed, the last one: {why}")),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_name_their_tunnel() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "[[tunnel]]\nname = 'second'\nlisten = ['127.0.0.1:0']\n");
    for address in proxy.running.listeners(2) {
        assert_eq!(connect(address, "unknown.i2p").0, 4);
    }
    let (_, stdout, _) = common::output(&["status", "--state-dir", &proxy.state()]);
    for line in ["1 failure of tunnel main (last ", "1 failure of tunnel second (last "] {
        assert!(stdout.contains(line), "{stdout}");
    }
}

/// A configuration that nobody would want is warned of wherever people look, and once in each place.
#[tokio::test(flavor = "multi_thread")]
async fn risks_are_shown_once_in_each_place() {
    use std::os::unix::fs::PermissionsExt;

    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, i2p_tunnel::Users::entry("anna", b"secret").unwrap()).unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o666)).unwrap();
    let text = format!("auth = 'required'\nusers-file = '{}'\n[session]\nlength = 0\n", users.display());
    let mut proxy = Proxy::start(&bridge, &text);
    proxy.running.ready();
    let hops = "clients of tunnel main are not anonymous: their I2P tunnels have no hops";
    let file = format!("every user of this machine can change the users file {}", users.display());
    let config = proxy.dir.path().join("config.toml");
    let (code, checked, _) = common::output(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{checked}");
    let (code, status, _) = common::output(&["status", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(0), "{status}");
    let (_, page) = proxy.get("/");
    // A reload repeats nothing.
    proxy.running.send("HUP");
    proxy.running.stderr_line("the new configuration is in effect");
    let log = proxy.running.said();
    for text in [&checked, &status, &page, &log] {
        for risk in [hops, &file] {
            assert_eq!(text.matches(risk).count(), 1, "{risk} in\n{text}");
        }
    }
}

/// The status says that somebody has the wrong password, and never who.
#[tokio::test(flavor = "multi_thread")]
async fn refused_passwords_are_counted_without_names() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, i2p_tunnel::Users::entry("anna", b"secret").unwrap()).unwrap();
    let mut proxy =
        Proxy::start(&bridge, &format!("auth = 'required'\nusers-file = '{}'\n", users.display()));
    let address = proxy.running.ready();
    let status = || common::output(&["status", "--state-dir", &proxy.state()]).1;
    assert!(!status().contains("password"), "{}", status());
    for bytes in [
        &b"\x04\x01\x00\x50\x00\x00\x00\x01\x00known.i2p\x00"[..],
        b"\x05\x01\x00",
        b"\x05\x01\x02\x01\x04anna\x05guess",
        // base64 of anna:guess.
        b"CONNECT known.i2p:80 HTTP/1.1\r\nProxy-Authorization: Basic YW5uYTpndWVzcw==\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(bytes).unwrap();
        assert!(client.read_to_end(&mut Vec::new()).unwrap() > 0, "it is told");
    }
    let words = "user name or password wrong or missing 4 times";
    let shown = status();
    assert!(shown.contains(&format!("0 failed; {words}\n")), "{shown}");
    let page = proxy.get("/").1;
    assert!(page.contains(words), "{page}");
    for text in [shown, page, proxy.running.said()] {
        assert!(!text.contains("anna"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_of_datagrams_is_shown_in_words() {
    for (dialect, shares, words) in [
        (Dialect::Java, true, "from the same address as streams"),
        (Dialect::I2pd245, false, "from an address of their own"),
    ] {
        let bridge = TestBridge::start_as(dialect).await;
        bridge.host("echo.i2p", Endpoint::Echo);
        let tunnel = "[[tunnel]]\nname = 'udp'\nudp = 'datagram'\nlisten = ['127.0.0.1:0']\n";
        let mut proxy = Proxy::start(&bridge, tunnel);
        proxy.running.ready();
        let admin = proxy.admin();
        let json =
            || -> serde_json::Value { serde_json::from_str(body(&get(admin, "/status.json").1)).unwrap() };
        let status = json();
        assert_eq!(status["tunnels"][0]["datagrams"], serde_json::Value::Null, "it has none");
        assert_eq!(status["tunnels"][1]["datagrams"]["sessions"], serde_json::json!([]), "nobody has asked");
        let address = status["tunnels"][1]["listeners"][0].as_str().unwrap().to_owned();
        let mut control = TcpStream::connect(&address).unwrap();
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut reply = [0; 12];
        control.read_exact(&mut reply).unwrap();
        assert_eq!(reply[3], 0, "{reply:?}");
        let relay = ("127.0.0.1", u16::from_be_bytes([reply[10], reply[11]]));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let datagram = [&[0, 0, 0, 3, 8][..], b"echo.i2p", &[0, 7], b"abc"].concat();
        socket.send_to(&[0, 0, 0, 1, 198, 51, 100, 7, 0, 7, 1], relay).unwrap();
        socket.send_to(&datagram, relay).unwrap();
        let mut echo = [0; 64];
        assert_eq!(socket.recv(&mut echo).unwrap(), datagram.len());
        let status = json();
        let datagrams = &status["tunnels"][1]["datagrams"];
        let numbers = ["associations", "sent", "sent-bytes", "received", "received-bytes"];
        assert_eq!(numbers.map(|number| datagrams[number].as_u64().unwrap()), [1, 1, 3, 1, 3]);
        assert_eq!(datagrams["dropped"], serde_json::json!({ "not_allowed": 1 }));
        let session = &datagrams["sessions"][0];
        assert_eq!(
            (&session["shares-address-of-streams"], &session["in-use"]),
            (&shares.into(), &true.into())
        );
        let b32 = session["b32"].as_str().unwrap();
        let of_streams = status["sessions"].as_array().unwrap().iter().any(|session| session["b32"] == b32);
        assert_eq!(of_streams, shares, "{status:#}");
        let (_, page) = get(admin, "/");
        let said = page.lines().find(|said| said.contains(words)).unwrap_or_else(|| panic!("{page}"));
        assert!(said.contains(b32), "{said}");
        assert!(page.contains("1 <code>not_allowed</code>"), "{page}");
        let (_, stdout, _) = common::output(&["status", "--state-dir", &proxy.state()]);
        assert!(stdout.contains(&format!("datagrams of tunnel udp are sent {words}")), "{stdout}");
        assert!(stdout.contains("1 sent, 1 received, 1 dropped; 1 client with UDP open"), "{stdout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_of_outproxies_are_shown_everywhere() {
    let bridge = TestBridge::start().await;
    // Nobody listens there.
    let exit = "[[outproxy]]\nname = 'exit'\nat = '127.0.0.1:1'\nvia = 'tcp'\nprotocol = 'socks5'\n\
                [[route]]\nvia = ['exit']\n";
    let mut proxy = Proxy::start(&bridge, exit);
    let address = proxy.running.ready();
    assert_ne!(connect(address, "example.com").0, 0);
    let admin = proxy.admin();
    let metrics = get(admin, "/metrics").1;
    for line in [
        "i2p_socks_outproxy_requests_total{outproxy=\"exit\",outcome=\"unreachable\"} 1\n",
        "i2p_socks_outproxy_requests_total{outproxy=\"exit\",outcome=\"opened\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let json: serde_json::Value = serde_json::from_str(body(&get(admin, "/status.json").1)).unwrap();
    assert_eq!(json["outproxies"][0]["outcomes"], serde_json::json!({ "unreachable": 1 }));
    let page = get(admin, "/").1;
    for part in ["<h2>Outproxies</h2>", "1 <code>unreachable</code>", "shows the state of each outproxy"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let (_, stdout, _) = common::output(&["status", "--state-dir", &proxy.state()]);
    assert!(stdout.contains("outproxy exit: available; 1 request: 1 unreachable\n"), "{stdout}");
}

/// Root may use any directory, unless it has given up that right. CI runs this as root.
#[test]
fn a_user_who_may_not_use_the_state_directory_is_told_so() {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let proxy = common::i2p_socks(&[]);
    for arguments in [&["status"][..], &["names", "list"]] {
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.args(["--bounding-set=-dac_override,-dac_read_search"]);
        }
        command.arg(proxy.get_program()).args(arguments).arg("--state-dir").arg(dir.path());
        let output = command.output().expect("setpriv is needed: apt-get install util-linux");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("run the command as the user of the proxy, or as root"), "{stderr}");
        assert!(!stderr.contains("Start it"), "{stderr}");
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_missing_proxy_is_reported() {
    let (code, stdout, stderr) = common::output(&["status"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no proxy is running with the state directory"), "{stderr}");
    for url in ["http://192.0.2.1.example/", "ftp://127.0.0.1:1/"] {
        assert_eq!(common::output(&["status", "--admin", url]).0, Some(64));
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "[admin]\nlisten = '0.0.0.0:4480'\n").unwrap();
    let (code, _, stderr) = common::output(&["--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("can be reached from other machines"), "{stderr}");
}

/// Sends a request with a user name, and does not wait for the answer.
fn request_as(proxy: SocketAddr, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).unwrap();
    let length = u8::try_from(user.len()).unwrap();
    let greeting = [&[5, 1, 2, 1, length], user.as_bytes(), &[0]].concat();
    stream.write_all(&[&greeting[..], &[5, 1, 0, 3, 8], b"echo.i2p", &[0, 80]].concat()).unwrap();
    stream
}

/// The text of `status` once it contains `part`.
fn status_with(proxy: &Proxy, part: &str) -> String {
    let begin = Instant::now();
    loop {
        let text = common::output(&["status", "--state-dir", &proxy.state()]).1;
        if text.contains(part) {
            return text;
        }
        assert!(begin.elapsed() < common::LIMIT, "{part} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_lost_together_are_one_line_and_the_status_says_whose_they_are() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "");
    let address = proxy.running.ready();
    let streams: Vec<_> = (0..8)
        .map(|number| {
            let mut stream = request_as(address, &format!("secret-user-{number}"));
            let mut answer = [0; 14];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[5], 0);
            stream
        })
        .collect();
    bridge.on("SESSION CREATE", [Act::Hang]);
    bridge.drop_control_connections();
    proxy.running.stderr_line("the router has closed 8 I2P sessions");
    drop(streams);
    let _waiting = [request_as(address, "secret-user-1"), request_as(address, "secret-user-1")];
    let whose = ", for client 1, kept apart by client, socks-auth; requests and streams that use it: 2";
    // Sessions that did not live long are not built again at once.
    let text = status_with(&proxy, "\nsession building for ");
    assert!(text.contains(whose), "{text}");
    let page = proxy.get("/").1;
    assert!(page.contains("for client 1, kept apart by client, socks-auth</dd>"), "{page}");
    for shown in [text, page, proxy.running.said()] {
        assert!(!shown.contains("secret-user"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_for_the_next_client_is_used_by_nobody() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Hang]);
    let proxy = Proxy::start(&bridge, "");
    let text = status_with(&proxy, "\nsession building for ");
    assert!(text.contains(", for the next client\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_never_built_is_not_called_idle() {
    let bridge = TestBridge::start().await;
    bridge.on("SESSION CREATE", [Act::Hang]);
    let mut proxy = Proxy::start(&bridge, "[session]\nidle-close = '300ms'\ndelay-open = true\n");
    let address = proxy.running.ready();
    let client = request_as(address, "me");
    status_with(&proxy, "requests and streams that use it: 1");
    drop(client);
    let line = proxy.running.stderr_line("gave up I2P sessions that were never built");
    assert!(line.contains("closed=1"), "{line}");
    assert!(!proxy.running.said().contains("closed idle"), "{}", proxy.running.said());
}

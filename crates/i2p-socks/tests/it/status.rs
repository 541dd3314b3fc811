//! The status of a running proxy: on the admin endpoint, on the control socket, by `status`.
#![cfg(unix)]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use sam_testkit::{Act, Dialect, Endpoint, TestBridge};

use crate::common::{self, Running, connect, echo};

struct Proxy {
    running: Running,
    dir: tempfile::TempDir,
}

impl Proxy {
    /// Starts the proxy with these lines in its configuration, and with an admin endpoint.
    fn start(bridge: &TestBridge, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        let text = format!(
            "[router]\nbackend = 'sam'\nsam = '{}'\nsam-udp = '{}'\n[admin]\nlisten = '127.0.0.1:0'\n\
             [[tunnel]]\nname = 'main'\nlisten = ['127.0.0.1:0']\n{more}",
            bridge.address(),
            bridge.udp_address()
        );
        fs::write(&config, text).unwrap();
        let state = dir.path().join("state");
        let args = ["--config", config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
        Self { running: Running::start(&args), dir }
    }

    fn state(&self) -> String {
        self.dir.path().join("state").to_str().unwrap().to_owned()
    }

    fn admin(&mut self) -> SocketAddr {
        let line = self.running.stderr_line("status page and metrics: http://");
        let address = line.split("http://").nth(1).unwrap();
        address.split('/').next().unwrap().parse().unwrap()
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        get(self.admin(), path)
    }
}

fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    ask(TcpStream::connect(admin).unwrap(), &format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n"))
}

/// Sends a request. Returns the status code and the whole answer, which begins with its head.
fn ask(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    (status, answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn exit_code(mut child: Child) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begin.elapsed() < common::LIMIT);
        thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_means_tunnels_are_built() {
    let mut bridge = TestBridge::start().await;
    bridge.once("SESSION CREATE", Act::late(Duration::from_secs(4)));
    let mut proxy = Proxy::start(&bridge, "");
    proxy.running.stderr_line("[3/3] building I2P tunnels");
    assert_eq!(proxy.get("/live").0, 200);
    let (status, answer) = proxy.get("/ready");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("waiting for I2P tunnels"), "{answer}");
    let tunnel_ready = |ready: u8| format!("\ni2p_socks_tunnel_ready{{tunnel=\"main\"}} {ready}\n");
    assert!(proxy.get("/metrics").1.contains(&tunnel_ready(0)));
    let state = proxy.state();
    let (code, stdout, stderr) = common::output(&["status", "--state-dir", &state]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.starts_with("i2p-socks ") && stdout.contains(": starting, running for"), "{stdout}");
    assert!(stderr.contains("the proxy is not ready"), "{stderr}");
    let (code, _, stderr) = common::output(&["status", "--wait", "--limit", "700ms", "--state-dir", &state]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("not ready after 700ms"), "{stderr}");
    let waiting = common::i2p_socks(&["status", "--wait", "--state-dir", &state]).spawn().unwrap();
    proxy.running.ready();
    assert_eq!(exit_code(waiting), Some(0), "who waits is told");
    let (status, answer) = proxy.get("/ready");
    assert_eq!((status, body(&answer)), (200, "Serving on 1 listener\n"));
    assert!(proxy.get("/metrics").1.contains(&tunnel_ready(1)));
    bridge.kill().await;
    proxy.running.stderr_line("the router has closed an I2P session");
    assert_eq!(proxy.get("/ready").0, 503, "and not any more when the router is gone");
    assert!(proxy.get("/metrics").1.contains(&tunnel_ready(0)));
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
        // It is not shown while another attempt is being made.
        let shown = std::iter::repeat_with(page).find(|shown| {
            assert!(begin.elapsed() < common::LIMIT, "{shown}");
            shown.contains("is in use")
        });
        assert!(shown.is_some_and(|shown| !shown.contains("secret")));
    }
}

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

/// The pages that show the state of the router wait for its answer. Health does not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_the_router_do_not_delay_health() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "[session]\nidle-close = '300ms'\n");
    proxy.running.ready();
    let admin = proxy.admin();
    until_ready_says(admin, 200, "Idle: the router answers");
    bridge.on("HELLO", [Act::Hang]);
    until_ready_says(admin, 503, "the router does not answer");
    let mut waiting = Vec::new();
    // Over more time than the result of a question to the router is used again.
    for _ in 0..10 {
        waiting.extend((0..40).map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        }));
        let begin = Instant::now();
        assert_eq!(get(admin, "/live").0, 200);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        thread::sleep(Duration::from_millis(500));
    }
}

/// Asks until the answer has this status code and contains `part`. Returns the answer.
fn until_ready_says(admin: SocketAddr, wanted: u16, part: &str) -> String {
    let begin = Instant::now();
    loop {
        let (status, answer) = get(admin, "/ready");
        if status == wanted && answer.contains(part) {
            return answer;
        }
        assert!(begin.elapsed() < common::LIMIT, "{answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_is_ready_while_the_router_answers() {
    let mut bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "[session]\nidle-close = '300ms'\n[limits]\nhalf-close = '1s'\n");
    let address = proxy.running.ready();
    let admin = proxy.admin();
    proxy.running.stderr_line("closed idle I2P sessions");
    until_ready_says(admin, 200, "Idle: the router answers");
    let json: serde_json::Value = serde_json::from_str(body(&get(admin, "/status.json").1)).unwrap();
    assert_eq!((&json["state"], &json["ready"]), (&"idle".into(), &true.into()), "{json:#}");
    let (_, page) = get(admin, "/");
    assert!(
        page.contains("Idle: no client needs a session.") && !page.contains("tunnels are built"),
        "{page}"
    );
    assert!(get(admin, "/metrics").1.contains("i2p_socks_ready 1\n"));
    let (code, stdout, stderr) = common::output(&["status", "--wait", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(": idle, running for"), "{stdout}");
    let hellos = || bridge.accepted_connections();
    let before = hellos();
    (0..50).for_each(|_| assert_eq!(get(admin, "/ready").0, 200));
    assert!(hellos() - before <= 10, "scrapers are not passed on to the router: {}", hellos() - before);

    // The first client after that waits for tunnels. The state stays ready, since no operator has to act.
    bridge.once("SESSION CREATE", Act::late(Duration::from_secs(2)));
    let client = thread::spawn(move || connect(address, "echo.i2p").0);
    let answer =
        until_ready_says(admin, 200, "Building an I2P session: the router answers, and clients wait for it");
    assert!(!answer.contains("waiting for the router"), "{answer}");
    assert_eq!(client.join().unwrap(), 0);

    until_ready_says(admin, 200, "Idle: the router answers");
    bridge.kill().await;
    until_ready_says(admin, 503, "No I2P session is open, and the router does not answer");
    assert_eq!(get(admin, "/live").0, 200);
    let (_, page) = get(admin, "/");
    assert!(page.contains("No session is open, and the router does not answer."), "{page}");
    assert!(get(admin, "/metrics").1.contains("i2p_socks_ready 0\n"));
    let (code, stdout, stderr) = common::output(&["status", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains(": no-router, running for"), "{stdout}");
    assert!(stderr.contains("the router does not answer"), "{stderr}");
    bridge.restart().await;
    until_ready_says(admin, 200, "Idle: the router answers");
    proxy.running.stderr_line("the router answers again");

    // After a loss, one is built for the next client within 20 s. That is no start: a client could miss it.
    let (_, _stream) = connect(address, "echo.i2p");
    bridge.on("SESSION CREATE", Act::late(Duration::from_secs(60)));
    bridge.drop_control_connections();
    proxy.running.stderr_line("the router has closed an I2P session");
    until_ready_says(admin, 503, "No I2P session: waiting for the router\n");
}

/// A reload with other session options replaces all sessions at once, SIGUSR1 after a pause.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_identity_is_no_outage() {
    let bridge = TestBridge::start().await;
    let mut proxy = Proxy::start(&bridge, "");
    proxy.running.ready();
    let admin = proxy.admin();
    bridge.once("SESSION CREATE", Act::late(Duration::from_secs(2)));
    let config = proxy.dir.path().join("config.toml");
    let text = fs::read_to_string(&config).unwrap() + "[session]\nquantity = 3\n";
    fs::write(&config, text).unwrap();
    proxy.running.send("HUP");
    let begin = Instant::now();
    let mut states = Vec::new();
    while !states.ends_with(&["building".to_owned(), "ready".to_owned()]) {
        assert!(begin.elapsed() < common::LIMIT, "{states:?}");
        let (_, answer) = get(admin, "/status.json");
        let json: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
        assert_eq!(json["ready"], true, "{json:#}");
        let state = json["state"].as_str().unwrap().to_owned();
        if states.last() != Some(&state) {
            states.push(state);
        }
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
async fn it_is_not_ready_before_the_router_answers_or_while_stopping() {
    let bridge = TestBridge::start().await;
    bridge.once("HELLO", [Act::Wait(Duration::from_secs(3)), Act::Behave]);
    let mut proxy = Proxy::start(&bridge, "[shutdown]\ngrace = '1h'\nidle = '1h'\n");
    proxy.running.stderr_line("[1/3] looking for a SAM bridge");
    assert_eq!(proxy.get("/ready").0, 503);
    let address = proxy.running.ready();
    assert_eq!(proxy.get("/ready").0, 200);
    let (_, mut stream) = connect(address, "echo.i2p");
    proxy.running.send("TERM");
    proxy.running.stderr_line("stopping: no more clients");
    let (status, answer) = proxy.get("/ready");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("Stopping"), "{answer}");
    let (_, answer) = proxy.get("/status.json");
    assert!(answer.contains("\"state\": \"stopping\""), "{answer}");
    echo(&mut stream);
    assert_eq!(proxy.running.signal("TERM"), Some(0));
}

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
        if json["tunnels"][0]["connections"] == 1 {
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

    let (_, page) = get(admin, "/");
    for part in [
        "Ready: I2P tunnels are built",
        b32,
        &address.to_string(),
        "the name is in no address book",
        "Check the spelling.",
        "of tunnel</dt><dd>kept",
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
    for part in
        ["<h2>Outproxies</h2>", "1 <code>unreachable</code>", "see the state of each under Outproxies"]
    {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let (_, stdout, _) = common::output(&["status", "--state-dir", &proxy.state()]);
    assert!(stdout.contains("outproxy exit: available; 1 request: 1 unreachable\n"), "{stdout}");
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

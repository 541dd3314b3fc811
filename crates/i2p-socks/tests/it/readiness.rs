//! Whether the proxy is ready: at the start, idle, without its router, while it stops.
#![cfg(unix)]

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use sam_testkit::{Act, TestBridge};

use crate::common::{
    self,
    admin::{Proxy, body, get},
    connect, echo,
};

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

/// One tunnel without a session is no reason to take the others' clients away.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_whose_clients_wait_is_named_and_the_proxy_serves_the_others() {
    let bridge = TestBridge::start().await;
    let own =
        "[[tunnel]]\nname = 'own'\nlisten = ['127.0.0.2:0']\nquantity = 3\n[session]\ndelay-open = true\n";
    let mut proxy = Proxy::start(&bridge, own);
    let [main, own] = proxy.running.listeners(2)[..] else { panic!("two listeners") };
    let admin = proxy.admin();
    let (code, mut stream) = connect(main, "echo.i2p");
    assert_eq!(code, 0);
    assert_eq!(body(&get(admin, "/ready").1), "Serving on 2 listeners\n");
    bridge.on("SESSION CREATE", [Act::Close]);
    let waiting = thread::spawn(move || connect(own, "echo.i2p").0);
    let line = until_ready_says(admin, 200, "Serving on 2 listeners; tunnel own has no I2P session\n");
    assert!(!line.contains("main"), "{line}");
    let json: serde_json::Value = serde_json::from_str(body(&get(admin, "/status.json").1)).unwrap();
    let state = |tunnel: usize| (&json["tunnels"][tunnel]["state"], &json["tunnels"][tunnel]["ready"]);
    assert_eq!((&json["state"], &json["ready"]), (&"ready".into(), &true.into()), "{json:#}");
    assert_eq!(state(0), (&"ready".into(), &true.into()), "{json:#}");
    assert_eq!(state(1), (&"no-session".into(), &false.into()), "{json:#}");
    let metrics = get(admin, "/metrics").1;
    for line in ["ready 1", "tunnel_ready{tunnel=\"main\"} 1", "tunnel_ready{tunnel=\"own\"} 0"] {
        assert!(metrics.contains(&format!("\ni2p_socks_{line}\n")), "{line}: {metrics}");
    }
    let (code, stdout, stderr) = common::output(&["status", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(": no I2P session, its clients wait for the router; "), "{stdout}");
    assert!(stdout.contains(" to build an I2P session failed; 1 connection"), "{stdout}");
    let page = get(admin, "/").1;
    assert!(page.contains("<p class=\"bad\">no I2P session, its clients wait for the router</p>"), "{page}");
    echo(&mut stream);
    bridge.on("SESSION CREATE", [Act::Behave]);
    assert_eq!(waiting.join().unwrap(), 0);
    until_ready_says(admin, 200, "Serving on 2 listeners\n");
}

/// The tunnel whose session is built first is served, and says so. The others are named until theirs is.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_start_a_tunnel_that_is_served_does_not_wait_for_the_others() {
    let bridge = TestBridge::start().await;
    let late = Duration::from_secs(12);
    bridge.once("SESSION CREATE", Act::late(late));
    let mut proxy =
        Proxy::start(&bridge, "[[tunnel]]\nname = 'own'\nlisten = ['127.0.0.1:0']\nquantity = 3\n");
    let begin = Instant::now();
    let first = proxy.running.ready();
    assert_eq!(connect(first, "echo.i2p").0, 0);
    let admin = proxy.admin();
    let json: serde_json::Value = serde_json::from_str(body(&get(admin, "/status.json").1)).unwrap();
    let serves = |tunnel: &serde_json::Value| tunnel["listeners"][0] == first.to_string().as_str();
    let tunnels = json["tunnels"].as_array().unwrap();
    let (served, waiting) = if serves(&tunnels[0]) { (0, 1) } else { (1, 0) };
    let state = |tunnel: usize| (&tunnels[tunnel]["state"], &tunnels[tunnel]["ready"]);
    assert_eq!((&json["state"], &json["ready"]), (&"ready".into(), &true.into()), "{json:#}");
    assert_eq!(state(served), (&"ready".into(), &true.into()), "{json:#}");
    assert_eq!(state(waiting), (&"starting".into(), &false.into()), "{json:#}");
    let name = tunnels[waiting]["name"].as_str().unwrap().to_owned();
    let (status, answer) = get(admin, "/ready");
    let line = format!("Serving on 2 listeners; tunnel {name} has no I2P session\n");
    assert_eq!((status, body(&answer)), (200, line.as_str()));
    let metrics = get(admin, "/metrics").1;
    for line in ["ready 1".to_owned(), format!("tunnel_ready{{tunnel=\"{name}\"}} 0")] {
        assert!(metrics.contains(&format!("\ni2p_socks_{line}\n")), "{line}: {metrics}");
    }
    let (code, stdout, stderr) = common::output(&["status", "--state-dir", &proxy.state()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains(": the router is building its first I2P tunnels, its clients wait; 0"),
        "{stdout}"
    );
    // A reload meanwhile ends the start of no tunnel, and says no line twice.
    proxy.configure("[limits]\ndial = '50s'\n");
    proxy.running.send("HUP");
    proxy.running.stderr_line("the new configuration is in effect");
    assert_eq!(body(&get(admin, "/ready").1), line);
    assert!(begin.elapsed() < late, "the session was late enough");
    until_ready_says(admin, 200, "Serving on 2 listeners\n");
    let [one, other] = proxy.running.listeners(2)[..] else { panic!("two listeners") };
    assert_ne!(one, other);
    assert_eq!(proxy.running.stdout().len(), 2, "{}", proxy.running.said());
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

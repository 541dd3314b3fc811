//! The embedded router as a process of its own: its death is not that of the proxy, it is confined, and it ends with the proxy.
#![cfg(all(target_os = "linux", feature = "embedded"))]

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use i2p_embedded::{Error, PrivateNetwork, ProcessCondition, RouterProcess};
use i2p_name::VirtualOptions;
use i2p_sam::{Bridge, Connector, SessionOptions};
use i2p_tunnel::{AddressPool, Listeners, PoolOptions, SamDialler, Service, SessionPool, Stop, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::common::{
    LIMIT, Running, i2p_socks, network,
    network::{ask, socks5},
    processes::{field, has_ended, kill, router_of, until},
};

/// A private network with a service on it, and a proxy on its own router in the same network.
struct Lab {
    network: PrivateNetwork,
    service: String,
    dir: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let network = PrivateNetwork::builder().start().await.unwrap();
        let options = SessionOptions::default().length(1).publish(true);
        let service = network::bridge(&network, 0).create_session(&options).await.unwrap();
        let name = service.destination().b32().to_string();
        tokio::spawn(network::greet(service));
        let dir = tempfile::tempdir().unwrap();
        let reseed = dir.path().join("netDb");
        fs::create_dir(&reseed).unwrap();
        for (index, info) in network.router_infos().iter().enumerate() {
            fs::write(reseed.join(format!("routerInfo-{index}.dat")), info).unwrap();
        }
        let text = format!(
            "[router]\nreseed-file = '{}'\nnetwork-id = {}\n[session]\nlength = 1\n",
            reseed.display(),
            network.network_id()
        );
        fs::write(dir.path().join("config.toml"), text).unwrap();
        Self { network, service: name, dir }
    }

    fn state(&self) -> String {
        self.dir.path().join("state").display().to_string()
    }

    fn proxy(&self) -> Running {
        self.proxy_with(&["--router", "embedded"])
    }

    fn proxy_with(&self, router: &[&str]) -> Running {
        let config = self.dir.path().join("config.toml");
        let (state, config) = (self.state(), config.to_str().unwrap());
        let run = ["run", "--listen", "127.0.0.1:0", "--state-dir", &state, "--config", config];
        Running::start(&[&run[..], router].concat())
    }

    /// Asks for the service until it answers, and gives the stream. Until then, clients are told that there is no router (1), no
    /// tunnels (3), or that the service cannot be reached (4).
    async fn reach(&self, proxy: SocketAddr) -> TcpStream {
        let begin = Instant::now();
        loop {
            let (code, mut stream) = timeout(LIMIT, socks5(proxy, &self.service)).await.unwrap();
            if code == 0 && timeout(LIMIT, ask(&mut stream)).await.unwrap() == b'!' {
                return stream;
            }
            assert!([0, 1, 3, 4].contains(&code), "{code}");
            assert!(begin.elapsed() < LIMIT, "the service was not reached again: {code}");
            sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_dies_and_the_proxy_goes_on_with_a_new_one_and_new_identities() {
    let lab = Lab::start().await;
    let mut proxy = lab.proxy();
    let address = tokio::task::block_in_place(|| proxy.ready());
    let status = |what: &str| {
        let output = i2p_socks(&["status", "--json", "--state-dir", &lab.state()]).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report.pointer(what).cloned().unwrap_or_default()
    };
    let mut router = router_of(proxy.id()).unwrap();
    let mut identity = serde_json::Value::Null;
    for (deaths, signal) in [(1, "ABRT"), (2, "KILL")] {
        let mut stream = lab.reach(address).await;
        let before = status("/sessions/0/b32");
        assert!(before.is_string() && before != identity, "an identity came back: {before}");
        identity = before;

        kill(signal, router);
        // The stream breaks, and says so: with a reset, or with its end.
        let _ = timeout(LIMIT, stream.read(&mut [0; 16])).await.expect("the stream broke");
        let old = router;
        router = until("a new router", || router_of(proxy.id()).filter(|id| *id != old)).await;
        assert_eq!(status("/own-router/deaths"), deaths, "{}", proxy.said());
        assert!(proxy.is_running(), "{}", proxy.said());
    }
    lab.reach(address).await;
    assert_eq!(status("/own-router/state"), "running");
    let said = proxy.said();
    for part in ["signal 6 ended it", "signal 9 ended it", "confined to its own files"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("is not confined as it should be"), "{said}");
    assert!(!said.contains(&lab.service), "a name is in the log: {said}");
    assert_eq!(tokio::task::block_in_place(|| proxy.signal("INT")), Some(0), "{}", proxy.said());
    until("the router ends with the proxy", || has_ended(router).then_some(())).await;
}

/// With "auto", the configuration alone does not say which router runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_does_not_open_the_embedded_router_to_strangers() {
    let lab = Lab::start().await;
    // A port where nobody listens.
    let auto = ["--router", "auto", "--sam", "127.0.0.1:1", "-o", "router.i2pd=/nonexistent"];
    let mut proxy = lab.proxy_with(&auto);
    tokio::task::block_in_place(|| proxy.ready());
    let config = lab.dir.path().join("config.toml");
    let before = fs::read_to_string(&config).unwrap();
    for (count, key) in [(1, "udp = 'datagram'"), (2, "incoming = true")] {
        fs::write(&config, format!("{before}[[tunnel]]\nname = 'open'\n{key}\n")).unwrap();
        proxy.send("HUP");
        tokio::task::block_in_place(|| {
            proxy.stderr_lines("the new configuration was refused", count);
            proxy.stderr_lines("cannot be used with the embedded router", count);
        });
    }
    assert!(proxy.is_running(), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_ends_when_the_proxy_is_killed() {
    let lab = Lab::start().await;
    let mut proxy = lab.proxy();
    tokio::task::block_in_place(|| proxy.ready());
    let router = until("a router", || router_of(proxy.id())).await;
    // So that it is the kernel that ends it: a router that is stopped does not notice that its socket has closed.
    kill("STOP", router);
    proxy.send("KILL");
    tokio::task::block_in_place(|| proxy.ended("KILL"));
    until("the router is an orphan", || has_ended(router).then_some(())).await;
}

/// The way to the bridge of this router.
fn connector(router: &RouterProcess) -> Connector {
    let sam = router.sam();
    Connector::new("the router", move || {
        let sam = sam.clone();
        async move { sam.connect().await }
    })
}

/// The sockets of a process: their inodes.
fn sockets(id: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()?.to_str().map(str::to_owned));
    links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_process_is_confined_and_nobody_else_can_reach_its_bridge() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let router = RouterProcess::builder(state.path().join("router"))
        .program(env!("CARGO_BIN_EXE_i2p-socks"))
        .join_network(&network)
        .start()
        .await
        .unwrap();
    let id = router.status().borrow().process_id.unwrap();

    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    assert_eq!(field(&status, "NoNewPrivs:"), "1");
    assert_eq!(field(&status, "Seccomp:"), "2");
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    assert_eq!(field(&limits, "Max core file size"), "0 0 bytes");
    assert_eq!(field(&limits, "Max data size"), "536870912 536870912 bytes");
    // Each stream of the program needs an open file there.
    let files = field(&limits, "Max open files");
    let [soft, hard, _] = files.split(' ').collect::<Vec<_>>()[..] else { panic!("{files}") };
    assert_eq!(soft, hard);

    let bridge = Bridge::new(connector(&router));
    let session = bridge.create_session(&SessionOptions::default().length(1)).await.unwrap();
    assert!(session.is_alive());

    // Only root can look at the sockets of a process that hides its memory.
    if rustix::process::geteuid().is_root() {
        assert_eq!(fs::read(format!("/proc/{id}/environ")).unwrap(), b"");
        let own = sockets(id);
        assert!(!own.is_empty());
        for (table, listening) in
            [("tcp", " 0A "), ("tcp6", " 0A "), ("udp", " "), ("udp6", " "), ("unix", "00010000")]
        {
            let lines = fs::read_to_string(format!("/proc/{id}/net/{table}")).unwrap();
            let mut open = lines.lines().filter(|line| line.contains(listening));
            let ours =
                open.find(|line| line.split_whitespace().any(|word| own.iter().any(|inode| inode == word)));
            assert_eq!(ours, None, "{table}: the router listens");
        }
    }
    drop(router);
    until("it ends when it is dropped", || has_ended(id).then_some(())).await;
    let error = bridge.probe().await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().starts_with("no SAM bridge answers at the router: "), "{error}");
}

#[tokio::test]
async fn a_first_start_that_fails_is_an_error_with_its_reason() {
    let state = tempfile::tempdir().unwrap();
    let start = |program: &str| {
        RouterProcess::builder(state.path()).program(program).reseed_file("/nonexistent").start()
    };
    let error = start(env!("CARGO_BIN_EXE_i2p-socks")).await.unwrap_err();
    assert!(matches!(error, Error::ReseedFile { .. }), "{error}");
    // A program that does not become a router.
    let error = start("/bin/true").await.unwrap_err();
    assert!(error.to_string().contains("its process died 3 times while it started"), "{error}");
    let error = start("/nonexistent").await.unwrap_err();
    assert!(matches!(error, Error::System(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_thread_that_watches_the_router_counts_as_its_death_and_another_one_starts() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let told = AtomicUsize::new(0);
    let router = RouterProcess::builder(state.path().join("router"))
        .program(env!("CARGO_BIN_EXE_i2p-socks"))
        .join_network(&network)
        .on_progress(move |_| assert!(told.fetch_add(1, Relaxed) > 0, "a bug of the program"))
        .start()
        .await
        .unwrap();
    let status = *router.status().borrow();
    assert_eq!((status.condition, status.deaths), (ProcessCondition::Running, 1));
    Bridge::new(connector(&router)).probe().await.unwrap();
}

#[test]
fn the_argument_of_the_router_process_does_nothing_by_hand() {
    let mut command = i2p_socks(&["--i2p-embedded-router-process"]);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is for a process that the program starts itself"), "{said}");
}

/// A proxy in this process, on this router.
async fn proxy_on(router: &RouterProcess) -> SocketAddr {
    let options = PoolOptions { session: SessionOptions::default().length(1), ..PoolOptions::default() };
    let pool = SessionPool::new(Bridge::new(connector(router)), options);
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("main", SamDialler::new(pool), addresses);
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0].tcp().unwrap();
    let (_, service) = watch::channel(Arc::new(service));
    tokio::spawn(serve(listeners, service, Stop::new()));
    address
}

/// With pauses of one second. With those of the program, twenty deaths take hours.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_killed_twenty_times_under_load_is_started_again_each_time() {
    let lab = Lab::start().await;
    let router = RouterProcess::builder(lab.dir.path().join("router"))
        .program(env!("CARGO_BIN_EXE_i2p-socks"))
        .restart_after(Duration::from_secs(1))
        .join_network(&lab.network)
        .start()
        .await
        .unwrap();
    let address = proxy_on(&router).await;
    lab.reach(address).await;
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let service = lab.service.clone();
        load.spawn(async move {
            loop {
                let (code, mut stream) = socks5(address, &service).await;
                assert!([0, 1, 3, 4].contains(&code), "{code}");
                // It may break at any moment.
                let _ = stream.write_all(b"?").await;
                let _ = stream.read(&mut [0; 1]).await;
            }
        });
    }
    let mut status = router.status();
    for deaths in 1..=20 {
        let id = status.borrow().process_id.unwrap();
        kill(if deaths % 2 == 0 { "KILL" } else { "ABRT" }, id);
        let again = status.wait_for(|now| now.deaths == deaths && now.condition == ProcessCondition::Running);
        timeout(LIMIT, again).await.expect("it is started again").unwrap();
    }
    let begin = Instant::now();
    lab.reach(address).await;
    println!(
        "after the last of 20 deaths, the service was reached again in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    assert!(load.try_join_next().is_none(), "a client was told something else");
}

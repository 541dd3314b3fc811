//! A router that dies and restarts repeatedly under load.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::VirtualOptions;
use i2p_sam::Bridge;
use i2p_tunnel::{Limits, PoolOptions, SessionPolicy};
use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use crate::{
    alone,
    common::{socks5_request, start},
};

const RESTARTS: usize = 20;
const CLIENTS: usize = 16;

/// The number of requests by outcome: the reply code, or 255 for a stream that opened and broke.
type Outcomes = Arc<Mutex<BTreeMap<u8, usize>>>;

/// Sends one request and exchanges a few bytes. Returns its outcome.
async fn request(proxy: std::net::SocketAddr) -> std::io::Result<u8> {
    let mut client = TcpStream::connect(proxy).await?;
    client.write_all(&socks5_request("echo.i2p", 80)).await?;
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await?;
    if answer[3] != 0 {
        let end = client.read(&mut [0; 1]).await?;
        assert_eq!(end, 0, "a refused client is disconnected");
        return Ok(answer[3]);
    }
    client.write_all(b"ping").await?;
    let mut echo = [0; 4];
    match client.read_exact(&mut echo).await {
        Ok(_) => {
            assert_eq!(&echo, b"ping");
            Ok(0)
        }
        Err(_) => Ok(255),
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_restarts_under_load_lose_only_requests_under_way() {
    alone();
    let mut bridge = TestBridge::start().await;
    let limit = Duration::from_secs(1);
    let limits = Limits { linger: limit, half_close: limit, ..Limits::default() };
    let sam = Bridge::new(bridge.address()).with_spares(8);
    let proxy =
        start(sam, limits, PoolOptions::default(), SessionPolicy::default(), VirtualOptions::default()).await;
    let address = proxy.address;
    assert_eq!(request(address).await.unwrap(), 0);
    let quiet = async |bridge: &TestBridge| {
        let until = Instant::now() + Duration::from_secs(10);
        while bridge.open_streams() > 0 || proxy.pool.sessions().iter().any(|session| session.leases > 0) {
            assert!(Instant::now() < until, "streams are left: {}", bridge.open_streams());
            sleep(Duration::from_millis(10)).await;
        }
    };
    quiet(&bridge).await;
    let (tasks, files) = (Handle::current().metrics().num_alive_tasks(), open_files());

    let (stop, outcomes) = (Arc::new(AtomicBool::new(false)), Outcomes::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, outcomes) = (Arc::clone(&stop), Arc::clone(&outcomes));
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let outcome = timeout(Duration::from_secs(20), request(address)).await;
                    let outcome = outcome.expect("every request ends").expect("every request gets a reply");
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                    sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();

    let served = || outcomes.lock().unwrap().get(&0).copied().unwrap_or_default();
    let mut slowest = Duration::ZERO;
    for restart in 0..RESTARTS {
        // One request for each client, however slow the machine is.
        let (enough, until) = (served() + CLIENTS, Instant::now() + Duration::from_secs(20));
        while served() < enough {
            assert!(Instant::now() < until, "{} requests short before restart {restart}", enough - served());
            sleep(Duration::from_millis(5)).await;
        }
        bridge.kill().await;
        // Sometimes longer than requests wait, which is 300 ms here.
        sleep(Duration::from_millis(if restart % 5 == 0 { 600 } else { 60 })).await;
        bridge.restart().await;
        let back = Instant::now();
        while bridge.open_sessions() == 0 {
            assert!(back.elapsed() < Duration::from_secs(10), "no session after restart {restart}");
            sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(back.elapsed());
    }
    stop.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    // The back-off for a dead router is 900 ms at most, and the test kit opens sessions at once.
    assert!(slowest < Duration::from_secs(1), "recovery took {slowest:?}");
    let outcomes = outcomes.lock().unwrap().clone();
    println!("outcomes {outcomes:?}, slowest recovery {slowest:?}");
    let (served, unavailable) = (outcomes[&0], outcomes.get(&1).copied().unwrap_or_default());
    assert!(served >= RESTARTS * CLIENTS, "{outcomes:?}");
    assert!(unavailable > 0, "some requests were refused: {outcomes:?}");
    assert!(outcomes.keys().all(|code| [0, 1, 255].contains(code)), "no other code: {outcomes:?}");

    assert_eq!(request(address).await.unwrap(), 0);
    quiet(&bridge).await;
    assert_eq!(bridge.open_sessions(), 1);
    assert_eq!(proxy.pool.sessions().len(), 1);
    // Lingering sockets are closed within a second, and SAM connections that are kept ready within five.
    let until = Instant::now() + Duration::from_secs(15);
    while Handle::current().metrics().num_alive_tasks() > tasks || open_files() > files {
        let now = (Handle::current().metrics().num_alive_tasks(), open_files());
        assert!(Instant::now() < until, "tasks and files: {now:?}, before: {:?}", (tasks, files));
        sleep(Duration::from_millis(20)).await;
    }
}

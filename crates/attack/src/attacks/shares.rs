//! What one client must not take from the others.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use i2p_name::B32;
use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    bytes::Garbage,
    client::{BIND, CONNECT, Client, RESOLVE, reset},
    proxy::{Proxy, Settings},
    target::Target,
    wait::{SHORTLY, until},
};

/// As long as a person waits without noticing.
const SECOND: Duration = Duration::from_secs(1);
/// How soon what a client has left must be gone.
const SOON: Duration = Duration::from_secs(10);
/// The sessions that the program may have open.
const MAX_SESSIONS: usize = 12;
/// The sessions that one client may open in quick succession, and then in a minute.
const MOST_OPENED: usize = 2 * MAX_SESSIONS + MAX_SESSIONS;
/// The most open files of the program where descriptors are attacked.
const MAX_FILES: u32 = 1_024;

/// The honest client of these attacks, at an address of its own.
fn anna() -> Client {
    Client::at(1).named("anna")
}

/// One client visits a dozen sites, each with credentials of its own, and closes each before the site has.
pub(super) async fn closed_clients(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    bridge.host("waits.i2p", Endpoint::Sink);
    let proxy = Proxy::start(target, &bridge, "").await?;
    let before = proxy.descriptors();
    for site in 0..12 {
        let client = Client::at(1).named(format!("site{site}"));
        let answer = client.ask(proxy.address(), CONNECT, "waits.i2p", 80).await?;
        ensure!(answer.code == 0, "site {site} is refused with code {}", answer.code);
        drop(answer);
    }
    // One connection to the bridge for each session remains, and what is kept ready.
    let few = before + 6 * MAX_SESSIONS;
    let closed = until("the streams of closed clients end", SOON, || bridge.open_streams() == 0).await?;
    until("their descriptors are free", SOON, || proxy.descriptors() <= few).await?;
    Ok(format!("12 sites served; the last stream ended {closed:.1?} after its client"))
}

/// Sixteen clients connect, read a byte and close, in a loop. The far end waits for the end of each, which it would not see for minutes
/// if the proxy took a closed client for one that has only finished sending.
pub(super) async fn connection_storm(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    bridge.host("waits.i2p", Endpoint::Echo);
    let settings = Settings { max_files: MAX_FILES, ..Settings::default() };
    let proxy = Proxy::start_with(target, &bridge, &settings).await?;
    anna().is_served(proxy.address()).await?;
    let mut storm = JoinSet::new();
    for _ in 0..16 {
        storm.spawn(read_a_byte_and_close(Client::at(2), proxy.address(), Instant::now() + 2 * SECOND));
    }
    let mut slowest = Duration::ZERO;
    while !storm.is_empty() {
        slowest = slowest.max(anna().is_served(proxy.address()).await.context("during the storm")?);
        while storm.try_join_next().is_some() {}
    }
    let after = anna().is_served(proxy.address()).await.context("after the storm")?;
    ensure!(after < SECOND, "served after {after:?}, once the storm was over");
    let few = 200;
    let gone = until("the descriptors are free", SOON, || proxy.descriptors() < few).await?;
    Ok(format!(
        "others served within {slowest:.1?}, and {after:.1?} afterwards; descriptors free after {gone:.1?}"
    ))
}

async fn read_a_byte_and_close(client: Client, proxy: SocketAddr, end: Instant) {
    while Instant::now() < end {
        // What the proxy refuses this client is its own affair.
        if let Ok(mut answer) = client.ask(proxy, CONNECT, "waits.i2p", 80).await {
            let _ = answer.stream.write_u8(b'x').await;
            // Nothing is left unread, or else the kernel would reset the connection.
            let _ = timeout(SECOND, answer.stream.read_u8()).await;
        }
    }
}

/// One client invents credentials: it keeps as many sessions as it gets, or it gives each up as soon as it has asked.
pub(super) async fn invented_credentials(target: &Target) -> Result<String> {
    let kept = keep_sessions(target).await?;
    let given_up = give_sessions_up(target).await?;
    Ok(format!("{kept}; {given_up}"))
}

async fn keep_sessions(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let proxy = Proxy::start(target, &bridge, "").await?;
    let mut kept = Vec::new();
    for number in 0..2 * MAX_SESSIONS {
        let eve = Client::at(2).named(format!("kept{number}"));
        let answer = eve.ask(proxy.address(), CONNECT, "echo.i2p", 80).await;
        kept.extend(answer.ok().filter(|answer| answer.code == 0));
    }
    let served = anna().is_served(proxy.address()).await.context("beside a client that keeps sessions")?;
    ensure!(served < 5 * SECOND, "another client was served after {served:?}");
    Ok(format!("one client keeps {} sessions of {MAX_SESSIONS}", kept.len()))
}

async fn give_sessions_up(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let proxy = Proxy::start(target, &bridge, "").await?;
    let created = || bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count();
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < 3 * SECOND {
        number += 1;
        let eve = Client::at(2).named(format!("invented{number}"));
        let mut stream = eve.connect(proxy.address()).await?;
        stream.write_all(&eve.request(CONNECT, "echo.i2p", 80)).await?;
        sleep(Duration::from_millis(2)).await;
        reset(stream);
    }
    let (sessions, took) = (created(), begin.elapsed().as_secs());
    let served = anna().is_served(proxy.address()).await.context("after many invented credentials")?;
    ensure!(served < 5 * SECOND, "another client was served after {served:?}");
    ensure!(sessions <= MOST_OPENED, "{number} invented credentials made {sessions} sessions in {took} s");
    Ok(format!(
        "{number} credentials made {sessions} sessions in {took} s; another client served after {served:.1?}"
    ))
}

/// One client asks for the virtual addresses of names that nobody has, as many as there are addresses.
pub(super) async fn virtual_addresses(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let configuration = "[virtual-addresses]\nmax = 2048\n";
    let proxy = Proxy::start(target, &bridge, configuration).await?;
    let before = anna().ask(proxy.address(), RESOLVE, "echo.i2p", 0).await?.bound.context("no address")?;
    let (mut garbage, mut refused) = (Garbage::new(3), 0);
    for _ in 0..40 {
        let mut asking = JoinSet::new();
        for _ in 0..100 {
            let (name, proxy) = (B32::from_hash(garbage.hash()).to_string(), proxy.address());
            asking.spawn(async move { Client::at(2).named("eve").ask(proxy, RESOLVE, &name, 0).await });
        }
        while let Some(answer) = asking.join_next().await {
            refused += usize::from(answer?.is_ok_and(|answer| answer.code != 0));
        }
    }
    let new = anna().ask(proxy.address(), RESOLVE, "known.i2p", 0).await?;
    ensure!(new.code == 0, "another client gets no new address: code {}", new.code);
    let old = anna().ask(proxy.address(), CONNECT, &before.ip().to_string(), 80).await?;
    ensure!(old.code == 0, "another client's address leads nowhere: code {}", old.code);
    Ok(format!(
        "4000 names for 2048 addresses ({refused} refused); another client keeps its address and gets a new one"
    ))
}

/// One client opens connections and says nothing.
pub(super) async fn all_connections(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let settings = Settings { max_files: MAX_FILES, ..Settings::default() };
    let proxy = Proxy::start_with(target, &bridge, &settings).await?;
    let mut held = Vec::new();
    for _ in 0..1_000 {
        // Those that it may not have are closed.
        held.extend(Client::at(2).connect(proxy.address()).await.ok());
    }
    let served = anna().is_served(proxy.address()).await.context("another client")?;
    ensure!(served < SECOND, "another client was served after {served:?}");
    let open = open_connections(&mut held).await;
    Ok(format!("one client holds {open} of 1000 connections; another was served after {served:.1?}"))
}

/// How many of these connections the proxy has not closed.
async fn open_connections(held: &mut [TcpStream]) -> usize {
    sleep(Duration::from_millis(200)).await;
    held.iter_mut()
        .filter(|stream| {
            stream.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        })
        .count()
}

/// One client opens associations for datagrams, each with credentials of its own.
pub(super) async fn all_associations(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let configuration = "[[tunnel]]\nlisten = [\"127.0.0.1:0\"]\nudp = \"datagram\"\n";
    let proxy = Proxy::start(target, &bridge, configuration).await?;
    let mut held = Vec::new();
    for number in 0..16 {
        let eve = Client::at(2).named(format!("eve{number}"));
        held.extend(eve.associate(proxy.address()).await.ok());
    }
    let association = anna().associate(proxy.address()).await.context("another client's association")?;
    association.send("echo.i2p", 7, b"honest").await?;
    let answer = association.receive(SHORTLY).await.context("another client's datagram")?;
    ensure!(answer.ends_with(b"honest"), "the answer is {answer:?}");
    Ok(format!("one client holds {} of 16 associations; another got one", held.len()))
}

/// One client waits with BIND for peers that never come.
pub(super) async fn all_binds(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let configuration = "[[tunnel]]\nlisten = [\"127.0.0.1:0\"]\nincoming = true\n";
    let settings = Settings { configuration, max_files: MAX_FILES, ..Settings::default() };
    let proxy = Proxy::start_with(target, &bridge, &settings).await?;
    let mut asking = JoinSet::new();
    for _ in 0..500 {
        let proxy = proxy.address();
        asking.spawn(async move { Client::at(2).named("eve").ask(proxy, BIND, "0.0.0.0", 0).await });
    }
    let mut held = Vec::new();
    while let Some(answer) = asking.join_next().await {
        held.extend(answer?.ok().filter(|answer| answer.code == 0));
    }
    let bound = anna().ask(proxy.address(), BIND, "0.0.0.0", 0).await?;
    ensure!(bound.code == 0, "another client's BIND is refused with code {}", bound.code);
    let served = anna().is_served(proxy.address()).await.context("another client")?;
    Ok(format!(
        "one client holds {} of 500 BINDs; another got one, and was served after {served:.1?}",
        held.len()
    ))
}

/// Sixty addresses guess passwords, sixteen at a time each.
pub(super) async fn password_guesses(target: &Target) -> Result<String> {
    const PASSWORD: &str = "open-sesame";
    const GUESSERS: u8 = 60;
    let bridge = TestBridge::start().await;
    let directory = tempfile::tempdir()?;
    let users = directory.path().join("users");
    fs::write(&users, format!("{}\n", users_line(target, "anna", PASSWORD).await?))?;
    let configuration = format!(
        "[[tunnel]]\nlisten = [\"127.0.0.1:0\"]\nauth = \"required\"\nusers-file = \"{}\"\n",
        users.display()
    );
    let proxy = Proxy::start(target, &bridge, &configuration).await?;
    let alone = Client::at(3).with_password("anna", PASSWORD).is_served(proxy.address()).await?;
    // Verified passwords are remembered. A reload with another line makes the next check a whole one.
    fs::write(&users, format!("{}\n", users_line(target, "anna", PASSWORD).await?))?;
    proxy.reload(&configuration).await?;
    sleep(Duration::from_millis(500)).await;
    let mut guesses = JoinSet::new();
    for host in 0..GUESSERS {
        for number in 0..16 {
            let (guesser, proxy) =
                (Client::at(100 + host).with_password("anna", &format!("guess{number}")), proxy.address());
            guesses.spawn(async move { guesser.ask(proxy, CONNECT, "echo.i2p", 80).await.map(|_| ()) });
        }
    }
    sleep(SECOND).await;
    let served = Client::at(1).with_password("anna", PASSWORD).is_served(proxy.address()).await;
    let served = served.context("a user among guesses")?;
    guesses.abort_all();
    // One guess of each address at most comes first, not all sixteen.
    ensure!(served < alone * GUESSERS.into(), "a user was served after {served:?}; alone after {alone:?}");
    Ok(format!("a user was served after {served:.1?} among 960 guesses, {alone:.1?} without"))
}

/// A line of a users file, as `i2p-socks passwd` prints it.
async fn users_line(target: &Target, name: &str, password: &str) -> Result<String> {
    let mut passwd = tokio::process::Command::new(target.program());
    passwd.args(["passwd", name]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut passwd = passwd.spawn()?;
    let mut stdin = passwd.stdin.take().context("no stdin")?;
    stdin.write_all(format!("{password}\n").as_bytes()).await?;
    drop(stdin);
    let output = passwd.wait_with_output().await?;
    ensure!(output.status.success(), "passwd exited with {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Slow connections wait at the admin endpoint, and a monitor asks whether the program lives.
pub(super) async fn slow_admin(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let port = free_port().await?;
    let proxy = Proxy::start(target, &bridge, &format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n")).await?;
    let admin = SocketAddr::from(([127, 0, 0, 1], port));
    let mut slow = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: local").await?;
        slow.push(stream);
    }
    let begin = Instant::now();
    let answer = timeout(SHORTLY, get(admin, "/live")).await.context("/live was not answered")??;
    let took = begin.elapsed();
    ensure!(answer.starts_with("HTTP/1.1 200"), "/live answered {answer:?}");
    ensure!(took < 2 * SECOND, "/live was answered after {took:?}");
    drop(proxy);
    Ok(format!("/live answered after {took:.1?} beside {} slow connections", slow.len()))
}

async fn free_port() -> Result<u16> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

async fn get(admin: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", admin.port());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Reloads and requests for new identities, while streams hold the old sessions.
pub(super) async fn reload_storm(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let configuration = |length: usize| format!("[session]\nmax-sessions = 4\nlength = {}\n", 1 + length % 3);
    let proxy = Proxy::start(target, &bridge, &configuration(0)).await?;
    let (mut held, mut most) = (Vec::new(), 0);
    for round in 0..120 {
        let answer = anna().ask(proxy.address(), CONNECT, "echo.i2p", 80).await;
        held.extend(answer.ok().filter(|answer| answer.code == 0));
        proxy.reload(&configuration(round)).await?;
        proxy.signal("USR1").await?;
        sleep(Duration::from_millis(20)).await;
        most = most.max(bridge.open_sessions());
    }
    ensure!(most <= 3 * 4, "{most} sessions were open, where 4 are allowed");
    let held_before = held.len();
    drop(held);
    let drained = until("the old sessions end", SHORTLY, || bridge.open_sessions() <= 4).await?;
    let served = anna().is_served(proxy.address()).await?;
    Ok(format!(
        "at most {most} sessions with {held_before} streams; 4 after {drained:.1?}; then served in {served:.1?}"
    ))
}

/// The attacks on shares, again and again, from one address: for a soak beside honest clients.
pub(crate) struct Aggressor {
    proxy: SocketAddr,
    garbage: Garbage,
}

impl Aggressor {
    pub(crate) fn new(proxy: SocketAddr) -> Self {
        Self { proxy, garbage: Garbage::new(9) }
    }

    /// Attacks until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let begin = Instant::now();
            let mut storm = JoinSet::new();
            for number in 0..8_u64 {
                storm.spawn(read_a_byte_and_close(Client::at(66), self.proxy, begin + 3 * SECOND));
                let name = format!("invented{}", self.garbage.next().wrapping_add(number));
                storm.spawn(ask_and_reset(Client::at(66).named(name), self.proxy));
                let address = B32::from_hash(self.garbage.hash()).to_string();
                storm.spawn(resolve(Client::at(66).named("eve"), self.proxy, address));
            }
            let mut idle = Vec::new();
            for _ in 0..200 {
                idle.extend(Client::at(66).connect(self.proxy).await.ok());
            }
            while storm.join_next().await.is_some() {}
        }
    }
}

async fn ask_and_reset(client: Client, proxy: SocketAddr) {
    if let Ok(mut stream) = client.connect(proxy).await {
        let _ = stream.write_all(&client.request(CONNECT, "waits.i2p", 80)).await;
        sleep(Duration::from_millis(50)).await;
        reset(stream);
    }
}

async fn resolve(client: Client, proxy: SocketAddr, name: String) {
    // What it is told does not matter.
    let _ = client.ask(proxy, RESOLVE, &name, 0).await;
}

//! The embedded router: a stranger can end it, and nothing else.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use i2p_embedded::PrivateNetwork;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    target::Target,
    wait::{SHORTLY, until},
};

/// How long the router may take to build its first tunnels.
const TUNNELS: Duration = Duration::from_secs(120);
/// How long a new router may take to come up after one has died.
const RESTART_TIMEOUT: Duration = Duration::from_secs(60);

/// The program with a router of its own, in a private network.
struct WithRouter {
    process: Child,
    directory: TempDir,
    _network: PrivateNetwork,
}

impl WithRouter {
    async fn start(target: &Target) -> Result<Self> {
        let network = PrivateNetwork::builder().start().await?;
        let directory = tempfile::tempdir()?;
        let (seeds, configuration) =
            (directory.path().join("netDb"), directory.path().join("i2p-socks.toml"));
        fs::create_dir(&seeds)?;
        for (number, info) in network.router_infos().iter().enumerate() {
            fs::write(seeds.join(format!("routerInfo-{number}.dat")), info)?;
        }
        fs::write(
            &configuration,
            format!(
                "[router]\nnetwork-id = {}\nreseed-file = \"{}\"\n[session]\nlength = 1\n",
                network.network_id(),
                seeds.display()
            ),
        )?;
        let process = Command::new(target.program())
            .args(["run", "--router", "embedded", "--listen", "127.0.0.1:0"])
            .arg("--state-dir")
            .arg(directory.path().join("state"))
            .arg("--config")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(fs::File::create(directory.path().join("stdout"))?)
            .stderr(fs::File::create(directory.path().join("log"))?)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { process, directory, _network: network })
    }

    fn id(&self) -> Result<u32> {
        self.process.id().with_context(|| format!("the program has ended:\n{}", self.log()))
    }

    fn printed(&self) -> String {
        fs::read_to_string(self.directory.path().join("stdout")).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Waits for a router process other than this one.
    async fn router_other_than(&self, old: Option<u32>) -> Result<u32> {
        let (id, mut found) = (self.id()?, None);
        until("the program starts a router", RESTART_TIMEOUT, || {
            found = child_of(id).filter(|child| Some(*child) != old);
            found.is_some()
        })
        .await
        .with_context(|| self.log())?;
        found.context("no router")
    }
}

/// The process whose parent is this one.
fn child_of(parent: u32) -> Option<u32> {
    let is_child = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| line.split_whitespace().eq(["PPid:", &parent.to_string()]))
            && !status.contains("State:\tZ")
    };
    let entries = fs::read_dir("/proc").ok()?;
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(is_child)
}

/// A stranger ends the router, as a packet can.
pub(super) async fn router_death(target: &Target) -> Result<String> {
    let mut proxy = WithRouter::start(target).await?;
    until("the router builds tunnels", TUNNELS, || proxy.printed().contains(" ready"))
        .await
        .with_context(|| proxy.log())?;
    let mut router = proxy.router_other_than(None).await?;
    for signal in [Signal::ABORT, Signal::KILL] {
        kill(router, signal)?;
        router = proxy.router_other_than(Some(router)).await?;
    }
    kill(router, Signal::KILL)?;
    until("it stays down after a third death", SHORTLY, || proxy.log().matches("has died").count() == 3)
        .await?;
    ensure!(proxy.process.try_wait()?.is_none(), "the program ended with its router:\n{}", proxy.log());
    Ok("the router died three times, the program went on".into())
}

fn kill(process: u32, signal: Signal) -> Result<()> {
    Ok(kill_process(Pid::from_raw(process.try_into()?).context("no process")?, signal)?)
}

/// Another local user looks for the SAM bridge of the router on the machine's ports.
pub(super) async fn router_bridge(target: &Target) -> Result<String> {
    let proxy = WithRouter::start(target).await?;
    let router = proxy.router_other_than(None).await?;
    sleep(Duration::from_secs(3)).await;
    let mut ports = 0;
    for id in [proxy.id()?, router] {
        for address in listening(id)? {
            ports += 1;
            ensure!(!speaks_sam(address).await, "a SAM bridge answers at {address}");
        }
    }
    Ok(format!("no SAM bridge on the {ports} ports of the program and its router"))
}

/// The TCP addresses at which a process listens.
fn listening(id: u32) -> Result<Vec<SocketAddr>> {
    let links =
        fs::read_dir(format!("/proc/{id}/fd"))?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inodes: BTreeSet<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("net").join(table))?;
        found.extend(table.lines().skip(1).filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            // 0A: LISTEN.
            let port = local.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok())?;
            (*state == "0A" && inodes.contains(*inode)).then(|| SocketAddr::from(([127, 0, 0, 1], port)))
        }));
    }
    Ok(found)
}

async fn speaks_sam(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"HELLO VERSION\n").await.ok()?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await.ok()?;
        answer.get(..length).map(|answer| answer.starts_with(b"HELLO REPLY"))
    };
    timeout(Duration::from_secs(2), asked).await.ok().flatten().unwrap_or(false)
}

/// A configuration that opens the embedded router to datagrams, which a stranger can end it with.
pub(super) async fn router_datagrams(target: &Target) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let configuration = directory.path().join("i2p-socks.toml");
    for key in ["udp = 'datagram'", "udp = 'datagram2'", "incoming = true"] {
        fs::write(&configuration, format!("[router]\nbackend = 'embedded'\n[[tunnel]]\n{key}\n"))?;
        let mut check = Command::new(target.program());
        check.args(["check", "--config"]).arg(&configuration).stdin(Stdio::null()).kill_on_drop(true);
        let checked = timeout(SHORTLY, check.output()).await??;
        ensure!(checked.status.code() == Some(64), "check allows {key} with the embedded router");
    }
    Ok("check refuses udp and incoming with the embedded router".into())
}

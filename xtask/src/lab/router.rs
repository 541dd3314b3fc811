//! One i2pd router of a private network.
//!
//! Settings are what was found to work with Debian's 2.45.1: first octets that differ (routers do not build tunnels
//! through two addresses of one /16), and no clock, no reseeding, no internet.

use std::{
    fs,
    future::pending,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use i2p_name::Destination;
use i2p_sam::Bridge;
use sha2::{Digest, Sha256};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
};

use super::{
    crash,
    far::Far,
    wait::{Attempt, until},
};
use crate::programs;

/// The SAM port of the first router; the others follow.
const FIRST_SAM_PORT: u16 = 7656;
/// The network's number. Routers of another one, and of the public one (2), are not spoken to.
const NETWORK_ID: u16 = 77;
/// A router is up within a second.
const START: Duration = Duration::from_secs(30);
/// How long a router that is killed may take to end. A few milliseconds are usual.
const END: Duration = Duration::from_secs(2);

/// In what routers of a network differ.
#[derive(Default)]
pub(crate) struct Settings {
    /// Whether it keeps the network database.
    pub(crate) floodfill: bool,
    /// Hops of the tunnels that it explores the network with.
    pub(crate) exploratory_hops: u8,
    /// The port of its SOCKS proxy on 127.0.0.1, whose tunnels have no hops.
    pub(crate) socks_port: Option<u16>,
    /// The content of `tunnels.conf`.
    pub(crate) tunnels: String,
    /// The second namespace, where it is in that one. Its SAM bridge is at its own address then, so that we reach it.
    pub(crate) far: Option<Arc<Far>>,
}

/// A router, killed when this is dropped.
pub(crate) struct Router {
    directory: PathBuf,
    bridge: Bridge,
    far: Option<Arc<Far>>,
    process: Option<Child>,
}

/// The address of the router with this number, one that looks public.
pub(crate) fn address(index: u16) -> String {
    format!("{}.1.0.1", 11 + index)
}

/// Starts routers and comes back when their SAM bridges answer.
pub(crate) async fn start_all(routers: &mut [Router], what: &str) -> Result<()> {
    for router in &mut *routers {
        router.start()?;
    }
    until(what, START, async || {
        for router in &mut *routers {
            if let Attempt::NotYet(reason) = router.is_up().await? {
                return Ok(Attempt::NotYet(reason));
            }
        }
        Ok(Attempt::Done(()))
    })
    .await
}

/// Ends routers that have run once, so that each has its keys and its router info, and makes each known to each: they
/// cannot reseed.
pub(crate) async fn introduce_all(routers: &mut [Router]) -> Result<()> {
    for router in &mut *routers {
        router.kill().await?;
    }
    let infos = routers.iter().map(Router::info).collect::<Result<Vec<_>>>()?;
    for router in routers {
        infos.iter().try_for_each(|info| router.introduce(info))?;
    }
    Ok(())
}

impl Router {
    /// A router that is yet to be started, in a directory of its own below `lab`.
    pub(crate) fn new(lab: &Path, index: u16, settings: &Settings) -> Result<Self> {
        let directory = lab.join(format!("router-{index}"));
        fs::create_dir_all(directory.join("netDb"))?;
        let sam_port = FIRST_SAM_PORT + index;
        fs::write(directory.join("i2pd.conf"), configuration(index, sam_port, &directory, settings))?;
        fs::write(directory.join("tunnels.conf"), &settings.tunnels)?;
        let bridge = Bridge::new(format!("{}:{sam_port}", sam_host(index, settings)));
        Ok(Self { directory, bridge, far: settings.far.clone(), process: None })
    }

    /// Its SAM bridge.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    fn start(&mut self) -> Result<()> {
        let program = programs::find("i2pd").context("i2pd is missing")?;
        let output = fs::File::create(self.directory.join("output.log"))?;
        // Each of these has a place below /etc or /var otherwise, which belongs to the system's own router.
        let at = |option: &str, name: &str| format!("--{option}={}", self.directory.join(name).display());
        let mut command = Command::new(program);
        command
            .arg(at("datadir", ""))
            .arg(at("conf", "i2pd.conf"))
            .arg(at("tunconf", "tunnels.conf"))
            .arg(at("tunnelsdir", "tunnels.d"))
            .arg(at("certsdir", "certificates"))
            .arg(at("pidfile", "i2pd.pid"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let process = match &self.far {
            None => command.spawn(),
            Some(far) => {
                let runtime = Handle::current();
                far.within(|| {
                    let _entered = runtime.enter();
                    Ok(command.spawn())
                })?
            }
        };
        self.process = Some(process.context("could not start i2pd")?);
        Ok(())
    }

    /// Whether SAM answers: it starts last, so router info and keys are on disk by then. Fails for a router that
    /// has ended.
    pub(crate) async fn is_up(&mut self) -> Result<Attempt<()>> {
        if let Some(status) = self.has_ended()? {
            let output = fs::read_to_string(self.directory.join("output.log")).unwrap_or_default();
            bail!("i2pd in {} has ended ({status}):\n{output}", self.directory.display());
        }
        Ok(Attempt::of(self.bridge.probe().await.map(drop)))
    }

    /// SIGKILL: an orderly end takes i2pd up to ten minutes, while transit tunnels last.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.has_ended()?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().await.context("could not end i2pd")
    }

    /// Comes back when it has ended by itself; never while it does not run.
    pub(crate) async fn ends(&mut self) -> Result<ExitStatus> {
        match &mut self.process {
            Some(process) => {
                let status = process.wait().await.context("lost track of i2pd")?;
                crash::note("i2pd", status);
                Ok(status)
            }
            None => pending().await,
        }
    }

    /// How it has ended by itself, if it has.
    fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        let status = process.try_wait().context("lost track of i2pd")?;
        if let Some(status) = status {
            crash::note(&format!("i2pd in {}", self.directory.display()), status);
        }
        Ok(status)
    }

    /// The destination of its tunnel with this file of keys, which it makes at its first start: at the front of the file.
    pub(crate) fn destination_of(&self, keys: &str) -> Result<Destination> {
        let path = self.directory.join(keys);
        let keys = fs::read(&path).with_context(|| format!("no {}", path.display()))?;
        let length = keys.get(385..387).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes);
        let destination = keys.get(..387 + usize::from(length)).context("keys that are cut off")?;
        let text = BASE64.encode(destination).replace('+', "-").replace('/', "~");
        text.parse().context("no destination")
    }

    fn info(&self) -> Result<Vec<u8>> {
        let path = self.directory.join("router.info");
        fs::read(&path).with_context(|| format!("could not read {}", path.display()))
    }

    /// Makes another router known to this one, as if it had been reseeded with it.
    fn introduce(&self, info: &[u8]) -> Result<()> {
        let name = identity_hash(info)?;
        let shelf = name.chars().take(1).fold(String::from("r"), |shelf, first| shelf + &first.to_string());
        let directory = self.directory.join("netDb").join(shelf);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("routerInfo-{name}.dat")), info)?;
        Ok(())
    }

    /// i2pd reads `hosts.txt` at its first start, while it has no address book of its own.
    pub(crate) fn add_to_address_book(&self, names: &[(&str, &Destination)]) -> Result<()> {
        let lines = names.iter().map(|(host, destination)| format!("{host}={}\n", destination.to_base64()));
        fs::write(self.directory.join("hosts.txt"), lines.collect::<String>())?;
        Ok(())
    }
}

impl Drop for Router {
    /// Ends it and waits for its end, so that its ports are free for the router of another network.
    fn drop(&mut self) {
        // Only what it leaves a note of counts: there is nobody to tell of an error.
        let _ = self.has_ended();
        let Some(process) = &mut self.process else { return };
        let (start, _) = (Instant::now(), process.start_kill());
        while matches!(process.try_wait(), Ok(None)) && start.elapsed() < END {
            thread::sleep(END / 1000);
        }
    }
}

/// Where the SAM bridge of a router listens.
fn sam_host(index: u16, settings: &Settings) -> String {
    if settings.far.is_some() { address(index) } else { "127.0.0.1".into() }
}

/// The name of a router: the SHA-256 of its identity in I2P's base64. The identity is at the front of the router
/// info; like a destination it is 384 bytes of keys and a certificate of three bytes and more.
fn identity_hash(info: &[u8]) -> Result<String> {
    let length = info.get(385..387).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
    let length = length.map_or(0, usize::from);
    let identity = info.get(..387 + length).context("a router info is cut off")?;
    ensure!(info.len() > identity.len(), "a router info ends after its identity");
    Ok(BASE64.encode(&Sha256::digest(identity)).replace('+', "-").replace('/', "~"))
}

/// Options of tunnels without hops: there is nobody to hide from, and nobody else is needed to build them.
pub(crate) const NO_HOPS: &str = "\
inbound.length = 0
outbound.length = 0
inbound.quantity = 1
outbound.quantity = 1
";

/// The address of a list of names that nobody has.
const NO_FEED: &str = "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p/hosts.txt";

/// Nothing but NTCP2, SAM and what is asked for, no clock, no internet. An empty `addressbook.defaulturl` would end i2pd after three
/// minutes, and so would empty `addressbook.subscriptions` when it has names; without an address book it does not survive
/// `STREAM CONNECT`. The site that both name is nowhere.
fn configuration(index: u16, sam_port: u16, directory: &Path, settings: &Settings) -> String {
    let address = address(index);
    let &Settings { floodfill, exploratory_hops, socks_port, .. } = settings;
    let socks = match socks_port {
        None => String::from("enabled = false\n"),
        Some(port) => format!("enabled = true\naddress = 127.0.0.1\nport = {port}\n{NO_HOPS}"),
    };
    let sam_host = sam_host(index, settings);
    let log = directory.join("i2pd.log");
    let log = log.display();
    format!(
        "\
netid = {NETWORK_ID}
host = {address}
address4 = {address}
port = {port}
ipv4 = true
ipv6 = false
nat = false
reservedrange = false
floodfill = {floodfill}
bandwidth = X
share = 100
log = file
logfile = {log}
loglevel = info
[ntcp2]
enabled = true
published = true
[ssu2]
enabled = false
published = false
[upnp]
enabled = false
[nettime]
enabled = false
[http]
enabled = false
[httpproxy]
enabled = false
[socksproxy]
{socks}[sam]
enabled = true
address = {sam_host}
port = {sam_port}
[bob]
enabled = false
[i2cp]
enabled = false
[reseed]
threshold = 0
urls =
yggurls =
verify = false
[addressbook]
enabled = true
defaulturl = {NO_FEED}
subscriptions = {NO_FEED}
[exploratory]
inbound.length = {exploratory_hops}
outbound.length = {exploratory_hops}
inbound.quantity = 3
outbound.quantity = 3
[persist]
profiles = false
",
        port = 23_000 + index,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_ends_with_its_certificate() {
        let mut info = vec![0; 384];
        info.extend([5, 0, 4, 0, 7, 0, 4]);
        assert!(identity_hash(&info).is_err());
        info.extend([1, 2, 3]);
        let name = identity_hash(&info).unwrap();
        assert_eq!(name.len(), 44);
        info.extend([4, 5, 6]);
        assert_eq!(identity_hash(&info).unwrap(), name);
        assert!(identity_hash(&info[..386]).is_err());
    }

    #[test]
    fn a_router_has_a_socks_port_when_asked_for() {
        let text = |socks_port| {
            let settings = Settings { socks_port, ..Settings::default() };
            configuration(0, 1, Path::new("/lab"), &settings)
        };
        assert!(text(None).contains("[socksproxy]\nenabled = false\n[sam]"), "{}", text(None));
        let with = text(Some(4447));
        assert!(with.contains("[socksproxy]\nenabled = true\naddress = 127.0.0.1\nport = 4447\n"), "{with}");
        assert!(with.contains("outbound.quantity = 1\n[sam]"), "{with}");
    }
}

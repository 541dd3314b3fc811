//! An i2pd router of a private network.
//!
//! The settings are those that work with Debian's 2.45.1: addresses whose first octets differ (routers do not build tunnels
//! through two addresses of one /16), and no clock, no reseeding, no internet.

pub mod crash;
pub mod java;
pub mod pair;
pub mod version;

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

use crate::{
    namespace::second::SecondNamespace,
    signals,
    wait::{Attempt, until},
};

/// The SAM port of the first router; those of the others follow.
const FIRST_SAM_PORT: u16 = 7656;
/// The port of the first router for other routers; those of the others follow.
const FIRST_ROUTER_PORT: u16 = 23_000;
/// Routers do not talk to routers with another network ID, such as 2, the public network's.
const NETWORK_ID: u16 = 77;
/// How long routers may take to start. Usually a second is enough.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a router that was killed may take to end. Usually a few milliseconds are enough.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);
const KILL_LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The settings in which the routers of a network differ.
#[derive(Default)]
pub struct Settings {
    /// Whether the router is a floodfill, which keeps the network database.
    pub floodfill: bool,
    /// The number of hops of its exploratory tunnels.
    pub exploratory_hops: u8,
    /// The port of its SOCKS proxy on 127.0.0.1.
    pub socks_port: Option<u16>,
    /// The port of its HTTP proxy on 127.0.0.1.
    pub http_port: Option<u16>,
    /// The tunnels of these two proxies.
    pub proxy_tunnels: Tunnels,
    /// Whether routers reach it over SSU2, which is UDP, instead of NTCP2, which is TCP.
    pub ssu2: bool,
    /// The content of `tunnels.conf`.
    pub tunnels: String,
    /// The second namespace, if the router runs there. Its SAM bridge then listens at the router's own address, so that the
    /// suite reaches it.
    pub second_namespace: Option<Arc<SecondNamespace>>,
}

/// The tunnels of a client or a server, each way.
#[derive(Debug, Clone, Copy)]
pub struct Tunnels {
    /// The number of hops of each.
    pub hops: u8,
    /// Their number.
    pub quantity: u8,
}

impl Tunnels {
    /// One tunnel without hops. It needs no third router, and nobody has to be hidden here.
    pub const NO_HOPS: Self = Self { hops: 0, quantity: 1 };

    /// The options of i2pd for them.
    #[must_use]
    pub fn options(self) -> String {
        let Self { hops, quantity } = self;
        format!(
            "inbound.length = {hops}\noutbound.length = {hops}\n\
             inbound.quantity = {quantity}\noutbound.quantity = {quantity}\n"
        )
    }
}

impl Default for Tunnels {
    fn default() -> Self {
        Self::NO_HOPS
    }
}

/// A router. Dropping it kills it.
pub struct Router {
    directory: PathBuf,
    bridge: Bridge,
    second_namespace: Option<Arc<SecondNamespace>>,
    process: Option<Child>,
}

/// The address of the router with this number. It looks public.
#[must_use]
pub fn address(index: u16) -> String {
    format!("{}.1.0.1", 11 + index)
}

/// Starts routers and returns once their SAM bridges answer.
pub async fn start_all(routers: &mut [Router], what: &str) -> Result<()> {
    for router in &mut *routers {
        router.start()?;
    }
    until(what, START_TIMEOUT, async || {
        for router in &mut *routers {
            if let Attempt::NotYet(reason) = router.try_sam().await? {
                return Ok(Attempt::NotYet(reason));
            }
        }
        Ok(Attempt::Done(()))
    })
    .await
}

/// Stops routers that have run once, so that each has its keys and its router info, and makes each one known to the others:
/// they cannot reseed.
pub async fn introduce_all(routers: &mut [Router]) -> Result<()> {
    let infos = stop_all(routers).await?;
    for router in routers {
        infos.iter().try_for_each(|info| router.introduce(info))?;
    }
    Ok(())
}

/// Stops routers that have run once and starts them again in turn, each with the ones before it made known to it. Returns once the
/// SAM bridge of the last one answers.
///
/// Routers with SSU2 alone need this. When i2pd 2.56 or later has tried in vain to reach a peer, it takes the next packet from that
/// peer for an answer to its attempt, and drops it. So no router may know one that does not run yet.
pub async fn restart_in_turn(routers: &mut [Router], what: &str) -> Result<()> {
    let infos = stop_all(routers).await?;
    for (number, router) in routers.iter_mut().enumerate() {
        infos.iter().take(number).try_for_each(|info| router.introduce(info))?;
        start_all(std::slice::from_mut(router), what).await?;
    }
    Ok(())
}

/// Stops routers. Returns the router info of each.
async fn stop_all(routers: &mut [Router]) -> Result<Vec<Vec<u8>>> {
    for router in &mut *routers {
        router.kill().await?;
    }
    routers.iter().map(Router::info).collect()
}

impl Router {
    /// Prepares a router in a directory of its own below `lab`, without starting it.
    pub fn new(lab: &Path, index: u16, settings: &Settings) -> Result<Self> {
        let directory = lab.join(format!("router-{index}"));
        fs::create_dir_all(directory.join("netDb"))?;
        fs::write(directory.join("i2pd.conf"), configuration(index, &directory, settings))?;
        fs::write(directory.join("tunnels.conf"), &settings.tunnels)?;
        let bridge = Bridge::new(format!("{}:{}", sam_host(index, settings), FIRST_SAM_PORT + index));
        Ok(Self { directory, bridge, second_namespace: settings.second_namespace.clone(), process: None })
    }

    /// Its SAM bridge.
    #[must_use]
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    fn start(&mut self) -> Result<()> {
        let program = programs::find("i2pd").context("i2pd is missing")?;
        let output = fs::File::create(self.directory.join("output.log"))?;
        // By default each of these lies below /etc or /var, where it belongs to the system's own router.
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
        let process = match &self.second_namespace {
            None => command.spawn(),
            Some(namespace) => {
                let runtime = Handle::current();
                namespace.run(|| {
                    let _entered = runtime.enter();
                    Ok(command.spawn())
                })?
            }
        };
        let process = process.context("could not start i2pd")?;
        process.id().into_iter().for_each(crash::watch);
        self.process = Some(process);
        Ok(())
    }

    /// Checks whether its SAM bridge answers. i2pd starts that last, so that router info and keys are on disk by then. Fails if
    /// the router has exited.
    pub async fn try_sam(&mut self) -> Result<Attempt<()>> {
        if let Some(status) = self.exit_status()? {
            let output = fs::read_to_string(self.directory.join("output.log")).unwrap_or_default();
            bail!("i2pd in {} has exited ({status}):\n{output}", self.directory.display());
        }
        Ok(Attempt::of(self.bridge.probe().await.map(drop)))
    }

    /// Kills it. An orderly end takes i2pd up to ten minutes, until its transit tunnels have expired.
    pub async fn kill(&mut self) -> Result<()> {
        self.exit_status()?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().await.context("could not kill i2pd")
    }

    /// Stops its process as SIGSTOP does. Its connections stay open: the kernel acknowledges what it receives.
    pub async fn hang(&self) -> Result<()> {
        self.signal("STOP").await
    }

    /// Lets it continue after [`Self::hang`].
    pub async fn resume(&self) -> Result<()> {
        self.signal("CONT").await
    }

    async fn signal(&self, name: &str) -> Result<()> {
        let process = self.process.as_ref().and_then(Child::id).context("the router does not run")?;
        signals::signal(process, name).await
    }

    /// Returns once the router has exited by itself, and never while it is not running.
    pub async fn exited(&mut self) -> Result<ExitStatus> {
        match &mut self.process {
            Some(process) => {
                let status = process.wait().await.context("lost track of i2pd")?;
                crash::record("i2pd", status);
                Ok(status)
            }
            None => pending().await,
        }
    }

    /// The exit status, if the router has exited by itself.
    fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        let status = process.try_wait().context("lost track of i2pd")?;
        if let Some(status) = status {
            crash::record(&format!("i2pd in {}", self.directory.display()), status);
        }
        Ok(status)
    }

    /// The destination of its server tunnel with this file of keys. i2pd makes the file at its first start.
    pub fn tunnel_destination(&self, keys: &str) -> Result<Destination> {
        destination_in(&self.directory.join(keys))
    }

    fn info(&self) -> Result<Vec<u8>> {
        let path = self.directory.join("router.info");
        fs::read(&path).with_context(|| format!("could not read {}", path.display()))
    }

    /// Makes another router known to this one, as if it had been reseeded with it.
    fn introduce(&self, info: &[u8]) -> Result<()> {
        let name = identity_hash(info)?;
        let first: String = name.chars().take(1).collect();
        let directory = self.directory.join("netDb").join(format!("r{first}"));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("routerInfo-{name}.dat")), info)?;
        Ok(())
    }

    /// Adds host names to its address book. i2pd reads `hosts.txt` at its first start, while it has no address book of its own.
    pub fn add_to_address_book(&self, names: &[(&str, &Destination)]) -> Result<()> {
        let lines = names.iter().map(|(host, destination)| format!("{host}={}\n", destination.to_base64()));
        fs::write(self.directory.join("hosts.txt"), lines.collect::<String>())?;
        Ok(())
    }
}

impl Drop for Router {
    /// Kills it and waits for its end, so that its ports are free for a router of another network.
    fn drop(&mut self) {
        // This records a crash. Nobody could be told of an error.
        let _ = self.exit_status();
        let Some(process) = &mut self.process else { return };
        let (start, _) = (Instant::now(), process.start_kill());
        while matches!(process.try_wait(), Ok(None)) && start.elapsed() < KILL_TIMEOUT {
            thread::sleep(KILL_LOOK_INTERVAL);
        }
    }
}

/// Where the SAM bridge of a router listens.
fn sam_host(index: u16, settings: &Settings) -> String {
    if settings.second_namespace.is_some() { address(index) } else { "127.0.0.1".into() }
}

/// The destination at the front of a file of keys.
fn destination_in(path: &Path) -> Result<Destination> {
    let keys = fs::read(path).with_context(|| format!("no {}", path.display()))?;
    let destination = identity(&keys).context("the keys are cut off")?;
    BASE64.encode(destination).replace('+', "-").replace('/', "~").parse().context("no destination")
}

/// The identity at the front of a router info or of a file of keys: 384 bytes of keys and a certificate of three bytes or more,
/// whose length stands in its second and third byte.
fn identity(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes(bytes.get(385..387)?.try_into().ok()?);
    bytes.get(..387 + usize::from(length))
}

/// The name of a router: the SHA-256 of its identity in I2P's base64.
fn identity_hash(info: &[u8]) -> Result<String> {
    let identity = identity(info).context("a router info is cut off")?;
    ensure!(info.len() > identity.len(), "a router info ends after its identity");
    Ok(BASE64.encode(&Sha256::digest(identity)).replace('+', "-").replace('/', "~"))
}

/// The address of a feed of names that nobody publishes.
const NO_FEED: &str = "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p/hosts.txt";

/// NTCP2 or SSU2, SAM and what `settings` ask for; no clock, no internet.
///
/// The address book stays on, since i2pd crashes at `STREAM CONNECT` without one. Its feeds have an address, since i2pd ends
/// after three minutes with an empty `addressbook.defaulturl`, and with empty `addressbook.subscriptions` when it has names.
fn configuration(index: u16, directory: &Path, settings: &Settings) -> String {
    let &Settings { floodfill, exploratory_hops, socks_port, http_port, proxy_tunnels, ssu2, .. } = settings;
    let ntcp2 = !ssu2;
    let (address, port) = (address(index), FIRST_ROUTER_PORT + index);
    let (sam_host, sam_port) = (sam_host(index, settings), FIRST_SAM_PORT + index);
    let [socks, http] = [socks_port, http_port].map(|port| proxy_options(port, proxy_tunnels));
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
enabled = {ntcp2}
published = {ntcp2}
[ssu2]
enabled = {ssu2}
published = {ssu2}
[upnp]
enabled = false
[nettime]
enabled = false
[http]
enabled = false
[httpproxy]
{http}[socksproxy]
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
"
    )
}

/// The options of a proxy of the router at this port of 127.0.0.1.
fn proxy_options(port: Option<u16>, tunnels: Tunnels) -> String {
    match port {
        None => "enabled = false\n".into(),
        Some(port) => format!("enabled = true\naddress = 127.0.0.1\nport = {port}\n{}", tunnels.options()),
    }
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
    fn a_router_speaks_one_transport() {
        let text = |ssu2| configuration(0, Path::new("/lab"), &Settings { ssu2, ..Settings::default() });
        let of = |ntcp2, ssu2| {
            format!(
                "[ntcp2]\nenabled = {ntcp2}\npublished = {ntcp2}\n[ssu2]\nenabled = {ssu2}\npublished = {ssu2}\n"
            )
        };
        assert!(text(false).contains(&of(true, false)), "{}", text(false));
        assert!(text(true).contains(&of(false, true)), "{}", text(true));
    }

    #[test]
    fn tunnels_are_the_same_each_way() {
        let options = Tunnels { hops: 1, quantity: 2 }.options();
        let expected =
            "inbound.length = 1\noutbound.length = 1\ninbound.quantity = 2\noutbound.quantity = 2\n";
        assert_eq!(options, expected);
    }

    #[test]
    fn a_router_has_proxies_when_asked_for() {
        let text = |socks_port, http_port| {
            let settings = Settings { socks_port, http_port, ..Settings::default() };
            configuration(0, Path::new("/lab"), &settings)
        };
        let without = text(None, None);
        assert!(
            without.contains("[httpproxy]\nenabled = false\n[socksproxy]\nenabled = false\n[sam]"),
            "{without}"
        );
        let with = text(None, Some(4444));
        assert!(with.contains("[httpproxy]\nenabled = true\naddress = 127.0.0.1\nport = 4444\n"), "{with}");
        let with = text(Some(4447), None);
        assert!(with.contains("[socksproxy]\nenabled = true\naddress = 127.0.0.1\nport = 4447\n"), "{with}");
        assert!(with.contains("outbound.quantity = 1\n[sam]"), "{with}");
    }
}

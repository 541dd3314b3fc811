//! A private network of i2pd routers.
//!
//! Shape and settings are what was found to be stable with Debian's 2.45.1: six routers, four of them floodfills,
//! the two whose SAM bridges are used not, tunnels of one hop, first octets that differ (routers do not build
//! tunnels through two addresses of one /16).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use i2p_name::Destination;
use i2p_sam::{Bridge, PrivateKey};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use super::wait::{Attempt, until};
use crate::programs;

/// Routers, and how many of them keep the network database. The SAM bridges used are those of the last two.
const ROUTERS: u16 = 6;
const FLOODFILLS: u16 = 4;
/// The bridge of the first router; the others follow.
const FIRST_SAM_PORT: u16 = 7656;
/// The network's number. Routers of another one, and of the public one (2), are not spoken to.
const NETWORK_ID: u16 = 77;
/// Keys made for the site: more than one, see `super::publish`.
const SITE_KEYS: usize = 3;
/// A router is up within a second.
const START: Duration = Duration::from_secs(30);

/// The keys and names of a site that is yet to be opened.
pub(crate) struct SiteKey {
    /// Its name in the client router's address book.
    pub(crate) host: String,
    /// Its public keys.
    pub(crate) destination: Destination,
    /// Its keys as SAM takes them.
    pub(crate) private: PrivateKey,
}

/// Running routers that know each other. They are killed when this is dropped.
pub(crate) struct Network {
    client: Router,
    site: Router,
    /// They only carry the traffic of the two.
    _others: Vec<Router>,
    site_keys: Vec<SiteKey>,
}

struct Router {
    directory: PathBuf,
    bridge: Bridge,
    process: Option<Child>,
}

/// The routers' addresses.
pub(crate) fn addresses() -> Vec<String> {
    (0..ROUTERS).map(address).collect()
}

fn address(index: u16) -> String {
    format!("{}.1.0.1", 11 + index)
}

impl Network {
    /// Starts the routers, below `lab`. Comes back when their SAM bridges answer; tunnels come later.
    ///
    /// Routers that cannot reseed have to be introduced: each is started once, so that it makes its keys and its
    /// router info, and gets everybody's router info before it is started again.
    pub(crate) async fn start(lab: &Path) -> Result<Self> {
        let mut routers = (0..ROUTERS).map(|index| Router::new(lab, index)).collect::<Result<Vec<_>>>()?;
        start_all(&mut routers, "the routers have keys").await?;
        let site_bridge = routers.last().context("no routers")?.bridge.clone();
        let mut site_keys = Vec::new();
        for number in 1..=SITE_KEYS {
            site_keys.push(SiteKey::generate(&site_bridge, format!("site-{number}.i2p")).await?);
        }
        for router in &mut routers {
            router.kill().await?;
        }
        let infos = routers.iter().map(Router::info).collect::<Result<Vec<_>>>()?;
        for router in &routers {
            infos.iter().try_for_each(|info| router.introduce(info))?;
        }
        let client = routers.iter().rev().nth(1).context("no router for the client")?;
        client.add_to_address_book(&site_keys)?;
        start_all(&mut routers, "the routers answer").await?;
        let site = routers.pop().context("no router for the site")?;
        let client = routers.pop().context("no router for the client")?;
        Ok(Self { client, site, _others: routers, site_keys })
    }

    /// The bridge for the proxy.
    pub(crate) fn client_bridge(&self) -> &Bridge {
        &self.client.bridge
    }

    /// The bridge for the site.
    pub(crate) fn site_bridge(&self) -> &Bridge {
        &self.site.bridge
    }

    /// Keys for the site, to be tried in turn.
    pub(crate) fn site_keys(&self) -> &[SiteKey] {
        &self.site_keys
    }

    /// Ends the proxy's router as a crash would.
    pub(crate) async fn kill_client_router(&mut self) -> Result<()> {
        self.client.kill().await
    }
}

async fn start_all(routers: &mut [Router], what: &str) -> Result<()> {
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

impl SiteKey {
    /// Keys that a router makes. `DEST GENERATE` is not a thing that a SOCKS proxy does, so `i2p-sam` does not have
    /// it.
    async fn generate(bridge: &Bridge, host: String) -> Result<Self> {
        let mut stream = BufReader::new(TcpStream::connect(bridge.address()).await?);
        let mut line = String::new();
        for command in ["HELLO VERSION MIN=3.1 MAX=3.3\n", "DEST GENERATE SIGNATURE_TYPE=7\n"] {
            stream.write_all(command.as_bytes()).await?;
            line.clear();
            stream.read_line(&mut line).await?;
        }
        let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
        let public = field("PUB=").with_context(|| format!("no keys from the router, but {line:?}"))?;
        let private = field("PRIV=").with_context(|| format!("no keys from the router, but {line:?}"))?;
        Ok(Self { host, destination: public.parse()?, private: private.parse()? })
    }
}

impl Router {
    fn new(lab: &Path, index: u16) -> Result<Self> {
        let directory = lab.join(format!("router-{index}"));
        fs::create_dir_all(directory.join("netDb"))?;
        let sam_port = FIRST_SAM_PORT + index;
        fs::write(directory.join("i2pd.conf"), configuration(index, sam_port, &directory))?;
        fs::write(directory.join("tunnels.conf"), "")?;
        let bridge = Bridge::new(format!("127.0.0.1:{sam_port}"));
        Ok(Self { directory, bridge, process: None })
    }

    fn start(&mut self) -> Result<()> {
        let program = programs::find("i2pd").context("i2pd is missing")?;
        let output = fs::File::create(self.directory.join("output.log"))?;
        // Each of these has a place below /etc or /var otherwise, which belongs to the system's own router.
        let at = |option: &str, name: &str| format!("--{option}={}", self.directory.join(name).display());
        let process = Command::new(program)
            .arg(at("datadir", ""))
            .arg(at("conf", "i2pd.conf"))
            .arg(at("tunconf", "tunnels.conf"))
            .arg(at("tunnelsdir", "tunnels.d"))
            .arg(at("certsdir", "certificates"))
            .arg(at("pidfile", "i2pd.pid"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("could not start i2pd")?;
        self.process = Some(process);
        Ok(())
    }

    /// Whether SAM answers: it starts last, so router info and keys are on disk by then. Fails for a router that
    /// has ended.
    async fn is_up(&mut self) -> Result<Attempt<()>> {
        if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().transpose()) {
            let output = fs::read_to_string(self.directory.join("output.log")).unwrap_or_default();
            bail!("i2pd in {} has ended ({}):\n{output}", self.directory.display(), status?);
        }
        Ok(Attempt::of(self.bridge.capabilities().await.map(drop)))
    }

    /// SIGKILL: an orderly end takes i2pd up to ten minutes, while transit tunnels last.
    async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().await.context("could not end i2pd")
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
    fn add_to_address_book(&self, sites: &[SiteKey]) -> Result<()> {
        let lines = sites.iter().map(|site| format!("{}={}\n", site.host, site.destination.to_base64()));
        fs::write(self.directory.join("hosts.txt"), lines.collect::<String>())?;
        Ok(())
    }
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

/// Nothing but NTCP2 and SAM, no clock, no internet. An empty `addressbook.defaulturl` would end i2pd after some
/// minutes, and without an address book it does not survive `STREAM CONNECT`.
fn configuration(index: u16, sam_port: u16, directory: &Path) -> String {
    let address = address(index);
    let floodfill = index < FLOODFILLS;
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
enabled = false
[sam]
enabled = true
address = 127.0.0.1
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
defaulturl = http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p/hosts.txt
subscriptions =
[exploratory]
inbound.length = 1
outbound.length = 1
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
    fn the_routers_of_the_bridges_keep_no_database() {
        let text = |index| configuration(index, 1, Path::new("/lab"));
        assert!(text(0).contains("floodfill = true"));
        assert!(text(ROUTERS - 2).contains("floodfill = false"));
        assert!(text(ROUTERS - 1).contains("floodfill = false"));
    }
}

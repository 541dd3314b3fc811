//! The time to the first byte of an answer on a link with latency, through ours and through i2pd's own SOCKS port.
//!
//! The router of the client is on one side of the link, with our proxy on its SAM bridge and its SOCKS port beside it; all other
//! routers and the site are on the other side. Tunnels have no hops and there is one each way, for both proxies: nothing
//! is measured but what each adds to the round trips.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{
    client,
    measure::{Address, Measure, Results},
    plan::Plan,
    subjects::Subject,
};
use crate::{
    Workspace,
    interop::proxy::{self, Proxy},
    lab::{
        far::Far,
        formation,
        link::Link,
        namespace,
        router::{self, NO_HOPS, Router, Settings, introduce_all, start_all},
        wait::{Attempt, until},
    },
    programs::Program,
};

/// i2pd, which has to be installed.
pub(crate) const I2PD: Program = ("i2pd", "i2pd");
/// How long a packet is under way over the link, each way.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);
/// Routers: the client's, one that keeps the network database, the site's.
const CLIENT: u16 = 0;
const DATABASE: u16 = 1;
const SITE: u16 = 2;
/// The site's name in the client's router, and where its keys are in its own.
const HOST: &str = "site.i2p";
const KEYS: &str = "site.keys";
/// The port that clients ask for. i2pd's SAM does not carry it, and its server tunnel takes any.
const PORT: u16 = 80;
/// How long the site's keys, and then the site itself, may take: 15 s were seen.
const NETWORK: Duration = Duration::from_secs(120);
/// The same tunnels for ours as i2pd's SOCKS port has.
const CONFIGURATION: &str = "[session]\nlength = 0\nquantity = 1\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\npage\n";

/// What came of the link.
pub(crate) enum Latency {
    /// It was there: what a round trip over it took, before and after.
    Was([Duration; 2]),
    /// There is none on this machine, and why.
    Absent(String),
}

/// Lays the link, starts the network and fetches through both, in turns. Blocks; within a runtime.
///
/// Not where the machine has no TUN; all else is a failure.
pub(crate) fn measure(
    workspace: &Workspace,
    lab: &Path,
    plan: &Plan,
    results: &mut Results,
) -> Result<Latency> {
    if let Err(error) = File::options().read(true).write(true).open(TUN) {
        return Ok(Latency::Absent(format!("{TUN}: {error}")));
    }
    let far = Arc::new(Far::new()?);
    let [client, database, site] = [CLIENT, DATABASE, SITE].map(router::address);
    namespace::set_up(std::slice::from_ref(&client))?;
    let beyond = [site, database];
    far.within(|| namespace::set_up(&beyond))?;
    let link = Link::lay(&far, &client, &beyond, LATENCY)?;
    let before = link.round_trip()?;
    let lab = lab.join("latency");
    fs::create_dir_all(&lab)?;
    let network = Handle::current().block_on(Network::start(workspace, &lab, &far))?;
    fetch_in_turns(&link, &network, plan, results)?;
    let after = link.round_trip()?;
    ensure!(link.lost() == 0, "the link had no room for {} packets", link.lost());
    Ok(Latency::Was([before, after]))
}

/// The device that TUN devices are made with.
const TUN: &str = "/dev/net/tun";

/// Pages by both proxies in turns, each turn begun by the other one. Each has the link for itself: what is left of one page, i2pd's
/// routers (Nagle's algorithm) let the next one wait for, by up to two round trips.
fn fetch_in_turns(link: &Link, network: &Network, plan: &Plan, results: &mut Results) -> Result<()> {
    for address in Address::ALL {
        for turn in 0..plan.fetches {
            let mut subjects = [Subject::Ours, Subject::I2pd];
            subjects.rotate_left(turn % 2);
            for subject in subjects {
                link.rest();
                let took = fetch(network.proxy(subject), network.formed.host(address))
                    .with_context(|| format!("{}, {address}", subject.title()))?;
                // The request and its answer cross the link once each, whatever a proxy does.
                ensure!(took >= LATENCY * 2, "a page came in {took:?} over a link of {LATENCY:?} each way");
                results.record(Measure::FirstByte(address), subject, took.as_secs_f64() * 1e3)?;
            }
        }
    }
    Ok(())
}

/// Fetches the page on a new connection: the time from connecting to the proxy until the first byte of the page's answer.
fn fetch(proxy: SocketAddr, host: &str) -> Result<Duration> {
    let begin = Instant::now();
    let mut stream = client::connect(proxy, host, PORT)?;
    stream.write_all(REQUEST).context("the request could not be sent")?;
    let mut answer = vec![0; ANSWER.len()];
    let first = stream.read(&mut answer).context("no answer came")?;
    let took = begin.elapsed();
    stream.read_exact(answer.get_mut(first..).unwrap_or_default()).context("the answer ends early")?;
    ensure!(first > 0 && answer == ANSWER, "the answer is not that of the site");
    Ok(took)
}

/// Routers, and the two proxies on that of the client.
struct Network {
    formed: Formed,
    _proxy: Proxy,
    ours: SocketAddr,
}

/// Routers, and the site on the other side of the link, which was reached without our proxy.
struct Formed {
    routers: Vec<Router>,
    /// The client's router's own SOCKS port.
    theirs: SocketAddr,
    b32: String,
}

impl Network {
    /// Starts all of it. Returns once the site was reached through both proxies by both addresses.
    async fn start(workspace: &Workspace, lab: &Path, far: &Arc<Far>) -> Result<Self> {
        let site = far.within(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))?;
        let site_port = site.local_addr()?.port();
        thread::spawn(move || serve(&site));
        let what = "the network on both sides of the link";
        let formed =
            formation::formed(what, lab, async |lab| Formed::start(lab, far, site_port).await).await?;
        let bridge = formed.routers.first().context("no routers")?.bridge();
        let program = Subject::Ours.program(workspace)?;
        let proxy = Proxy::start(&program, lab, bridge, proxy::ADDRESS, CONFIGURATION).await?;
        let ours = proxy::ADDRESS.parse().context("our address")?;
        formed.is_reached(Subject::Ours, ours).await?;
        Ok(Self { formed, _proxy: proxy, ours })
    }

    fn proxy(&self, subject: Subject) -> SocketAddr {
        if subject == Subject::Ours { self.ours } else { self.formed.theirs }
    }
}

impl Formed {
    /// Starts the routers. Returns once the site was reached through the client's router's own SOCKS port.
    async fn start(lab: &Path, far: &Arc<Far>, site_port: u16) -> Result<Self> {
        let theirs = reserve()?;
        let far = || Some(Arc::clone(far));
        let settings = [
            Settings { socks_port: Some(theirs.port()), ..Settings::default() },
            Settings { floodfill: true, far: far(), ..Settings::default() },
            Settings { tunnels: tunnel(site_port), far: far(), ..Settings::default() },
        ];
        let mut routers = [CLIENT, DATABASE, SITE]
            .into_iter()
            .zip(&settings)
            .map(|(index, settings)| Router::new(lab, index, settings))
            .collect::<Result<Vec<_>>>()?;
        start_all(&mut routers, "routers on both sides of the link have keys").await?;
        let last = routers.last().context("no routers")?;
        let site =
            until("the site has keys", NETWORK, async || Ok(Attempt::of(last.destination_of(KEYS)))).await?;
        introduce_all(&mut routers).await?;
        routers.first().context("no routers")?.add_to_address_book(&[(HOST, &site)])?;
        start_all(&mut routers, "routers on both sides of the link answer").await?;
        let formed = Self { routers, theirs, b32: site.b32().to_string() };
        formed.is_reached(Subject::I2pd, theirs).await?;
        Ok(formed)
    }

    /// Waits until this proxy has fetched the page by both addresses.
    async fn is_reached(&self, subject: Subject, proxy: SocketAddr) -> Result<()> {
        for address in Address::ALL {
            let what = format!("{} reaches the site {address}", subject.title());
            until(&what, NETWORK, async || {
                let host = self.host(address).to_owned();
                Ok(Attempt::of(spawn_blocking(move || fetch(proxy, &host)).await?))
            })
            .await?;
        }
        Ok(())
    }

    fn host(&self, address: Address) -> &str {
        match address {
            Address::Name => HOST,
            Address::B32 => &self.b32,
        }
    }
}

/// The site's server tunnel.
fn tunnel(port: u16) -> String {
    format!("[site]\ntype = server\nhost = 127.0.0.1\nport = {port}\nkeys = {KEYS}\n{NO_HOPS}")
}

/// A port that is free now, for a program that is told which one it has.
fn reserve() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().context("no free port")
}

/// The site, for as long as somebody comes.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        // What goes wrong shows at the client, which is where it is looked for.
        thread::spawn(move || drop(answer(stream)));
    }
}

/// One exchange.
fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = vec![0; REQUEST.len()];
    stream.read_exact(&mut request)?;
    ensure!(request == REQUEST, "another request");
    stream.write_all(ANSWER)?;
    // The client closes first: i2pd may forget what it still has to send when our end goes away.
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routers_are_of_different_networks() {
        let mut first: Vec<_> = [CLIENT, DATABASE, SITE]
            .map(|index| router::address(index).split('.').next().unwrap().to_owned())
            .into();
        first.dedup();
        assert_eq!(first.len(), 3);
    }

    #[test]
    fn the_site_answers_its_request() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(REQUEST).unwrap();
        let mut said = vec![0; ANSWER.len()];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(said, ANSWER);
    }
}

//! Measures the time to the first byte of a response on a link with latency, through our proxy and through i2pd's own SOCKS port.
//!
//! The client's router is on one side of the link, with our proxy on its SAM bridge and with its SOCKS port. All other routers and
//! the site are on the other side. Both proxies have one tunnel each way, without hops. So the difference between them is what
//! each adds to the round trips.

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
use lab::{
    formation,
    namespace::{self, link::Link, second::SecondNamespace},
    ports::free_address,
    proxy::{self, Proxy},
    router::{self, NO_HOPS, Router, Settings, introduce_all, start_all},
    wait::{Attempt, until},
};
use programs::Workspace;
use tokio::{runtime::Handle, task::spawn_blocking};

use crate::{
    client,
    measure::{Address, Measure, Results},
    plan::Plan,
    running,
    subject::Subject,
};

/// How long a packet takes over the link, each way.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);
/// The routers: that of the client, a floodfill, that of the site.
const CLIENT: u16 = 0;
const FLOODFILL: u16 = 1;
const SITE: u16 = 2;
/// The site's name in the address book of the client's router, and the file of its keys in its own router.
const HOST: &str = "site.i2p";
const KEYS: &str = "site.keys";
/// The port in requests. i2pd's SAM drops it, and its server tunnel accepts any.
const PORT: u16 = 80;
/// How long it may take until the site has keys, and then until it is reached. 15 s were seen.
const SITE_TIMEOUT: Duration = Duration::from_secs(120);
/// The tunnels of i2pd's SOCKS port, for our proxy.
const CONFIGURATION: &str = "[session]\nlength = 0\nquantity = 1\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\npage\n";

/// Whether there was a link with latency.
pub(crate) enum LinkCheck {
    /// There was: the round trip over it, before and after the measurement.
    RoundTrips([Duration; 2]),
    /// The machine has no TUN devices, for this reason.
    NoTun(String),
}

/// Makes the link, starts the network and fetches pages through both proxies in turns. Measures nothing on a machine without TUN.
/// Blocks, and needs a runtime.
pub(crate) fn measure(
    workspace: &Workspace,
    lab: &Path,
    plan: &Plan,
    results: &mut Results,
) -> Result<LinkCheck> {
    if let Err(error) = File::options().read(true).write(true).open(TUN) {
        return Ok(LinkCheck::NoTun(format!("{TUN}: {error}")));
    }
    let second = Arc::new(SecondNamespace::new()?);
    let [client, floodfill, site] = [CLIENT, FLOODFILL, SITE].map(router::address);
    namespace::set_up(std::slice::from_ref(&client))?;
    let far = [site, floodfill];
    second.run(|| namespace::set_up(&far))?;
    let link = Link::new(&second, &client, &far, LATENCY)?;
    let before = link.round_trip()?;
    let lab = lab.join("latency");
    fs::create_dir_all(&lab)?;
    let network = Handle::current().block_on(Network::start(workspace, &lab, &second))?;
    fetch_in_turns(&link, &network, plan, results)?;
    let after = link.round_trip()?;
    ensure!(link.dropped_packets() == 0, "the link has dropped {} packets", link.dropped_packets());
    Ok(LinkCheck::RoundTrips([before, after]))
}

/// The device that makes TUN devices.
const TUN: &str = "/dev/net/tun";

/// Fetches pages through both proxies in turns, which they begin alternately. Each page has the link for itself: otherwise packets
/// of the page before delay it in i2pd's routers (Nagle's algorithm) by up to two round trips.
fn fetch_in_turns(link: &Link, network: &Network, plan: &Plan, results: &mut Results) -> Result<()> {
    for address in Address::ALL {
        for turn in 0..plan.fetches {
            let mut subjects = [Subject::Ours, Subject::I2pd];
            subjects.rotate_left(turn % 2);
            for subject in subjects {
                link.wait_for_silence();
                let time = fetch(network.proxy(subject), network.formed.host(address))
                    .with_context(|| format!("{}, {address}", subject.title()))?;
                // Whatever a proxy does, the request and the response cross the link once each.
                ensure!(time >= LATENCY * 2, "a page came in {time:?} over a link of {LATENCY:?} each way");
                results.record(Measure::FirstByte(address), subject, time.as_secs_f64() * 1e3)?;
            }
        }
    }
    Ok(())
}

/// Fetches the page on a new connection. Returns the time from connecting to the proxy until the first byte of the response.
fn fetch(proxy: SocketAddr, host: &str) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = client::connect_to_host(proxy, host, PORT)?;
    stream.write_all(REQUEST).context("the request could not be sent")?;
    let mut response = vec![0; RESPONSE.len()];
    let first = stream.read(&mut response).context("no response came")?;
    let time = start.elapsed();
    stream.read_exact(response.get_mut(first..).unwrap_or_default()).context("the response ends early")?;
    ensure!(first > 0 && response == RESPONSE, "the response is not that of the site");
    Ok(time)
}

/// The routers, and the two proxies on that of the client.
struct Network {
    formed: Formed,
    _proxy: Proxy,
    ours: SocketAddr,
}

/// The routers, and the site on the other side of the link, which was reached without our proxy.
struct Formed {
    routers: Vec<Router>,
    /// The SOCKS port of the client's router.
    theirs: SocketAddr,
    b32: String,
}

impl Network {
    /// Starts all of it. Returns once the site was reached through both proxies by both forms of address.
    async fn start(workspace: &Workspace, lab: &Path, second: &Arc<SecondNamespace>) -> Result<Self> {
        let site = second.run(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))?;
        let site_port = site.local_addr()?.port();
        thread::spawn(move || serve(&site));
        let what = "the network on both sides of the link";
        let formed =
            formation::form(what, lab, async |directory| Formed::start(directory, second, site_port).await);
        let formed = formed.await?;
        let bridge = formed.routers.first().context("no routers")?.bridge();
        let program = running::program(Subject::Ours, workspace)?;
        let proxy = Proxy::start(&program, lab, bridge, proxy::ADDRESS, CONFIGURATION).await?;
        let ours = proxy::ADDRESS.parse().context("the address of our proxy is not valid")?;
        formed.wait_until_reached(Subject::Ours, ours).await?;
        Ok(Self { formed, _proxy: proxy, ours })
    }

    fn proxy(&self, subject: Subject) -> SocketAddr {
        if subject == Subject::Ours { self.ours } else { self.formed.theirs }
    }
}

impl Formed {
    /// Starts the routers. Returns once the site was reached through the SOCKS port of the client's router.
    async fn start(directory: &Path, second: &Arc<SecondNamespace>, site_port: u16) -> Result<Self> {
        let theirs = free_address()?;
        let second = || Some(Arc::clone(second));
        let settings = [
            Settings { socks_port: Some(theirs.port()), ..Settings::default() },
            Settings { floodfill: true, second_namespace: second(), ..Settings::default() },
            Settings { tunnels: tunnel(site_port), second_namespace: second(), ..Settings::default() },
        ];
        let mut routers = [CLIENT, FLOODFILL, SITE]
            .into_iter()
            .zip(&settings)
            .map(|(index, settings)| Router::new(directory, index, settings))
            .collect::<Result<Vec<_>>>()?;
        start_all(&mut routers, "the routers on both sides of the link have keys").await?;
        let last = routers.last().context("no routers")?;
        let site =
            until("the site has keys", SITE_TIMEOUT, async || Ok(Attempt::of(last.tunnel_destination(KEYS))))
                .await?;
        introduce_all(&mut routers).await?;
        routers.first().context("no routers")?.add_to_address_book(&[(HOST, &site)])?;
        start_all(&mut routers, "the routers on both sides of the link answer").await?;
        let formed = Self { routers, theirs, b32: site.b32().to_string() };
        formed.wait_until_reached(Subject::I2pd, theirs).await?;
        Ok(formed)
    }

    /// Waits until this proxy has fetched the page by both forms of address.
    async fn wait_until_reached(&self, subject: Subject, proxy: SocketAddr) -> Result<()> {
        for address in Address::ALL {
            let what = format!("{} reaches the site {address}", subject.title());
            until(&what, SITE_TIMEOUT, async || {
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

/// Serves the site until the process ends.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        // The client notices whatever goes wrong.
        thread::spawn(move || drop(respond(stream)));
    }
}

/// Serves one request.
fn respond(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = vec![0; REQUEST.len()];
    stream.read_exact(&mut request)?;
    ensure!(request == REQUEST, "unexpected request");
    stream.write_all(RESPONSE)?;
    // The client closes first: when our end closes, i2pd may drop what it still has to send.
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_the_routers_differ_in_their_first_octets() {
        let mut first: Vec<_> = [CLIENT, FLOODFILL, SITE]
            .map(|index| router::address(index).split('.').next().unwrap().to_owned())
            .into();
        first.dedup();
        assert_eq!(first.len(), 3);
    }

    #[test]
    fn the_site_responds_to_its_request() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(REQUEST).unwrap();
        let mut response = vec![0; RESPONSE.len()];
        stream.read_exact(&mut response).unwrap();
        assert_eq!(response, RESPONSE);
    }
}

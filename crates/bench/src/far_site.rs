//! A web site behind a link: routers on both sides of it, the site on the far side, and two proxies on the near side.
//!
//! The client's router is on the near side, with our proxy on its SAM bridge and with its own SOCKS port. All other routers and
//! the site are on the far side.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use i2p_name::Destination;
use lab::{
    formation,
    namespace::second::SecondNamespace,
    ports::free_address,
    proxy::{self, Proxy},
    router::{self, Router, Settings, Tunnels, introduce_all, restart_in_turn, start_all},
    wait::{Attempt, until},
};
use tokio::task::spawn_blocking;

use crate::{
    client,
    measure::Address,
    site_server::{self, RESPONSE, Streams},
    subject::Subject,
};

/// The name of the first site in the address book of the client's router.
const HOST: &str = "site.i2p";
/// The port in requests. i2pd's SAM drops it, and its server tunnel accepts any.
const PORT: u16 = 80;
/// How long it may take until the site has keys, and then until it is reached. 15 s were seen without hops.
const SITE_TIMEOUT: Duration = Duration::from_secs(180);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: site\r\n\r\n";

/// The routers of a network beside those of the client and of the site, and its tunnels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Floodfills on the far side. With hops, they are the hops as well.
    pub(crate) floodfills: u16,
    /// Whether a floodfill is on the near side, which the far side cannot reach, see [`Shape::with_denying_floodfill`].
    pub(crate) has_denying_floodfill: bool,
    /// The tunnels of both proxies.
    pub(crate) tunnels: Tunnels,
    /// Destinations of the site. The first one has a name.
    pub(crate) destinations: u16,
    /// Whether routers reach each other over SSU2 instead of NTCP2.
    pub(crate) ssu2: bool,
}

impl Shape {
    /// Tunnels without hops, one destination. Three floodfills, because i2pd 2.59 publishes nothing to a single one, and no longer
    /// asks a floodfill that has not known a destination once.
    pub(crate) const SMALL: Self = Self {
        floodfills: 3,
        has_denying_floodfill: false,
        tunnels: Tunnels::NO_HOPS,
        destinations: 1,
        ssu2: false,
    };

    /// Adds a floodfill that answers the client's router that it knows no site. Sites are not published to it, since nobody on
    /// the far side reaches it, and floodfills there cannot tell it of them.
    pub(crate) const fn with_denying_floodfill(self) -> Self {
        Self { has_denying_floodfill: true, ..self }
    }

    fn routers_of(self) -> u16 {
        self.floodfills + 2
    }

    /// The number of the site's router. That of the client is 0, and those of the floodfills lie between.
    fn site(self) -> u16 {
        self.floodfills + 1
    }

    /// The address of the client's router.
    pub(crate) fn client_address() -> String {
        router::address(0)
    }

    /// The addresses on the near side.
    pub(crate) fn near_addresses(self) -> Vec<String> {
        let denying = self.has_denying_floodfill.then(|| router::address(self.routers_of()));
        [Self::client_address()].into_iter().chain(denying).collect()
    }

    /// The addresses on the far side.
    pub(crate) fn far_addresses(self) -> Vec<String> {
        (1..self.routers_of()).map(router::address).collect()
    }

    /// The settings of all routers, in the order of their numbers.
    fn settings(self, ports: Ports, sites: &str, second: &Arc<SecondNamespace>) -> Vec<Settings> {
        let common =
            || Settings { ssu2: self.ssu2, exploratory_hops: self.tunnels.hops, ..Settings::default() };
        let far = || Settings { second_namespace: Some(Arc::clone(second)), ..common() };
        let client = Settings {
            socks_port: Some(ports.socks.port()),
            http_port: Some(ports.http.port()),
            proxy_tunnels: self.tunnels,
            ..common()
        };
        let floodfills = (0..self.floodfills).map(|_| Settings { floodfill: true, ..far() });
        let site = Settings { tunnels: sites.to_owned(), ..far() };
        let denying = self.has_denying_floodfill.then(|| Settings { floodfill: true, ..common() });
        [client].into_iter().chain(floodfills).chain([site]).chain(denying).collect()
    }

    /// The server tunnels of the site.
    fn server_tunnels(self, port: u16) -> String {
        let Tunnels { hops, quantity } = self.tunnels;
        // With one tunnel, i2pd 2.45 does not publish each destination, see the lab's site.
        let options = Tunnels { hops, quantity: if hops == 0 { quantity } else { 4 } }.options();
        let tunnel = |number| {
            let keys = keys(number);
            format!(
                "[site-{number}]\ntype = server\nhost = 127.0.0.1\nport = {port}\nkeys = {keys}\n{options}"
            )
        };
        (0..self.destinations).map(tunnel).collect()
    }
}

/// Where the proxies of the client's router listen.
#[derive(Debug, Clone, Copy)]
struct Ports {
    socks: SocketAddr,
    http: SocketAddr,
}

/// The file of the keys of a destination, in the directory of its router.
fn keys(number: u16) -> String {
    format!("site-{number}.keys")
}

/// The routers, the site, and the two proxies on the router of the client.
pub(crate) struct FarSite {
    formed: Formed,
    streams: Arc<Streams>,
    _proxy: Proxy,
    ours: SocketAddr,
}

impl FarSite {
    /// Starts all of it. Returns once the site was reached through both proxies by both forms of address.
    pub(crate) async fn start(
        program: &Path,
        lab: &Path,
        second: &Arc<SecondNamespace>,
        shape: Shape,
    ) -> Result<Self> {
        let site = second.run(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))?;
        let site_port = site.local_addr()?.port();
        let streams = site_server::start(site);
        let what = "the network on both sides of the link";
        let formed = formation::form(what, lab, async |directory| {
            Formed::start(directory, second, site_port, shape).await
        });
        let formed = formed.await?;
        let bridge = formed.routers.first().context("no routers")?.bridge();
        let Tunnels { hops, quantity } = shape.tunnels;
        let configuration = format!("[session]\nlength = {hops}\nquantity = {quantity}\n");
        let proxy = Proxy::start(program, lab, bridge, proxy::ADDRESS, &configuration).await?;
        let ours = proxy::ADDRESS.parse().context("the address of our proxy is not valid")?;
        formed.wait_until_reached(Subject::Ours, ours).await?;
        Ok(Self { formed, streams, _proxy: proxy, ours })
    }

    /// The address of a proxy.
    pub(crate) fn proxy(&self, subject: Subject) -> SocketAddr {
        if subject == Subject::Ours { self.ours } else { self.formed.ports.socks }
    }

    /// The address of the HTTP proxy: of our proxy, or of the client's router.
    pub(crate) fn http_proxy(&self, subject: Subject) -> SocketAddr {
        if subject == Subject::Ours { self.ours } else { self.formed.ports.http }
    }

    /// The streams of clients to the site.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The first destination in this form.
    pub(crate) fn host(&self, address: Address) -> &str {
        self.formed.host(address)
    }

    /// The base32 addresses of all destinations.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.formed.b32
    }

    /// The routers on the far side: the floodfills, and that of the site.
    pub(crate) fn far_routers(&self, shape: Shape) -> (&[Router], Option<&Router>) {
        let site = usize::from(shape.site());
        (self.formed.routers.get(1..site).unwrap_or_default(), self.formed.routers.get(site))
    }
}

/// The routers, and the site, which was reached without our proxy.
struct Formed {
    routers: Vec<Router>,
    ports: Ports,
    b32: Vec<String>,
}

impl Formed {
    /// Starts the routers. Returns once the site was reached through the SOCKS port of the client's router.
    async fn start(
        directory: &Path,
        second: &Arc<SecondNamespace>,
        site_port: u16,
        shape: Shape,
    ) -> Result<Self> {
        let ports = Ports { socks: free_address()?, http: free_address()? };
        let settings = shape.settings(ports, &shape.server_tunnels(site_port), second);
        let mut routers = (0..)
            .zip(&settings)
            .map(|(index, settings)| Router::new(directory, index, settings))
            .collect::<Result<Vec<_>>>()?;
        start_all(&mut routers, "the routers on both sides of the link have keys").await?;
        let site = routers.get(usize::from(shape.site())).context("no router for the site")?;
        let sites = until("the site has keys", SITE_TIMEOUT, async || {
            let sites = (0..shape.destinations).map(|number| site.tunnel_destination(&keys(number)));
            Ok(Attempt::of(sites.collect::<Result<Vec<Destination>>>()))
        });
        let sites = sites.await?;
        let first = sites.first().context("the site has no destination")?;
        routers.first().context("no routers")?.add_to_address_book(&[(HOST, first)])?;
        let what = "the routers on both sides of the link answer";
        if shape.ssu2 {
            // The floodfills and the site first, the client last.
            routers.rotate_left(1);
            restart_in_turn(&mut routers, what).await?;
            routers.rotate_right(1);
        } else {
            introduce_all(&mut routers).await?;
            start_all(&mut routers, what).await?;
        }
        let b32 = sites.iter().map(|site| site.b32().to_string()).collect();
        let formed = Self { routers, ports, b32 };
        formed.wait_until_reached(Subject::I2pd, ports.socks).await?;
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
            Address::B32 => self.b32.first().map(String::as_str).unwrap_or_default(),
        }
    }
}

/// Fetches the page on a new connection. Returns the time from connecting to the proxy until the first byte of the response.
pub(crate) fn fetch(proxy: SocketAddr, host: &str) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = connect(proxy, host, None)?;
    Ok(read_page(&mut stream)? - start)
}

/// Connects to a site through a proxy, as this user.
pub(crate) fn connect(proxy: SocketAddr, host: &str, user: Option<&str>) -> Result<TcpStream> {
    client::connect_to_host(proxy, host, PORT, user)
}

/// Requests the page on an open stream and reads it. Returns when its first byte arrived.
pub(crate) fn read_page(stream: &mut TcpStream) -> Result<Instant> {
    stream.write_all(REQUEST).context("the request could not be sent")?;
    let mut response = vec![0; RESPONSE.len()];
    let first = stream.read(&mut response).context("no response came")?;
    let arrived = Instant::now();
    stream.read_exact(response.get_mut(first..).unwrap_or_default()).context("the response ends early")?;
    ensure!(first > 0 && response == RESPONSE, "the response is not that of the site");
    Ok(arrived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_have_addresses_on_one_side_each() {
        let shape = Shape { floodfills: 2, ..Shape::SMALL };
        assert_eq!(shape.near_addresses(), ["11.1.0.1"]);
        assert_eq!(shape.far_addresses(), ["12.1.0.1", "13.1.0.1", "14.1.0.1"]);
        let denying = shape.with_denying_floodfill();
        assert_eq!(denying.near_addresses(), ["11.1.0.1", "15.1.0.1"]);
        assert_eq!(denying.far_addresses(), shape.far_addresses());
    }

    #[test]
    fn each_destination_has_a_server_tunnel() {
        let text = Shape { destinations: 2, ..Shape::SMALL }.server_tunnels(8080);
        assert!(text.contains("port = 8080\nkeys = site-0.keys\ninbound.length = 0\n"), "{text}");
        assert!(text.contains("[site-1]\n") && text.contains("keys = site-1.keys\n"), "{text}");
    }
}

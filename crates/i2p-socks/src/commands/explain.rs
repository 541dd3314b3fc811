//! `explain HOST PORT`: where a request would go, which route decides it, and what filters it. Everything is in the configuration; nothing is sent to
//! I2P.

use std::net::IpAddr;

use i2p_name::{I2pName, NameError, NamedTarget, Target, VirtualOptions};
use i2p_tunnel::{Comparison, FilterProtocol, FilterVerdict, OutsideHost, Routes, Verdict, is_own_host};
use serde::Serialize;

use super::{PORT_IS_AN_ARGUMENT, host_advice, remark_other_configuration};
use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelConfig},
    daemon::orders::ROUTING_PATH,
    terminal::output::{Format, print},
};

/// Why most streams are not filtered.
const NO_FILTER: &str = "no [[filter]] matches";

/// The way of one request.
#[derive(Debug, Serialize)]
struct Explanation {
    /// The host in canonical form, or as the user wrote it if it has none.
    host: String,
    port: u16,
    /// What kind of host it is.
    form: String,
    /// The routes that were compared, up to the one that decides.
    routes: Vec<Compared>,
    decision: Decision,
    /// The decision in words.
    why: String,
    /// The outproxies that are asked, in order.
    outproxies: Vec<Asked>,
    /// What filters the stream, for each tunnel.
    filters: Vec<Filtered>,
}

/// What filters a stream of a tunnel.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Filtered {
    tunnel: String,
    /// The filter of ordinary clients; `None`: none.
    clients: Option<&'static str>,
    /// That of contained programs.
    contained_programs: Option<&'static str>,
    /// What decides, for contained programs.
    why: String,
}

impl Filtered {
    fn of(config: &Config, tunnel: &TunnelConfig, (target, port): (&Target, u16)) -> Self {
        let filters = config.filters(tunnel);
        let [clients, contained] = [false, true].map(|by_port| filters.decide(target, port, by_port));
        let why = match contained {
            FilterVerdict::Rule { number, .. } => format!("filter {number} decides"),
            FilterVerdict::Port(_) => format!("port {port} decides for contained programs"),
            FilterVerdict::None => NO_FILTER.to_owned(),
        };
        let name = |verdict: FilterVerdict| verdict.protocol().map(FilterProtocol::as_str);
        let tunnel = tunnel.name().to_owned();
        Self { tunnel, clients: name(clients), contained_programs: name(contained), why }
    }

    fn line(&self) -> String {
        let word = |filter: Option<&'static str>| filter.unwrap_or("none");
        let (clients, contained) = (word(self.clients), word(self.contained_programs));
        let of = match clients == contained {
            true => clients.to_owned(),
            false => format!("{clients}, of programs under exec {contained}"),
        };
        format!("filter of tunnel {}: {of} ({})\n", self.tunnel, self.why)
    }
}

/// Where the request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    /// The proxy answers itself.
    Proxy,
    I2p,
    Outproxies,
    Refused,
}

/// A route, compared with the request.
#[derive(Debug, Serialize)]
struct Compared {
    /// The number of the route, from 1.
    route: usize,
    says: String,
    outcome: &'static str,
}

/// An outproxy that is asked.
#[derive(Debug, Serialize)]
struct Asked {
    name: String,
    /// Its protocol and address.
    what: String,
}

/// Prints where a request would go.
pub(crate) async fn run(config: &Config, host: &str, port: u16, format: Format) -> Result<(), CommandError> {
    let explanation = Explanation::of(config, host, port)?;
    remark_other_configuration(
        config,
        "other routes, outproxies, virtual addresses or filters",
        |proxy| async move {
            let number: u64 = proxy.ask(ROUTING_PATH, &()).await?;
            Ok(number == config.routing_number())
        },
    )
    .await;
    print(&format.render(&explanation, Explanation::to_text)?)
}

impl Explanation {
    fn of(config: &Config, host: &str, port: u16) -> Result<Self, CommandError> {
        let target = match Target::parse(host.as_bytes()) {
            Ok(target) => target,
            Err(error) => {
                // Escaped as a Rust string, so that nothing in it controls a terminal.
                let explanation =
                    Self::new(format!("{host:?}"), port, "neither a name nor an address".into());
                let why = match error {
                    NameError::MalformedHost(_) => error.to_string(),
                    _ => format!("it is malformed: {error}"),
                };
                return Ok(explanation.refused(format!("{why}{}", host_advice(host, PORT_IS_AN_ARGUMENT))));
            }
        };
        let explanation = match &target {
            Target::I2p(name) if is_own_host(host.as_bytes()) => {
                let why = "plain HTTP requests get its own pages, which never leave it; SOCKS and CONNECT requests are refused";
                let own = Self::new(name.to_string(), port, "the proxy itself".into());
                Self { decision: Decision::Proxy, why: why.into(), ..own }
            }
            Target::I2p(name) => Self::new(name.to_string(), port, form(name).into())
                .into_i2p("names in I2P go there and nowhere else"),
            Target::Ip(address) => {
                let options = config.virtual_addresses.options()?;
                match means(&options, *address) {
                    Some(Meaning::Target(mapped)) => {
                        let form = format!("an address that stands for {mapped}, by [virtual-addresses.map]");
                        let explanation = Self::new(address.to_string(), port, form);
                        match mapped {
                            NamedTarget::I2p(_) => explanation.into_i2p("it stands for a name in I2P"),
                            host @ NamedTarget::ClearNet(_) => explanation.routed(config, &host.into()),
                        }
                    }
                    Some(Meaning::Virtual) => {
                        let why = "for the client that got it from RESOLVE, it stands for a name in I2P; other clients are refused";
                        Self::new(address.to_string(), port, "a virtual address".into()).into_i2p(why)
                    }
                    None => {
                        Self::new(address.to_string(), port, "an IP address".into()).routed(config, &target)
                    }
                }
            }
            Target::ClearNet(name) => {
                let form = match OutsideHost::is_near_target(&target) {
                    true => "a host of this machine or of a local network",
                    false => "a host outside I2P",
                };
                Self::new(name.as_str().into(), port, form.into()).routed(config, &target)
            }
            _ => Self::new(host.into(), port, "something else".into())
                .refused("this version does not know this kind of host".into()),
        };
        Ok(explanation.filtered(config, &target))
    }

    /// With what filters the stream, if it goes anywhere.
    fn filtered(self, config: &Config, target: &Target) -> Self {
        if !matches!(self.decision, Decision::I2p | Decision::Outproxies) {
            return self;
        }
        let tunnels = config.tunnels();
        let of = |tunnel| Filtered::of(config, tunnel, (target, self.port));
        Self { filters: tunnels.iter().map(of).collect(), ..self }
    }

    fn new(host: String, port: u16, form: String) -> Self {
        let (routes, outproxies, filters) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            host,
            port,
            form,
            routes,
            decision: Decision::Refused,
            why: String::new(),
            outproxies,
            filters,
        }
    }

    fn refused(self, why: String) -> Self {
        Self { why, ..self }
    }

    fn into_i2p(self, why: &str) -> Self {
        Self { decision: Decision::I2p, why: why.into(), ..self }
    }

    /// With the decision of the routes.
    fn routed(mut self, config: &Config, target: &Target) -> Self {
        let routes = config.routes();
        let verdict = routes.decide(target, self.port);
        let decides = match verdict {
            Verdict::Outproxies { route, .. } | Verdict::Rejected { route } => Some(route),
            _ => None,
        };
        if let Some(host) = OutsideHost::of(target) {
            self.compare(&routes, host, decides);
        }
        (self.decision, self.why) = match verdict {
            Verdict::I2p => (Decision::I2p, String::new()),
            Verdict::Outproxies { route, names, .. } => {
                let named = names
                    .iter()
                    .filter_map(|name| config.outproxy.iter().find(|known| *known.name() == **name));
                self.outproxies =
                    named.map(|known| Asked { name: known.name().into(), what: known.to_string() }).collect();
                let why = match names {
                    [_] => format!("route {} sends it to an outproxy", route + 1),
                    _ => format!(
                        "route {} sends it to the first of these outproxies that connects; the one that served this client for \
                         this host before is asked first, and one that keeps failing is skipped",
                        route + 1
                    ),
                };
                (Decision::Outproxies, why)
            }
            Verdict::Rejected { route } => (Decision::Refused, format!("route {} refuses it", route + 1)),
            Verdict::NoRoute if OutsideHost::is_near_target(target) => (
                Decision::Refused,
                "no route leads to this machine or to its network. Programs reach such hosts without a proxy: see no_proxy in \
                 docs/programs.md"
                    .into(),
            ),
            Verdict::NoRoute if routes.as_slice().is_empty() => (
                Decision::Refused,
                "the configuration has no [[route]], so only names in I2P are served".into(),
            ),
            Verdict::NoRoute => (Decision::Refused, "no route matches".into()),
        };
        self
    }

    fn compare(&mut self, routes: &Routes, host: OutsideHost<'_>, decides: Option<usize>) {
        let compared = routes.as_slice().iter().take(decides.map_or(usize::MAX, |route| route + 1));
        self.routes = compared
            .enumerate()
            .map(|(index, route)| {
                let outcome = match route.compare(host, self.port) {
                    Comparison::Matches => "decides",
                    Comparison::OtherHost => "is for other hosts",
                    Comparison::OtherPort => "is for other ports",
                    Comparison::LocalHost => spared(host),
                };
                Compared { route: index + 1, says: route.to_string(), outcome }
            })
            .collect();
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} is {}\n", self.host, self.form);
        for Compared { route, says, outcome } in &self.routes {
            text += &format!("  route {route} ({says}) {outcome}\n");
        }
        let decision = match self.decision {
            Decision::Proxy => "is answered by the proxy",
            Decision::I2p => "goes to I2P",
            Decision::Outproxies => "goes to an outproxy",
            Decision::Refused => "is refused",
        };
        text += &format!("port {} {decision}: {}\n", self.port, self.why);
        for Asked { name, what } in &self.outproxies {
            text += &format!("  outproxy {name}: {what}\n");
        }
        // A line that says nothing of interest is left out.
        let of_interest = |filtered: &&Filtered| filtered.why != NO_FILTER;
        text.extend(self.filters.iter().filter(of_interest).map(Filtered::line));
        text
    }
}

/// Why a route leaves out this host, and how to write one that includes it.
fn spared(host: OutsideHost<'_>) -> &'static str {
    match host.name() {
        None => "leaves out your own network: to include it, name the address or its range as host",
        Some(name) if name == "onion" || name.ends_with(".onion") => {
            "leaves out Tor's names (RFC 7686): to include them, write host = \"*.onion\""
        }
        Some(_) => {
            "leaves out names of your own network, which are names without a dot, .local, .lan, .home.arpa and the like: to \
             include them, name the host or its domain, such as *.lan"
        }
    }
}

fn form(name: &I2pName) -> &'static str {
    match name {
        I2pName::Host(_) => "a host name in I2P",
        I2pName::B32(_) => "a base32 address in I2P",
        I2pName::Blinded(_) => "a base32 address of an encrypted lease set",
        I2pName::Destination(_) => "a destination",
    }
}

/// What a virtual address means.
enum Meaning {
    Target(NamedTarget),
    Virtual,
}

fn means(options: &VirtualOptions, address: IpAddr) -> Option<Meaning> {
    let is_virtual = match address {
        IpAddr::V4(address) => options.ranges.v4().is_some_and(|range| range.contains(&address)),
        IpAddr::V6(address) => options.ranges.v6().is_some_and(|range| range.contains(&address)),
    };
    let mapped = options.map.get(&address).cloned().map(Meaning::Target);
    mapped.or(is_virtual.then_some(Meaning::Virtual))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
        [[outproxy]]
        name = 'tor'
        at = '127.0.0.1:9050'
        via = 'tcp'
        protocol = 'socks5'
        [[outproxy]]
        name = 'exit'
        at = 'exit.example.i2p'
        protocol = 'http-connect'
        [[route]]
        host = '*.onion'
        via = ['tor']
        [[route]]
        port = 25
        via = 'reject'
        [[route]]
        port = '80,443'
        via = ['exit', 'tor']
        [virtual-addresses.map]
        '192.0.2.80' = 'site.i2p'
    ";

    fn explanation(host: &str, port: u16) -> Explanation {
        Explanation::of(&toml::from_str(CONFIG).unwrap(), host, port).unwrap()
    }

    #[test]
    fn every_kind_of_decision() {
        for (host, port, decision, says) in [
            ("Example.COM", 443, Decision::Outproxies, "route 3"),
            ("a.onion", 1, Decision::Outproxies, "route 1"),
            ("example.com", 25, Decision::Refused, "route 2"),
            ("example.com", 22, Decision::Refused, "no route"),
            ("10.0.0.1", 80, Decision::Refused, "no route leads to this machine or to its network"),
            ("localhost", 443, Decision::Refused, "reach such hosts without a proxy"),
            ("a.invalid", 443, Decision::Refused, "no route matches"),
            ("KNOWN.i2p.", 25, Decision::I2p, "nowhere else"),
            ("Proxy.i2p.", 80, Decision::Proxy, "SOCKS and CONNECT requests are refused"),
            ("192.0.2.80", 25, Decision::I2p, "stands for"),
            ("250.1.2.3", 80, Decision::I2p, "RESOLVE"),
            ("a b", 80, Decision::Refused, "malformed"),
            ("http://a.i2p/", 80, Decision::Refused, "Give a host name, not a URL"),
            ("a.i2p:80", 80, Decision::Refused, "the port is a second argument"),
            ("2130706433", 80, Decision::Refused, "malformed"),
            ("bad_name..i2p", 80, Decision::Refused, "the host name is malformed: a character"),
        ] {
            let explanation = explanation(host, port);
            assert_eq!(explanation.decision, decision, "{host}:{port} {explanation:?}");
            assert!(explanation.why.contains(says), "{host}:{port} {explanation:?}");
        }
    }

    #[test]
    fn the_text_names_the_routes_and_the_outproxies() {
        assert_eq!(
            explanation("example.com", 80).to_text(),
            "example.com is a host outside I2P\n  \
             route 1 (host *.onion, all ports, via tor) is for other hosts\n  \
             route 2 (host *, port 25, reject) is for other ports\n  \
             route 3 (host *, port 80,443, via exit, tor) decides\n\
             port 80 goes to an outproxy: route 3 sends it to the first of these outproxies that connects; the one that served \
             this client for this host before is asked first, and one that keeps failing is skipped\n  \
             outproxy exit: HTTP CONNECT, through I2P: exit.example.i2p\n  \
             outproxy tor: SOCKS5, over TCP: 127.0.0.1:9050\n\
             filter of tunnel default: none, of programs under exec http (port 80 decides for contained programs)\n"
        );
        let local = explanation("127.0.0.1", 80).to_text();
        assert!(
            local.contains("route 3 (host *, port 80,443, via exit, tor) leaves out your own network"),
            "{local}"
        );
        for host in ["nas.local", "router"] {
            let local = explanation(host, 80);
            assert_eq!(local.decision, Decision::Refused, "{host}");
            assert!(local.to_text().contains("leaves out names of your own network"), "{local:?}");
        }
        let exit = CONFIG.replace("'*.onion'", "'*.example'");
        let onion = Explanation::of(&toml::from_str(&exit).unwrap(), "abc.onion", 80).unwrap();
        assert_eq!(onion.decision, Decision::Refused);
        assert!(onion.to_text().contains("leaves out Tor's names (RFC 7686)"), "{onion:?}");
        assert!(
            explanation("LocalHost", 80)
                .to_text()
                .starts_with("localhost is a host of this machine or of a local network\n")
        );
        let nothing = Explanation::of(&Config::default(), "example.com", 80).unwrap().to_text();
        assert_eq!(
            nothing,
            "example.com is a host outside I2P\nport 80 is refused: the configuration has no [[route]], so only names in I2P are served\n"
        );
        assert!(explanation("a\u{1b}[2J", 80).to_text().starts_with("\"a\\u{1b}[2J\" is neither a name nor"));
    }

    #[test]
    fn filters_are_named_with_what_decides() {
        let text = "[[tunnel]]\nname = 'a'\n[[tunnel]]\nname = 'b'\nlisten = '127.0.0.1:1'\n\
                    [[filter]]\nport = '6667,7000'\ntunnel = 'b'\nprotocol = 'irc'\n\
                    [[filter]]\nport = 25\nprotocol = 'none'\n";
        let lines = |port| {
            let text = Explanation::of(&toml::from_str(text).unwrap(), "irc.i2p", port).unwrap().to_text();
            text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(6667),
            [
                "filter of tunnel a: none, of programs under exec irc (port 6667 decides for contained programs)",
                "filter of tunnel b: irc (filter 1 decides)"
            ]
        );
        assert_eq!(lines(7000), ["filter of tunnel b: irc (filter 1 decides)"]);
        assert_eq!(
            lines(25),
            ["filter of tunnel a: none (filter 2 decides)", "filter of tunnel b: none (filter 2 decides)"]
        );
        assert!(lines(22).is_empty());
        let config = toml::from_str("[[filter]]\nport = 1\nprotocol = 'irc'\n").unwrap();
        let json = serde_json::to_value(Explanation::of(&config, "irc.i2p", 1).unwrap()).unwrap();
        let expected = serde_json::json!({
            "tunnel": "default", "clients": "irc", "contained-programs": "irc", "why": "filter 1 decides"
        });
        assert_eq!(json["filters"], serde_json::json!([expected]));
    }

    #[test]
    fn json_has_all_of_it() {
        let json = serde_json::to_value(explanation("198.51.100.7", 443)).unwrap();
        assert_eq!(json["decision"], "outproxies");
        assert_eq!((&json["host"], &json["port"]), (&"198.51.100.7".into(), &443.into()));
        assert_eq!(json["routes"][2]["outcome"], "decides");
        assert_eq!(json["outproxies"][1]["name"], "tor");
    }
}

//! A file for browsers (proxy auto-config) that says which hosts they come to this proxy for.

use std::net::{IpAddr, SocketAddr};

use i2p_tunnel::{HostPatternKind, LOCAL_DOMAINS, LOCAL_NETWORKS, ListenAt, PortSet};
use ipnet::IpNet;
use serde::Serialize;

use crate::{
    config::{Config, admin::PacRest},
    failure::Failure,
    place::reachable,
};

/// How a browser decides where hosts are not sent here in any case. ECMAScript 5: engines outside browsers read such files too.
const HOSTS: &str = include_str!("hosts.js");

/// Why there is none.
pub(crate) const NO_TUNNEL: &str = "a browser can use none of the tunnels: it needs one with an IP:PORT under listen, with socks5 \
    among its protocols, and without auth = \"required\", since browsers send SOCKS proxies no password";

/// The name of a tunnel, and a place on TCP where it listens.
pub(crate) type Listener = (String, SocketAddr);

/// What the configuration says to browsers.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxyAutoConfig {
    /// The tunnels that a browser can use.
    tunnels: Vec<String>,
    /// What comes here where the rest does not; none: everything comes here.
    some: Option<Vec<Coming>>,
}

/// Requests that come to the proxy.
#[derive(Debug, Clone, Serialize)]
struct Coming {
    hosts: WrittenHosts,
    ports: Vec<(u16, u16)>,
    spares_local: bool,
}

/// [`HostPatternKind`] as the script has them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum WrittenHosts {
    All,
    Glob(String),
    Below(String),
    Name(String),
    Range(WrittenRange),
}

/// A range of addresses: those whose first `length` bits are these.
#[derive(Debug, Clone, Serialize)]
struct WrittenRange {
    bytes: Vec<u8>,
    length: u8,
}

impl ProxyAutoConfig {
    /// What this configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        let tunnels = config.tunnels();
        let usable = tunnels.iter().filter(|tunnel| tunnel.serves_browsers());
        let some = match config.admin.pac_rest {
            PacRest::Proxy => None,
            // With virtual addresses that are not possible nothing runs; if it did, everything would come here.
            PacRest::Direct => coming(config).ok(),
        };
        Self { tunnels: usable.map(|tunnel| tunnel.name().to_owned()).collect(), some }
    }

    /// The file, where these are the tunnels' listeners on TCP; none, if a browser can use none of them. Those of this machine go first.
    ///
    /// A browser that finds the proxy away has no second way: no other entry follows, `DIRECT` least of all. Nor does
    /// `SOCKS`, which is SOCKS4 to Chromium, for which it asks DNS for the host.
    pub(crate) fn file(&self, listeners: &[Listener]) -> Option<String> {
        let usable = || listeners.iter().filter(|(tunnel, _)| self.tunnels.contains(tunnel));
        let of_this_machine = usable().find(|(_, address)| address.ip().is_loopback());
        let (_, here) = of_this_machine.or_else(|| usable().next())?;
        let here = written(&format!("SOCKS5 {}", reachable(*here)));
        Some(match &self.some {
            None => format!("function FindProxyForURL(url, host) {{\n  return {here};\n}}\n"),
            Some(rules) => {
                let local: Vec<_> = LOCAL_NETWORKS.iter().copied().map(WrittenRange::from).collect();
                format!(
                    "var HERE = {here};\nvar LOCAL = {};\nvar LOCAL_DOMAINS = {};\nvar RULES = {};\n\n{HOSTS}",
                    written(&local),
                    written(LOCAL_DOMAINS),
                    written(rules)
                )
            }
        })
    }
}

/// The file for a proxy that listens as the configuration says.
///
/// # Errors
/// A browser could use no listener whose port is known.
pub(crate) fn configured(config: &Config) -> Result<String, Failure> {
    let mut listeners = Vec::new();
    for tunnel in config.tunnels() {
        for at in tunnel.listen()? {
            match at {
                ListenAt::Tcp(address) if address.port() != 0 => {
                    listeners.push((tunnel.name().to_owned(), address));
                }
                _ => {}
            }
        }
    }
    ProxyAutoConfig::of(config).file(&listeners).ok_or_else(|| Failure::usage(NO_TUNNEL))
}

/// What the proxy does something with, if only to refuse it by a rule: all but what no rule matches. So the order does not
/// count any more.
fn coming(config: &Config) -> Result<Vec<Coming>, Failure> {
    let virtual_addresses = config.virtual_addresses.options()?;
    let ranges = virtual_addresses.ranges;
    let ranges = [ranges.v4().map(IpNet::from), ranges.v6().map(IpNet::from)].into_iter().flatten();
    let mapped = virtual_addresses.map.keys().map(|address| IpNet::from(address.to_canonical()));
    let addresses = ranges.chain(mapped).map(|range| Coming {
        hosts: WrittenHosts::Range(range.into()),
        ports: ports(&PortSet::all()),
        spares_local: false,
    });
    let routes = config.routes();
    let rules = routes.rules().iter().map(|rule| Coming {
        hosts: rule.host.kind().into(),
        ports: ports(&rule.ports),
        spares_local: rule.excludes_local_hosts(),
    });
    Ok(addresses.chain(rules).collect())
}

fn ports(ports: &PortSet) -> Vec<(u16, u16)> {
    ports.ranges().iter().map(|range| (*range.start(), *range.end())).collect()
}

impl From<HostPatternKind<'_>> for WrittenHosts {
    fn from(hosts: HostPatternKind<'_>) -> Self {
        match hosts {
            HostPatternKind::All => Self::All,
            HostPatternKind::Glob(text) => Self::Glob(text.to_owned()),
            HostPatternKind::Below(parent) => Self::Below(parent.to_owned()),
            HostPatternKind::Name(name) => Self::Name(name.to_owned()),
            HostPatternKind::Range(range) => Self::Range(range.into()),
        }
    }
}

impl From<IpNet> for WrittenRange {
    fn from(range: IpNet) -> Self {
        let bytes = match range.network() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        Self { bytes, length: range.prefix_len() }
    }
}

/// As a literal of JavaScript, in ASCII alone: JSON, which is one wherever two ends of lines of Unicode's are not plain.
fn written<T: Serialize + ?Sized>(value: &T) -> String {
    // Text, numbers and lists of them always have a form.
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    let mut script = String::with_capacity(json.len());
    for unit in json.encode_utf16() {
        match char::from_u32(unit.into()).filter(char::is_ascii) {
            Some(ascii) => script.push(ascii),
            None => script += &format!("\\u{unit:04x}"),
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "
        [[outproxy]]
        name = 'tor'
        at = '127.0.0.1:9050'
        via = 'tcp'
        protocol = 'socks5'
        [[route]]
        host = '*.example.com'
        port = '80,8000-8999'
        via = ['tor']
        [[route]]
        host = '2001:db8::/33'
        via = 'reject'
    ";

    fn file(text: &str, listeners: &[(&str, &str)]) -> Option<String> {
        let listeners: Vec<_> = listeners
            .iter()
            .map(|(tunnel, address)| ((*tunnel).to_owned(), address.parse().unwrap()))
            .collect();
        ProxyAutoConfig::of(&toml::from_str(text).unwrap()).file(&listeners)
    }

    const HERE: [(&str, &str); 1] = [("default", "127.0.0.1:4450")];

    #[test]
    fn unless_told_otherwise_everything_comes_here() {
        for text in ["", ROUTES] {
            assert_eq!(
                file(text, &HERE).unwrap(),
                "function FindProxyForURL(url, host) {\n  return \"SOCKS5 127.0.0.1:4450\";\n}\n"
            );
        }
    }

    #[test]
    fn what_a_rule_names_comes_here_and_the_rest_goes_by_itself_if_told_so() {
        let file = file(&format!("{ROUTES}[admin]\npac-rest = 'direct'\n"), &HERE).unwrap();
        for part in [
            "var HERE = \"SOCKS5 127.0.0.1:4450\";\n",
            "{\"hosts\":{\"range\":{\"bytes\":[250,0,0,0],\"length\":8}},\"ports\":[[1,65535]],\"spares_local\":false}",
            "{\"hosts\":{\"glob\":\"*.example.com\"},\"ports\":[[80,80],[8000,8999]],\"spares_local\":true}",
            "{\"hosts\":{\"range\":{\"bytes\":[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,0],\"length\":33}}",
            "var LOCAL_DOMAINS = [\"localhost\",\"local\",\"home.arpa\",",
            "var LOCAL = [{\"bytes\":[0,0,0,0],\"length\":8},",
        ] {
            assert!(file.contains(part), "{part} is not in\n{file}");
        }
        assert_eq!(file.matches("DIRECT").count(), 1);
        // What asks DNS for the host, SOCKS4 among it, and what outproxies are called and where they are.
        for part in [
            "isInNet",
            "dns",
            "isResolvable",
            "myIp",
            "dateRange",
            "SOCKS ",
            "SOCKS4",
            "PROXY",
            "tor\"",
            "9050",
        ] {
            assert!(!file.contains(part), "{part} is in\n{file}");
        }
    }

    #[test]
    fn it_names_a_listener_that_browsers_can_use() {
        let tunnel = |name: &str, more: &str| format!("[[tunnel]]\nname = '{name}'\n{more}\n");
        let some = tunnel("users", "auth = 'required'\nusers-file = '/x'")
            + &tunnel("http", "protocols = ['http-connect', 'socks4a']")
            + &tunnel("plain", "");
        let at = |listeners: &[(&str, &str)]| {
            let file = file(&some, listeners)?;
            Some(file.split('"').nth(1)?.to_owned())
        };
        let expected = |address: &str| Some(format!("SOCKS5 {address}"));
        let here = ("plain", "127.0.0.1:3");
        assert_eq!(at(&[("users", "127.0.0.1:1"), ("http", "127.0.0.1:2"), here]), expected("127.0.0.1:3"));
        assert_eq!(at(&[("plain", "192.0.2.1:1"), here]), expected("127.0.0.1:3"), "of this machine first");
        assert_eq!(at(&[("plain", "0.0.0.0:1")]), expected("127.0.0.1:1"));
        assert_eq!(at(&[("plain", "[::]:1")]), expected("[::1]:1"));
        assert_eq!(at(&[("users", "127.0.0.1:1"), ("http", "127.0.0.1:2")]), None);
        assert_eq!(at(&[]), None);
        let config = "[[tunnel]]\nlisten = ['unix:/x', '127.0.0.1:0', '[::1]:7']\n";
        let file = configured(&toml::from_str(config).unwrap()).unwrap();
        assert!(file.contains("\"SOCKS5 [::1]:7\""), "{file}");
        let any = configured(&toml::from_str("[[tunnel]]\nlisten = ['127.0.0.1:0']\n").unwrap());
        assert!(any.unwrap_err().to_string().contains("a browser can use none"));
    }

    #[test]
    fn no_text_ends_its_literal() {
        for text in [
            "\"; alert(1); \"",
            "\\\"",
            "a\nb\r",
            "</script>",
            "\u{2028}\u{2029}\u{85}",
            "\u{1f642}",
            "'`${x}",
            "\0\u{1b}",
        ] {
            let literal = written(text);
            let inside = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            assert!(inside.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{literal}");
            assert!(!inside.replace("\\\\", "").replace("\\\"", "").contains('"'), "{literal}");
            assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}

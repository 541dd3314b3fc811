//! `proxy.pac` (proxy auto-config), which tells browsers which hosts to reach through this proxy.
//! May import `config`, `listener` and `command_error`.

use std::net::IpAddr;

use i2p_tunnel::{BoundAddress, HostPatternKind, LOCAL_DOMAINS, LOCAL_NETWORKS, ListenAt, PortSet};
use ipnet::IpNet;
use serde::Serialize;

use crate::{
    command_error::CommandError,
    config::{Config, admin::PacRest},
    listener::{Listener, connectable},
};

/// The script that decides for each host, used if some hosts bypass the proxy. It is ECMAScript 5, because engines outside browsers read
/// such files, too.
const HOSTS_SCRIPT: &str = include_str!("hosts.js");

/// Why there is no file.
pub(crate) const NO_TUNNEL: &str = "browsers cannot use any tunnel: they need one with an IP:PORT under listen, with socks5 among its \
    protocols, and without auth = \"required\", because browsers send no password to SOCKS proxies";

/// Why there is no file for HTTP.
const NO_HTTP_TUNNEL: &str = "browsers cannot use any tunnel as an HTTP proxy: they need one with an IP:PORT under listen, with http \
    and http-connect among its protocols";

/// The protocol that browsers speak to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BrowserProtocol {
    /// Without passwords.
    #[default]
    Socks5,
    /// With passwords, and with pages that say why a site cannot be opened.
    Http,
}

impl BrowserProtocol {
    /// Its word in the file.
    fn word(self) -> &'static str {
        match self {
            Self::Socks5 => "SOCKS5",
            Self::Http => "PROXY",
        }
    }

    /// Why there is no file.
    fn no_tunnel(self) -> &'static str {
        match self {
            Self::Socks5 => NO_TUNNEL,
            Self::Http => NO_HTTP_TUNNEL,
        }
    }
}

/// The part of the configuration that concerns browsers.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxyAutoConfig {
    protocol: BrowserProtocol,
    /// The tunnels that browsers can use.
    tunnels: Vec<String>,
    /// The hosts that go through the proxy. `None`: all hosts.
    proxied: Option<Vec<ProxiedHosts>>,
}

/// Hosts and ports that go through the proxy.
#[derive(Debug, Clone, Serialize)]
struct ProxiedHosts {
    hosts: ScriptHosts,
    ports: Vec<(u16, u16)>,
    spares_local: bool,
}

/// [`HostPatternKind`] in the form of the script.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum ScriptHosts {
    All,
    Glob(String),
    Below(String),
    Name(String),
    Range(ScriptRange),
}

/// The addresses whose first `length` bits are those of `bytes`.
#[derive(Debug, Clone, Serialize)]
struct ScriptRange {
    bytes: Vec<u8>,
    length: u8,
}

impl ProxyAutoConfig {
    /// Takes what concerns browsers from a configuration. They speak SOCKS5.
    pub(crate) fn of(config: &Config) -> Self {
        Self::by(BrowserProtocol::Socks5, config)
    }

    /// Takes what concerns browsers that speak this protocol.
    fn by(protocol: BrowserProtocol, config: &Config) -> Self {
        let tunnels = config.tunnels();
        let usable = tunnels.iter().filter(|tunnel| match protocol {
            BrowserProtocol::Socks5 => tunnel.serves_browsers(),
            BrowserProtocol::Http => tunnel.serves_browsers_by_http(),
        });
        let proxied = match config.admin.pac_rest {
            PacRest::Proxy => None,
            // Invalid virtual addresses stop the proxy from starting; until then, all hosts go through it.
            PacRest::Direct => proxied_hosts(config).ok(),
        };
        Self { protocol, tunnels: usable.map(|tunnel| tunnel.name().to_owned()).collect(), proxied }
    }

    /// The file for a proxy with these listeners; `None` if browsers can use none of them. Listeners on loopback are preferred.
    ///
    /// If the proxy is down, requests fail: there is no other entry, least of all `DIRECT`. Nor is there `SOCKS`, which Chromium takes
    /// for SOCKS4, and for SOCKS4 it asks DNS for the address of the host.
    pub(crate) fn file(&self, listeners: &[Listener]) -> Option<String> {
        let usable = listeners.iter().filter(|listener| self.tunnels.contains(&listener.tunnel));
        let usable = || usable.clone().filter_map(|listener| listener.address.tcp());
        let here = usable().find(|address| address.ip().is_loopback()).or_else(|| usable().next())?;
        let here = js_literal(&format!("{} {}", self.protocol.word(), connectable(here)));
        Some(match &self.proxied {
            None => format!("function FindProxyForURL(url, host) {{\n  return {here};\n}}\n"),
            Some(rules) => {
                let local: Vec<_> = LOCAL_NETWORKS.iter().copied().map(ScriptRange::from).collect();
                format!(
                    "var HERE = {here};\nvar LOCAL = {};\nvar LOCAL_DOMAINS = {};\nvar LOOK_ALIKES = {};\nvar RULES = {};\n\n{HOSTS_SCRIPT}",
                    js_literal(&local),
                    js_literal(LOCAL_DOMAINS),
                    js_literal(&i2p_name::look_alikes().collect::<Vec<_>>()),
                    js_literal(rules)
                )
            }
        })
    }
}

/// The file for a proxy with this configuration, which need not be running.
///
/// # Errors
/// Browsers can use no listener with a known port.
pub(crate) fn from_configuration(config: &Config, protocol: BrowserProtocol) -> Result<String, CommandError> {
    let mut listeners = Vec::new();
    for tunnel in config.tunnels() {
        for at in tunnel.listen()? {
            match at {
                ListenAt::Tcp(address) if address.port() != 0 => {
                    let address = BoundAddress::Tcp(address);
                    listeners.push(Listener { tunnel: tunnel.name().to_owned(), address });
                }
                _ => {}
            }
        }
    }
    let file = ProxyAutoConfig::by(protocol, config).file(&listeners);
    file.ok_or_else(|| CommandError::usage(protocol.no_tunnel()))
}

/// The hosts that the proxy handles: those of any route, even if it rejects them, and virtual addresses. The order does not matter.
fn proxied_hosts(config: &Config) -> Result<Vec<ProxiedHosts>, CommandError> {
    let virtual_addresses = config.virtual_addresses.options()?;
    let ranges = virtual_addresses.ranges;
    let ranges = [ranges.v4().map(IpNet::from), ranges.v6().map(IpNet::from)].into_iter().flatten();
    let mapped = virtual_addresses.map.keys().map(|address| IpNet::from(address.to_canonical()));
    let addresses = ranges.chain(mapped).map(|range| ProxiedHosts {
        hosts: ScriptHosts::Range(range.into()),
        ports: ports(&PortSet::all()),
        spares_local: false,
    });
    let routes = config.routes();
    let routed = routes.as_slice().iter().map(|route| ProxiedHosts {
        hosts: route.host.kind().into(),
        ports: ports(&route.ports),
        spares_local: route.excludes_local_hosts(),
    });
    Ok(addresses.chain(routed).collect())
}

fn ports(ports: &PortSet) -> Vec<(u16, u16)> {
    ports.ranges().iter().map(|range| (*range.start(), *range.end())).collect()
}

impl From<HostPatternKind<'_>> for ScriptHosts {
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

impl From<IpNet> for ScriptRange {
    fn from(range: IpNet) -> Self {
        let bytes = match range.network() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        Self { bytes, length: range.prefix_len() }
    }
}

/// A JavaScript literal in ASCII. JSON is one, once the line separators of Unicode are escaped.
fn js_literal<T: Serialize + ?Sized>(value: &T) -> String {
    // Texts, numbers and lists of them can always be serialized.
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
            .map(|(tunnel, address)| Listener {
                tunnel: (*tunnel).to_owned(),
                address: BoundAddress::Tcp(address.parse().unwrap()),
            })
            .collect();
        ProxyAutoConfig::of(&toml::from_str(text).unwrap()).file(&listeners)
    }

    const HERE: [(&str, &str); 1] = [("default", "127.0.0.1:4450")];

    #[test]
    fn by_default_all_hosts_go_through_the_proxy() {
        for text in ["", ROUTES] {
            assert_eq!(
                file(text, &HERE).unwrap(),
                "function FindProxyForURL(url, host) {\n  return \"SOCKS5 127.0.0.1:4450\";\n}\n"
            );
        }
    }

    #[test]
    fn with_direct_only_hosts_of_routes_go_through_the_proxy() {
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
        // Functions that ask DNS, SOCKS4, and names and addresses of outproxies.
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
    fn the_file_names_a_listener_that_browsers_can_use() {
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
        let socks5 = BrowserProtocol::Socks5;
        let file = from_configuration(&toml::from_str(config).unwrap(), socks5).unwrap();
        assert!(file.contains("\"SOCKS5 [::1]:7\""), "{file}");
        let any = toml::from_str("[[tunnel]]\nlisten = ['127.0.0.1:0']\n").unwrap();
        let any = from_configuration(&any, socks5);
        assert!(any.unwrap_err().to_string().contains("browsers cannot use any tunnel"));
    }

    #[test]
    fn browsers_that_speak_http_can_send_passwords() {
        let file = |more: &str| {
            let text = format!("[[tunnel]]\nlisten = ['127.0.0.1:7']\n{more}\n");
            from_configuration(&toml::from_str(&text).unwrap(), BrowserProtocol::Http)
        };
        for more in ["", "auth = 'required'\nusers-file = '/x'"] {
            let expected = "function FindProxyForURL(url, host) {\n  return \"PROXY 127.0.0.1:7\";\n}\n";
            assert_eq!(file(more).unwrap(), expected);
        }
        for protocol in ["http", "http-connect", "socks5"] {
            let error = file(&format!("protocols = ['{protocol}']")).unwrap_err().to_string();
            assert!(error.contains("http and http-connect"), "{error}");
        }
    }

    #[test]
    fn a_text_cannot_break_out_of_its_literal() {
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
            let literal = js_literal(text);
            let inside = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            assert!(inside.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{literal}");
            assert!(!inside.replace("\\\\", "").replace("\\\"", "").contains('"'), "{literal}");
            assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}

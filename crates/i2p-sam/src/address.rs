//! The address of a bridge.

#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::{fmt, net::SocketAddr, str::FromStr};

use crate::changing::ChangingAddress;
#[cfg(unix)]
use crate::connector::Connector;
#[cfg(feature = "tls")]
use crate::tls::{TlsAddress, Trust};

/// The prefix of a Unix socket in text.
const UNIX_PREFIX: &str = "unix:";
/// The prefix of a TCP address in text where the bridge expects TLS.
const TLS_PREFIX: &str = "tls:";

/// Where a bridge listens: at a TCP address, with or without TLS, or on a Unix socket.
///
/// Its text is `HOST:PORT`, `unix:/PATH`, or with the feature `tls` `tls:HOST:PORT`. [`FromStr`] checks such a text; [`From`] takes it
/// as it is, and a text that is no address shows at the first connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BridgeAddress {
    /// `HOST:PORT`. The host may be a name: it is the router's own, not a client's target, and the operating system resolves it
    /// at each connection.
    Tcp(String),
    /// A TCP address where the bridge expects TLS. Its text does not say which certificates are trusted.
    #[cfg(feature = "tls")]
    Tls(TlsAddress),
    /// The path of a Unix socket. Its permissions say which users reach the bridge.
    #[cfg(unix)]
    Unix(PathBuf),
    /// Connections that the program makes itself. It has no form in text.
    #[cfg(unix)]
    Connector(Connector),
    /// A TCP address that changes while the program runs. It has no form in text.
    Changing(ChangingAddress),
}

impl BridgeAddress {
    /// Whether TLS is spoken to this bridge.
    #[must_use]
    pub fn expects_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return matches!(self, Self::Tls(_));
        #[cfg(not(feature = "tls"))]
        return false;
    }
}

/// Writes the form that [`FromStr`] reads, or the name of a bridge that has none.
impl fmt::Display for BridgeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            #[cfg(feature = "tls")]
            Self::Tls(address) => write!(f, "{TLS_PREFIX}{address}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
            #[cfg(unix)]
            Self::Connector(connector) => f.write_str(connector.name()),
            Self::Changing(address) => f.write_str(address.name()),
        }
    }
}

impl FromStr for BridgeAddress {
    type Err = &'static str;

    /// Reads `HOST:PORT`, `tls:HOST:PORT`, or `unix:/PATH` with an absolute path that fits into a socket's address. With `tls:`,
    /// certificates are trusted that an authority of the operating system has signed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
            return unix(path);
        }
        if let Some(address) = text.strip_prefix(TLS_PREFIX) {
            return tls(checked_tcp(address)?);
        }
        checked_tcp(text).map(|address| Self::Tcp(address.to_owned()))
    }
}

/// Checks the form of `HOST:PORT`.
fn checked_tcp(text: &str) -> Result<&str, &'static str> {
    let expected =
        "expected HOST:PORT, such as 127.0.0.1:7656 or [::1]:7656, or tls:HOST:PORT, or unix:/PATH";
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let malformed =
        host.is_empty() || bare_ipv6 || text.contains(|c: char| c.is_whitespace() || c.is_control());
    match port.parse::<u16>() {
        Ok(1..) if !malformed => Ok(text),
        _ => Err(expected),
    }
}

#[cfg(feature = "tls")]
#[allow(clippy::unnecessary_wraps, reason = "fails without the feature")]
fn tls(address: &str) -> Result<BridgeAddress, &'static str> {
    Ok(BridgeAddress::Tls(TlsAddress::new(address, Trust::System)))
}

#[cfg(not(feature = "tls"))]
fn tls(_: &str) -> Result<BridgeAddress, &'static str> {
    Err("this program was built without TLS: expected HOST:PORT or unix:/PATH")
}

#[cfg(unix)]
fn unix(path: &str) -> Result<BridgeAddress, &'static str> {
    let valid = path.starts_with('/') && !path.ends_with('/') && !path.contains(char::is_control);
    if !valid {
        return Err("expected unix:/PATH with an absolute path");
    }
    match std::os::unix::net::SocketAddr::from_pathname(path) {
        Ok(_) => Ok(BridgeAddress::Unix(path.into())),
        Err(_) => Err("the path is longer than the operating system allows for a socket: use a shorter one"),
    }
}

#[cfg(not(unix))]
fn unix(_: &str) -> Result<BridgeAddress, &'static str> {
    Err("this operating system has no Unix sockets that a router could listen on: expected HOST:PORT")
}

impl From<&str> for BridgeAddress {
    fn from(text: &str) -> Self {
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
            return Self::Unix(path.into());
        }
        #[cfg(feature = "tls")]
        if let Some(address) = text.strip_prefix(TLS_PREFIX) {
            return Self::Tls(TlsAddress::new(address, Trust::System));
        }
        Self::Tcp(text.to_owned())
    }
}

impl From<String> for BridgeAddress {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for BridgeAddress {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<SocketAddr> for BridgeAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

#[cfg(unix)]
impl From<&Path> for BridgeAddress {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

#[cfg(unix)]
impl From<Connector> for BridgeAddress {
    fn from(connector: Connector) -> Self {
        Self::Connector(connector)
    }
}

#[cfg(feature = "tls")]
impl From<TlsAddress> for BridgeAddress {
    fn from(address: TlsAddress) -> Self {
        Self::Tls(address)
    }
}

impl From<ChangingAddress> for BridgeAddress {
    fn from(address: ChangingAddress) -> Self {
        Self::Changing(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["127.0.0.1:7656", "[::1]:1", "router.lan:65535"] {
            assert_eq!(text.parse::<BridgeAddress>().unwrap().to_string(), text);
        }
        for text in
            ["", "7656", ":7656", "host", "host:", "host:0", "host:65536", "::1:7656", "a b:1", "a\n:1"]
        {
            assert!(text.parse::<BridgeAddress>().is_err(), "{text:?}");
        }
        assert_eq!(BridgeAddress::from("host:1"), BridgeAddress::Tcp("host:1".into()));
    }

    #[test]
    fn an_address_with_tls_never_becomes_one_without() {
        let text = "tls:router.lan:7656";
        #[cfg(feature = "tls")]
        {
            let parsed: BridgeAddress = text.parse().unwrap();
            assert_eq!((parsed.to_string().as_str(), &parsed), (text, &BridgeAddress::from(text)));
            assert!(matches!(parsed, BridgeAddress::Tls(address) if *address.trust() == Trust::System));
        }
        #[cfg(not(feature = "tls"))]
        assert!(text.parse::<BridgeAddress>().is_err());
        for text in ["tls:", "tls:host", "tls:host:0", "tls::1", "tls:tls:host:1"] {
            assert!(text.parse::<BridgeAddress>().is_err(), "{text:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_address_is_the_path_of_a_unix_socket() {
        let parsed: BridgeAddress = "unix:/run/i2p/sam socket".parse().unwrap();
        assert_eq!(parsed, BridgeAddress::Unix("/run/i2p/sam socket".into()));
        assert_eq!(parsed, BridgeAddress::from(parsed.to_string()));
        let long = format!("unix:/{}", "x".repeat(200));
        for text in ["unix:", "unix:run/sam", "unix:/run/", "unix:/a\0b", "unix:/a\nb", &long] {
            assert!(text.parse::<BridgeAddress>().is_err(), "{text:?}");
        }
    }
}

//! The protocols that outproxies speak. All that tells one from another is in one table.

use std::{fmt, str::FromStr};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{fault::Fault, http_connect, socks5};
use crate::route::OutsideHost;

/// What an outproxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutproxyProtocol {
    /// SOCKS5 (RFC 1928) with names, and RFC 1929 where there are credentials.
    Socks5,
    /// CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6), with Basic authentication (RFC 7617) where there are credentials.
    HttpConnect,
}

/// What is so of one protocol.
struct Row {
    /// In a configuration.
    name: &'static str,
    /// For people.
    title: &'static str,
    /// Whether an outproxy takes any credentials, so that those made up for each client can keep clients apart.
    passes_isolation: bool,
    /// Whether there is a relay for datagrams.
    carries_datagrams: bool,
    /// Whether an outproxy speaks before it has tried to connect. Then only silence from the start is its own fault.
    speaks_before_connecting: bool,
    /// What a username cannot hold, and why.
    not_in_username: Option<(char, &'static str)>,
}

impl OutproxyProtocol {
    /// All of them, in the order of [`NAMES`](Self::NAMES).
    pub const ALL: [Self; 2] = [Self::Socks5, Self::HttpConnect];

    /// What they are called in a configuration.
    pub const NAMES: [&str; Self::ALL.len()] = [Self::Socks5.row().name, Self::HttpConnect.row().name];

    const fn row(self) -> Row {
        match self {
            Self::Socks5 => Row {
                name: "socks5",
                title: "SOCKS5",
                passes_isolation: true,
                carries_datagrams: true,
                speaks_before_connecting: true,
                not_in_username: None,
            },
            Self::HttpConnect => Row {
                name: "http-connect",
                title: "HTTP CONNECT",
                passes_isolation: false,
                carries_datagrams: false,
                // It says nothing before it has an answer, and then all of it.
                speaks_before_connecting: false,
                not_in_username: Some((':', "Basic authentication has no place for a colon in the username")),
            },
        }
    }

    /// Asks an outproxy for a host. Returns what came behind its answer.
    pub(super) async fn ask(
        self,
        line: impl AsyncRead + AsyncWrite + Unpin,
        target: (OutsideHost<'_>, u16),
        credentials: Option<(&str, &str)>,
    ) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Socks5 => socks5::ask(line, target, credentials).await,
            Self::HttpConnect => http_connect::ask(line, target, credentials).await,
        }
    }

    /// What it is called in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether outproxies can keep clients apart by credentials that are made up for each.
    #[must_use]
    pub const fn passes_isolation(self) -> bool {
        self.row().passes_isolation
    }

    /// Checks whether a username can be sent.
    ///
    /// # Errors
    /// Why not.
    pub fn check_username(self, username: &str) -> Result<(), &'static str> {
        match self.row().not_in_username {
            Some((character, why)) if username.contains(character) => Err(why),
            _ => Ok(()),
        }
    }

    pub(super) const fn carries_datagrams(self) -> bool {
        self.row().carries_datagrams
    }

    pub(super) const fn speaks_before_connecting(self) -> bool {
        self.row().speaks_before_connecting
    }
}

/// For people.
impl fmt::Display for OutproxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().title)
    }
}

/// No outproxy speaks a protocol of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no protocol of outproxies has this name")]
pub struct UnknownOutproxyProtocol;

impl FromStr for OutproxyProtocol {
    type Err = UnknownOutproxyProtocol;

    /// Reads the [`name`](Self::name).
    fn from_str(text: &str) -> Result<Self, UnknownOutproxyProtocol> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == text).ok_or(UnknownOutproxyProtocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_read_by_its_name() {
        for (protocol, name) in OutproxyProtocol::ALL.into_iter().zip(OutproxyProtocol::NAMES) {
            assert_eq!((protocol.name(), name.parse()), (name, Ok(protocol)));
        }
        assert_eq!("http".parse::<OutproxyProtocol>(), Err(UnknownOutproxyProtocol));
    }
}

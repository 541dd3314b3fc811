//! The protocols of outproxies. One table holds all differences between them.

use std::{fmt, str::FromStr};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{fault::OutproxyFailure, http_connect, socks5};
use crate::route::OutsideHost;

/// A protocol of outproxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutproxyProtocol {
    /// SOCKS5 (RFC 1928) with names, and RFC 1929 where there are credentials.
    Socks5,
    /// CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6), with Basic authentication (RFC 7617) where there are credentials.
    HttpConnect,
}

/// The properties of a protocol.
struct ProtocolRow {
    /// Its name in a configuration.
    name: &'static str,
    /// Its name for people.
    title: &'static str,
    /// Whether an outproxy accepts any credentials, so that made-up ones can isolate clients from each other.
    passes_isolation: bool,
    /// Whether it has a relay for datagrams.
    carries_datagrams: bool,
    /// Whether an outproxy answers before it connects. If so, a timeout after the first answer may be the target's fault.
    replies_before_connecting: bool,
    /// A character that a username must not contain, and the reason.
    forbidden_in_username: Option<(char, &'static str)>,
}

impl OutproxyProtocol {
    /// All protocols, in the order of [`NAMES`](Self::NAMES).
    pub const ALL: [Self; 2] = [Self::Socks5, Self::HttpConnect];

    /// Their names in a configuration.
    pub const NAMES: [&str; Self::ALL.len()] = [Self::Socks5.row().name, Self::HttpConnect.row().name];

    const fn row(self) -> ProtocolRow {
        match self {
            Self::Socks5 => ProtocolRow {
                name: "socks5",
                title: "SOCKS5",
                passes_isolation: true,
                carries_datagrams: true,
                replies_before_connecting: true,
                forbidden_in_username: None,
            },
            Self::HttpConnect => ProtocolRow {
                name: "http-connect",
                title: "HTTP CONNECT",
                passes_isolation: false,
                carries_datagrams: false,
                // The whole answer comes after connecting.
                replies_before_connecting: false,
                forbidden_in_username: Some((
                    ':',
                    "Basic authentication has no place for a colon in the username",
                )),
            },
        }
    }

    /// Asks an outproxy to connect to a host. Returns the data that follows its answer.
    pub(super) async fn connect(
        self,
        socket: impl AsyncRead + AsyncWrite + Unpin,
        target: (OutsideHost<'_>, u16),
        credentials: Option<(&str, &str)>,
    ) -> Result<Vec<u8>, OutproxyFailure> {
        match self {
            Self::Socks5 => socks5::connect(socket, target, credentials).await,
            Self::HttpConnect => http_connect::connect(socket, target, credentials).await,
        }
    }

    /// Its name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether outproxies can isolate clients by made-up credentials.
    #[must_use]
    pub const fn passes_isolation(self) -> bool {
        self.row().passes_isolation
    }

    /// Checks whether a username can be sent.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub fn check_username(self, username: &str) -> Result<(), &'static str> {
        match self.row().forbidden_in_username {
            Some((character, why)) if username.contains(character) => Err(why),
            _ => Ok(()),
        }
    }

    pub(super) const fn carries_datagrams(self) -> bool {
        self.row().carries_datagrams
    }

    pub(super) const fn replies_before_connecting(self) -> bool {
        self.row().replies_before_connecting
    }
}

/// Shows its name for people.
impl fmt::Display for OutproxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().title)
    }
}

/// The error for a name that no protocol has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no protocol of outproxies has this name")]
pub struct UnknownOutproxyProtocol;

impl FromStr for OutproxyProtocol {
    type Err = UnknownOutproxyProtocol;

    /// Parses the [`name`](Self::name).
    fn from_str(text: &str) -> Result<Self, UnknownOutproxyProtocol> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == text).ok_or(UnknownOutproxyProtocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_parsed_from_its_name() {
        for (protocol, name) in OutproxyProtocol::ALL.into_iter().zip(OutproxyProtocol::NAMES) {
            assert_eq!((protocol.name(), name.parse()), (name, Ok(protocol)));
        }
        assert_eq!("http".parse::<OutproxyProtocol>(), Err(UnknownOutproxyProtocol));
    }
}

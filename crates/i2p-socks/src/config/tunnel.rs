//! `[[tunnel]]`: one SOCKS tunnel.

use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use i2p_tunnel::{Isolate, Tunnel};
use serde::Deserialize;

use super::values::ListenAddress;

/// `[[tunnel]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TunnelConfig {
    /// What it is called.
    pub(super) name: TunnelName,
    /// Where it listens.
    pub(super) listen: Listen,
    /// Whether it shares sessions with other tunnels.
    pub(super) session: SessionMode,
    /// Whether its identity outlives the program.
    pub(crate) key: KeyMode,
    /// What keeps its clients apart.
    pub(super) isolate: IsolateFields,
}

/// `name`: letters, digits and hyphens, since files are called by it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TunnelName(String);

impl Default for TunnelName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl TryFrom<String> for TunnelName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl FromStr for TunnelName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=32).contains(&name.len()) && name.bytes().all(plain) {
            true => Ok(Self(name.to_owned())),
            false => Err("expected a name of 1 to 32 lower-case letters, digits and hyphens"),
        }
    }
}

impl TunnelName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `session`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SessionMode {
    /// One set of sessions for all tunnels that share.
    #[default]
    Shared,
    /// Its own.
    Dedicated,
}

/// `key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyMode {
    /// Keys are made for each session.
    #[default]
    Transient,
    /// Keys are kept in the state directory.
    Persistent,
}

/// `isolate`; not given, it is `client` and `socks-auth`, and nothing where keys are persistent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Vec<IsolateField>")]
pub(super) struct IsolateFields(pub(super) Option<Vec<IsolateField>>);

/// Not given, and what that means, is the same.
impl PartialEq for IsolateFields {
    fn eq(&self, other: &Self) -> bool {
        let plain = |fields: &Self| {
            let mut fields = fields.0.clone().unwrap_or_else(|| DEFAULT.to_vec());
            fields.sort_unstable();
            fields.dedup();
            fields
        };
        plain(self) == plain(other)
    }
}

impl Eq for IsolateFields {}

impl From<Vec<IsolateField>> for IsolateFields {
    fn from(fields: Vec<IsolateField>) -> Self {
        Self(Some(fields))
    }
}

/// What `isolate` is where it is not given and keys are transient.
const DEFAULT: [IsolateField; 2] = [IsolateField::Client, IsolateField::SocksAuth];

/// One of `isolate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IsolateField {
    /// By the client's address.
    Client,
    /// By credentials.
    SocksAuth,
    /// By the address that it connected to.
    Listener,
    /// By what it asks for.
    DestHost,
    /// By the port that it asks for.
    DestPort,
    /// By the version of SOCKS.
    Protocol,
}

/// Where a tunnel listens, at one place at least.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<ListenAddress>")]
pub(super) struct Listen(pub(super) Vec<ListenAddress>);

impl Default for Listen {
    fn default() -> Self {
        Self(vec![ListenAddress::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 4450)))])
    }
}

impl TryFrom<Vec<ListenAddress>> for Listen {
    type Error = &'static str;

    fn try_from(addresses: Vec<ListenAddress>) -> Result<Self, Self::Error> {
        if addresses.is_empty() { Err("a tunnel has to listen somewhere") } else { Ok(Self(addresses)) }
    }
}

impl TunnelConfig {
    /// The one tunnel of the command line.
    pub(super) fn at(addresses: Vec<ListenAddress>) -> Self {
        Self { listen: Listen(addresses), ..Self::default() }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> Vec<SocketAddr> {
        self.listen.0.iter().copied().map(SocketAddr::from).collect()
    }

    /// How it uses sessions.
    pub(crate) fn tunnel(&self) -> Tunnel {
        let dedicated = self.session == SessionMode::Dedicated || self.key == KeyMode::Persistent;
        Tunnel { isolate: self.isolate(), dedicated: dedicated.then(|| self.name().into()) }
    }

    fn isolate(&self) -> Isolate {
        let fields = match (&self.isolate.0, self.key) {
            (Some(fields), _) => fields,
            (None, KeyMode::Transient) => return Isolate::default(),
            (None, KeyMode::Persistent) => return Isolate::NOTHING,
        };
        let has = |field| fields.contains(&field);
        Isolate {
            client: has(IsolateField::Client),
            socks_auth: has(IsolateField::SocksAuth),
            listener: has(IsolateField::Listener),
            dest_host: has(IsolateField::DestHost),
            dest_port: has(IsolateField::DestPort),
            protocol: has(IsolateField::Protocol),
        }
    }

    /// What its values contradict each other in.
    pub(super) fn contradiction(&self) -> Option<String> {
        (self.key == KeyMode::Persistent && self.isolate() != Isolate::NOTHING).then(|| {
            format!(
                "tunnel {}: persistent keys are one identity, which clients that are kept apart cannot share; write isolate = \
                 [], or key = \"transient\"",
                self.name()
            )
        })
    }
}

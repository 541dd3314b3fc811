//! `[[tunnel]]`: one SOCKS tunnel.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use i2p_sam::DatagramStyle;
use i2p_tunnel::{
    AccessPolicy, Authentication, DatagramPolicy, Isolate, ListenAt, Protocols, SessionPolicy, Users,
};
use serde::Deserialize;

use super::values::{FileMode, ListenAddress, some_ranged};
use crate::failure::Failure;

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
    /// Who may connect to its Unix sockets.
    pub(super) unix_mode: Option<FileMode>,
    /// The group of its Unix sockets, by name or number; none: that of the process.
    pub(super) unix_group: Option<String>,
    /// Whether everybody who can reach it may use it.
    pub(super) open_to_others: bool,
    /// What its clients may speak.
    pub(super) protocols: ProtocolSet,
    /// What its clients have to say of themselves.
    pub(super) auth: Auth,
    /// Its users, where they need passwords.
    pub(super) users_file: Option<PathBuf>,
    /// Whether SOCKS5 clients are told more than RFC 1928 has codes for.
    pub(super) extended_errors: bool,
    /// Hops each way; none: as `[session]` has it.
    #[serde(deserialize_with = "some_ranged::<_, 0, 7>")]
    pub(super) length: Option<u8>,
    /// Tunnels each way; none: as `[session]` has it.
    #[serde(deserialize_with = "some_ranged::<_, 1, 16>")]
    pub(super) quantity: Option<u8>,
    /// Whether its streams are granted before they are connected; none: as `[session]` has it.
    pub(super) early_data: Option<bool>,
    /// Which datagrams its clients may send.
    pub(super) udp: Udp,
    /// What becomes of datagrams that its clients send in fragments.
    pub(super) udp_fragments: Fragments,
    /// Whether peers may open streams to its clients, and send datagrams to those who have not sent any.
    pub(super) incoming: bool,
}

/// `udp`: the kind of datagrams in I2P.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Udp {
    /// None: UDP ASSOCIATE is refused.
    #[default]
    Off,
    /// Repliable ones, which every router has.
    Datagram,
    /// The same, bound to their receiver.
    Datagram2,
    /// Those that say the hash of their sender, which nothing proves.
    Datagram3,
    /// Those that do not say their sender.
    Raw,
}

impl Udp {
    fn style(self) -> Option<DatagramStyle> {
        match self {
            Self::Off => None,
            Self::Datagram => Some(DatagramStyle::Datagram),
            Self::Datagram2 => Some(DatagramStyle::Datagram2),
            Self::Datagram3 => Some(DatagramStyle::Datagram3),
            Self::Raw => Some(DatagramStyle::Raw { protocol: None }),
        }
    }
}

/// `udp-fragments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fragments {
    /// They are dropped, which RFC 1928 allows.
    #[default]
    Drop,
    /// They are put together.
    Reassemble,
}

/// What sessions of a tunnel's own are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OwnSessions {
    /// Their one identity is kept.
    pub(crate) kept: bool,
    /// They carry datagrams of this kind too.
    pub(crate) datagrams: Option<DatagramStyle>,
    /// Others can find and reach them.
    pub(crate) incoming: bool,
    /// Hops each way, and tunnels each way, where they are others than all have.
    pub(crate) length: Option<u8>,
    pub(crate) quantity: Option<u8>,
    /// Whether streams are granted before they are connected, where that is otherwise than for all.
    pub(crate) early_data: Option<bool>,
}

/// `protocols`; not given, all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Protocol>")]
pub(super) struct ProtocolSet(Protocols);

/// One of `protocols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    Socks4,
    Socks4a,
    Socks5,
    HttpConnect,
}

impl TryFrom<Vec<Protocol>> for ProtocolSet {
    type Error = &'static str;

    fn try_from(protocols: Vec<Protocol>) -> Result<Self, Self::Error> {
        if protocols.is_empty() {
            return Err("a tunnel has to speak something");
        }
        let has = |protocol| protocols.contains(&protocol);
        Ok(Self(Protocols {
            socks4: has(Protocol::Socks4),
            socks4a: has(Protocol::Socks4a),
            socks5: has(Protocol::Socks5),
            http_connect: has(Protocol::HttpConnect),
        }))
    }
}

/// `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Auth {
    /// Credentials say who a client is.
    #[default]
    Isolation,
    /// And whether it may come in.
    Required,
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
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 4450));
        Self(vec![ListenAddress(address.into())])
    }
}

impl TryFrom<Vec<ListenAddress>> for Listen {
    type Error = &'static str;

    fn try_from(addresses: Vec<ListenAddress>) -> Result<Self, Self::Error> {
        if addresses.is_empty() { Err("a tunnel has to listen somewhere") } else { Ok(Self(addresses)) }
    }
}

impl TunnelConfig {
    /// For a command that has sessions of its own, and nobody to share them with: with datagrams, or peers, where it wants them.
    pub(super) fn for_a_command(&mut self, datagrams: bool, incoming: bool) {
        self.isolate = IsolateFields(Some(Vec::new()));
        self.incoming |= incoming;
        if datagrams && self.udp == Udp::Off {
            self.udp = Udp::Datagram;
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> Result<Vec<ListenAt>, Failure> {
        #[cfg(unix)]
        let group = self.unix_group.as_deref().map(|group| self.group(group)).transpose()?;
        let places = self.listen.0.iter().map(|ListenAddress(at)| match at.clone() {
            #[cfg(unix)]
            ListenAt::Unix(file) => {
                let mode = self.unix_mode.map_or(file.mode, |FileMode(mode)| mode);
                ListenAt::Unix(i2p_tunnel::SocketFile { mode, group, ..file })
            }
            at => at,
        });
        Ok(places.collect())
    }

    /// The number of a group.
    #[cfg(unix)]
    fn group(&self, group: &str) -> Result<u32, Failure> {
        if let Ok(number) = group.parse() {
            return Ok(number);
        }
        match nix::unistd::Group::from_name(group) {
            Ok(Some(found)) => Ok(found.gid.as_raw()),
            _ => Err(Failure::usage(format_args!(
                "tunnel {}: this machine has no group {group:?}: give unix-group one that it has",
                self.name()
            ))),
        }
    }

    /// Whether other machines may be let in.
    pub(crate) fn may_be_open(&self) -> bool {
        self.open_to_others || self.asks_for_passwords()
    }

    /// Whether browsers can use it: they speak SOCKS5, and send no password with it.
    pub(crate) fn serves_browsers(&self) -> bool {
        self.protocols.0.socks5 && !self.asks_for_passwords()
    }

    /// Whether only users are let in.
    pub(crate) fn asks_for_passwords(&self) -> bool {
        self.auth == Auth::Required
    }

    /// Whom it serves. Reads the users file.
    pub(crate) fn access_policy(&self) -> Result<AccessPolicy, Failure> {
        let authentication = match &self.users_file {
            Some(file) => Authentication::Required(self.users(file)?),
            None => Authentication::Isolation,
        };
        let ProtocolSet(protocols) = self.protocols;
        Ok(AccessPolicy {
            protocols,
            authentication,
            extended_errors: self.extended_errors,
            status_page: None,
        })
    }

    fn users(&self, file: &std::path::Path) -> Result<Users, Failure> {
        let (tunnel, shown) = (self.name(), file.display());
        let users = Users::load(file).map_err(|error| {
            Failure::usage(format_args!("tunnel {tunnel}: the users file {shown} cannot be used: {error}"))
        })?;
        if users.is_empty() {
            return Err(Failure::usage(format_args!(
                "tunnel {tunnel}: the users file {shown} has no users, so that nobody could connect: add lines that \
                 i2p-socks passwd makes"
            )));
        }
        Ok(users)
    }

    /// How its clients use sessions.
    pub(crate) fn session_policy(&self) -> SessionPolicy {
        let dedicated = self.session == SessionMode::Dedicated || self.own_sessions().is_some();
        SessionPolicy {
            isolate: self.isolate(),
            dedicated: dedicated.then(|| self.name().into()),
            incoming: self.incoming,
        }
    }

    /// What its sessions are, where they are others than those that tunnels share.
    pub(crate) fn own_sessions(&self) -> Option<OwnSessions> {
        let own = OwnSessions {
            kept: self.key == KeyMode::Persistent,
            datagrams: self.udp.style(),
            incoming: self.incoming,
            length: self.length,
            quantity: self.quantity,
            early_data: self.early_data,
        };
        (own != OwnSessions::default()).then_some(own)
    }

    /// What is done with datagrams of its clients, and for them.
    pub(crate) fn datagrams(&self) -> DatagramPolicy {
        DatagramPolicy {
            accept_unsolicited: self.incoming,
            reassemble_fragments: self.udp_fragments == Fragments::Reassemble,
        }
    }

    fn isolate(&self) -> Isolate {
        let fields = match (&self.isolate.0, self.key) {
            (Some(fields), _) => fields,
            (None, KeyMode::Transient) => return Isolate::default(),
            (None, KeyMode::Persistent) => return Isolate::NONE,
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

    /// Refused: what other machines can reach, and nobody said that they may.
    pub(super) fn check_open(&self, places: &[ListenAt]) -> Result<(), Failure> {
        let open = |at: &&ListenAt| matches!(at, ListenAt::Tcp(address) if !address.ip().to_canonical().is_loopback());
        match places.iter().find(open) {
            Some(at) if !self.may_be_open() => Err(open_to_others(self.name(), at)),
            _ => Ok(()),
        }
    }

    /// What its values contradict each other in.
    pub(super) fn contradiction(&self) -> Option<String> {
        match (self.auth, &self.users_file) {
            (Auth::Required, None) => {
                return Some(format!(
                    "tunnel {}: auth = \"required\" needs a users-file, with lines that i2p-socks passwd makes",
                    self.name()
                ));
            }
            (Auth::Isolation, Some(_)) => {
                return Some(format!(
                    "tunnel {}: its users-file lets everybody in as long as auth is not \"required\"; write that, or no \
                     users-file",
                    self.name()
                ));
            }
            _ => {}
        }
        let isolate = self.isolate();
        if (isolate.dest_host || isolate.dest_port) && (self.udp != Udp::Off || self.incoming) {
            return Some(format!(
                "tunnel {}: datagrams, and what comes in, are of no host in particular, so they cannot be kept apart by \
                 \"dest-host\" or \"dest-port\": take these out of isolate, or write udp = \"off\" and incoming = false",
                self.name()
            ));
        }
        (self.key == KeyMode::Persistent && self.isolate() != Isolate::NONE).then(|| {
            format!(
                "tunnel {}: persistent keys are one identity, which clients that are kept apart cannot share; write isolate = \
                 [], or key = \"transient\"",
                self.name()
            )
        })
    }
}

/// Why a tunnel does not start that lets other machines in without being told to.
pub(crate) fn open_to_others(tunnel: &str, address: &impl std::fmt::Display) -> Failure {
    Failure::usage(format_args!(
        "tunnel {tunnel}: {address} can be reached from other machines, and whoever reaches it could use I2P in your name. \
         Listen on 127.0.0.1 or [::1]; or ask for passwords with auth = \"required\" and a users-file; or, if everybody who \
         can reach it may use it, say open-to-others = true in the tunnel's configuration, or --open-to-others."
    ))
}

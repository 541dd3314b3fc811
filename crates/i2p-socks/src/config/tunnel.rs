//! `[[tunnel]]`: one SOCKS tunnel.

mod contradictions;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use i2p_sam::DatagramStyle;
use i2p_tunnel::{
    AccessPolicy, Authentication, BookAccess, DatagramPolicy, HeaderPolicy, Isolate, LeakGuardPolicy,
    ListenAt, OwnMachine, Protocols, SessionPolicy, Users,
};
use serde::Deserialize;

use super::{
    from_text::deserialize_from_text,
    isolate::IsolateFields,
    values::{FileMode, ListenAddress, OneOrMore, some_in_range},
};
use crate::{command_error::CommandError, files};

/// The largest users file that is read.
const MAX_USERS_FILE_BYTES: u64 = 1024 * 1024;

/// `[[tunnel]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TunnelConfig {
    /// Its name.
    pub(super) name: TunnelName,
    /// The addresses that it listens on.
    pub(super) listen: Listen,
    /// Whether it shares sessions with other tunnels.
    pub(super) session: SessionMode,
    /// Whether its identity is kept in the state directory.
    pub(crate) key: KeyMode,
    /// What keeps its clients apart.
    pub(super) isolate: IsolateFields,
    /// The permissions of its Unix sockets.
    pub(super) unix_mode: Option<FileMode>,
    /// The group of its Unix sockets, by name or number. `None`: that of the process.
    pub(super) unix_group: Option<String>,
    /// Whether it accepts clients from other machines without a password.
    pub(super) open_to_others: bool,
    /// The protocols that it accepts.
    pub(super) protocols: ProtocolSet,
    /// What credentials mean, and whether they are required.
    pub(super) auth: Auth,
    /// Whether a SOCKS5 client that can do without credentials is not asked for them.
    pub(super) prefer_no_auth: bool,
    /// The file with its users, if passwords are required.
    pub(super) users_file: Option<PathBuf>,
    /// What happens to the header fields of plain HTTP.
    pub(super) headers: Headers,
    /// What happens if a client sends what identifies this machine, in clear text.
    pub(super) leak_guard: LeakGuard,
    /// Whether every client can read the address book in a browser, and keep names in it.
    pub(super) keep_names: bool,
    /// Whether SOCKS5 clients get the extended reply codes of Tor.
    pub(super) extended_errors: bool,
    /// Hops of each I2P tunnel. `None`: as under `[session]`.
    #[serde(deserialize_with = "some_in_range::<_, 0, 7>")]
    pub(super) length: Option<u8>,
    /// I2P tunnels in each direction. `None`: as under `[session]`.
    #[serde(deserialize_with = "some_in_range::<_, 1, 16>")]
    pub(super) quantity: Option<u8>,
    /// Whether a stream is reported as open before it is. `None`: as under `[session]`.
    pub(super) early_data: Option<bool>,
    /// The kind of datagrams that its clients can send.
    pub(super) udp: Udp,
    /// What happens to datagrams that clients send in fragments.
    pub(super) udp_fragments: Fragments,
    /// Whether peers can open streams to its clients, and send datagrams to clients that have not written to them first.
    pub(super) incoming: bool,
}

/// `headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Headers {
    /// What names the client's program, user or machine is removed or made the same for everybody.
    #[default]
    Filtered,
    /// They pass as they are.
    AsSent,
}

/// `leak-guard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LeakGuard {
    /// Nobody looks.
    Off,
    /// It is counted and logged.
    #[default]
    Warn,
    /// The stream ends before that.
    Cut,
}

/// `udp`: the kind of datagrams in I2P.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Udp {
    /// No datagrams: UDP ASSOCIATE is refused.
    #[default]
    Off,
    /// Repliable datagrams, which every router supports.
    Datagram,
    /// Repliable datagrams that are bound to their receiver.
    Datagram2,
    /// Datagrams with the hash of their sender, which is not verified.
    Datagram3,
    /// Datagrams without a sender.
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
    /// They are dropped, as RFC 1928 allows.
    #[default]
    Drop,
    /// They are reassembled.
    Reassemble,
}

/// What a command opens sessions of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionPurpose {
    /// Streams to hosts.
    Streams,
    /// Datagrams.
    Datagrams,
    /// Streams of peers.
    Incoming,
    /// Whatever a contained program does and the tunnel carries.
    Program,
}

/// How the sessions of a tunnel differ from those that tunnels share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DedicatedSessions {
    /// There is one session, whose identity is kept in the state directory.
    pub(crate) persistent_key: bool,
    /// They also carry datagrams of this kind.
    pub(crate) datagrams: Option<DatagramStyle>,
    /// Peers can find and reach them.
    pub(crate) incoming: bool,
    /// Hops and number of the I2P tunnels, if they differ from `[session]`.
    pub(crate) length: Option<u8>,
    pub(crate) quantity: Option<u8>,
    /// Whether a stream is reported as open before it is, if that differs from `[session]`.
    pub(crate) early_data: Option<bool>,
}

/// `protocols`; all by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore<Protocol>")]
pub(super) struct ProtocolSet(Protocols);

/// One of `protocols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    Socks4,
    Socks4a,
    Socks5,
    HttpConnect,
    Http,
}

impl TryFrom<OneOrMore<Protocol>> for ProtocolSet {
    type Error = &'static str;

    fn try_from(OneOrMore(protocols): OneOrMore<Protocol>) -> Result<Self, Self::Error> {
        if protocols.is_empty() {
            return Err("a tunnel needs at least one protocol");
        }
        let has = |protocol| protocols.contains(&protocol);
        Ok(Self(Protocols {
            socks4: has(Protocol::Socks4),
            socks4a: has(Protocol::Socks4a),
            socks5: has(Protocol::Socks5),
            http_connect: has(Protocol::HttpConnect),
            http: has(Protocol::Http),
        }))
    }
}

/// `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Auth {
    /// Any credentials are accepted, and keep clients apart.
    #[default]
    Isolation,
    /// Only the users of the users file are accepted.
    Required,
}

deserialize_from_text!(TunnelName);

/// `name`: letters, digits and hyphens, because it is part of file names.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The sessions that tunnels share.
    #[default]
    Shared,
    /// Sessions of its own.
    Dedicated,
}

/// `key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyMode {
    /// Each session gets new keys.
    #[default]
    Transient,
    /// One identity, kept in the state directory.
    Persistent,
}

/// `listen`: at least one address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore<ListenAddress>")]
pub(super) struct Listen(pub(super) Vec<ListenAddress>);

impl Default for Listen {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 4450));
        Self(vec![ListenAddress(address.into())])
    }
}

impl TryFrom<OneOrMore<ListenAddress>> for Listen {
    type Error = &'static str;

    fn try_from(OneOrMore(addresses): OneOrMore<ListenAddress>) -> Result<Self, Self::Error> {
        if addresses.is_empty() {
            Err("a tunnel needs at least one address to listen on")
        } else {
            Ok(Self(addresses))
        }
    }
}

/// Whether the clients of a listener know nothing of the proxy.
pub(super) fn is_of_gateway(at: &ListenAt) -> bool {
    matches!(at, ListenAt::Transparent(..) | ListenAt::Dns(_))
}

impl TunnelConfig {
    /// Changes it for a command with sessions of its own: there is one client, so nothing has to be isolated.
    pub(super) fn prepare_for_command(&mut self, purpose: SessionPurpose) {
        self.isolate = IsolateFields(Some(Vec::new()));
        match purpose {
            SessionPurpose::Streams => {}
            // Runs are kept apart, so one persistent identity for all is no choice.
            SessionPurpose::Program => self.key = KeyMode::Transient,
            SessionPurpose::Datagrams if self.udp == Udp::Off => self.udp = Udp::Datagram,
            SessionPurpose::Datagrams => {}
            SessionPurpose::Incoming => self.incoming = true,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The addresses that it listens on, without the permissions of Unix sockets.
    pub(super) fn addresses(&self) -> Vec<ListenAt> {
        self.listen.0.iter().map(|ListenAddress(at)| at.clone()).collect()
    }

    /// The addresses that it listens on.
    pub(crate) fn listen(&self) -> Result<Vec<ListenAt>, CommandError> {
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

    /// The ID of a group, by its name or number.
    #[cfg(unix)]
    fn group(&self, group: &str) -> Result<u32, CommandError> {
        if let Ok(number) = group.parse() {
            return Ok(number);
        }
        match nix::unistd::Group::from_name(group) {
            Ok(Some(found)) => Ok(found.gid.as_raw()),
            _ => Err(CommandError::usage(format_args!(
                "tunnel {}: this machine has no group {group:?}: choose another unix-group",
                self.name()
            ))),
        }
    }

    /// Whether it may accept clients from other machines.
    pub(crate) fn accepts_other_machines(&self) -> bool {
        self.open_to_others || self.requires_password()
    }

    /// Whether `exec` can use it: it has a port or socket for SOCKS. Runs are kept apart, so one persistent identity for all is no choice.
    pub(crate) fn serves_contained_programs(&self) -> bool {
        let Protocols { socks4, socks4a, socks5, .. } = self.protocols.0;
        let has_proxy = !self.addresses().iter().all(is_of_gateway);
        (socks4 || socks4a || socks5) && self.key == KeyMode::Transient && has_proxy
    }

    /// Whether browsers can use it: they speak SOCKS5 and send no password.
    pub(crate) fn serves_browsers(&self) -> bool {
        self.protocols.0.socks5 && !self.requires_password()
    }

    /// Whether browsers can use it as an HTTP proxy, for which they send passwords.
    pub(crate) fn serves_browsers_by_http(&self) -> bool {
        self.protocols.0.http && self.protocols.0.http_connect
    }

    /// Whether it accepts only users with a password.
    pub(crate) fn requires_password(&self) -> bool {
        self.auth == Auth::Required
    }

    /// Which clients it accepts. Reads the users file.
    pub(crate) fn access_policy(&self) -> Result<AccessPolicy, CommandError> {
        let authentication = match &self.users_file {
            Some(file) => Authentication::Required(self.users(file)?),
            None => Authentication::Isolation,
        };
        let ProtocolSet(protocols) = self.protocols;
        Ok(AccessPolicy {
            protocols,
            authentication,
            prefer_no_authentication: self.prefer_no_auth,
            extended_errors: self.extended_errors,
            status_page: None,
        })
    }

    fn users(&self, file: &std::path::Path) -> Result<Users, CommandError> {
        let (tunnel, shown) = (self.name(), file.display());
        let text = files::read_text(file, MAX_USERS_FILE_BYTES).map_err(|error| error.to_string());
        let users = text.and_then(|text| Users::parse(&text).map_err(|error| error.to_string()));
        let users = users.map_err(|why| {
            CommandError::usage(format_args!("tunnel {tunnel}: the users file {shown} cannot be used: {why}"))
        })?;
        if users.is_empty() {
            return Err(CommandError::usage(format_args!(
                "tunnel {tunnel}: the users file {shown} has no users, so nobody could connect: add users with i2p-socks passwd"
            )));
        }
        Ok(users)
    }

    /// How its clients share sessions.
    pub(crate) fn session_policy(&self) -> SessionPolicy {
        let dedicated = self.session == SessionMode::Dedicated || self.dedicated_sessions().is_some();
        SessionPolicy {
            isolate: self.isolate(),
            dedicated: dedicated.then(|| self.name().into()),
            incoming: self.incoming,
        }
    }

    /// How its sessions differ from those that tunnels share; `None` if they do not.
    pub(crate) fn dedicated_sessions(&self) -> Option<DedicatedSessions> {
        let dedicated = DedicatedSessions {
            persistent_key: self.key == KeyMode::Persistent,
            datagrams: self.udp.style(),
            incoming: self.incoming,
            length: self.length,
            quantity: self.quantity,
            early_data: self.early_data,
        };
        (dedicated != DedicatedSessions::default()).then_some(dedicated)
    }

    /// How it treats datagrams.
    pub(crate) fn datagrams(&self) -> DatagramPolicy {
        DatagramPolicy {
            accept_unsolicited: self.incoming,
            reassemble_fragments: self.udp_fragments == Fragments::Reassemble,
        }
    }

    /// Whether it would put fragments together, but carries no datagrams.
    pub(super) fn reassembles_nothing(&self) -> bool {
        self.udp_fragments == Fragments::Reassemble && self.udp.style().is_none()
    }

    /// What it does with the header fields of plain HTTP.
    pub(crate) fn headers(&self) -> HeaderPolicy {
        match self.headers {
            Headers::Filtered => HeaderPolicy::Filtered,
            Headers::AsSent => HeaderPolicy::AsSent,
        }
    }

    /// What it does with streams that identify this machine; `None`: nothing.
    pub(crate) fn leak_guard(&self, machine: &OwnMachine) -> Option<LeakGuardPolicy> {
        let policy = |cuts| LeakGuardPolicy { machine: machine.clone(), cuts };
        match self.leak_guard {
            LeakGuard::Off => None,
            LeakGuard::Warn => Some(policy(false)),
            LeakGuard::Cut => Some(policy(true)),
        }
    }

    /// Which clients can read the address book in a browser, and keep names in it.
    pub(crate) fn book_access(&self) -> BookAccess {
        match (self.keep_names, files::own_user()) {
            (true, _) => BookAccess::Everybody,
            (false, Some(user)) => BookAccess::User(user),
            (false, None) => BookAccess::Nobody,
        }
    }

    fn isolate(&self) -> Isolate {
        self.isolate.with_key(self.key)
    }

    /// Refuses an address that other machines can reach, unless the tunnel accepts them.
    pub(super) fn refuse_if_exposed(&self, places: &[ListenAt]) -> Result<(), CommandError> {
        let is_exposed = |at: &&ListenAt| {
            at.socket_address().is_some_and(|address| !address.ip().to_canonical().is_loopback())
        };
        match places.iter().find(is_exposed) {
            Some(at) if !self.accepts_other_machines() => Err(self.exposed_to_others(at)),
            _ => Ok(()),
        }
    }

    /// The error for an address that other machines can reach, if it does not accept them.
    pub(crate) fn exposed_to_others(&self, address: &impl std::fmt::Display) -> CommandError {
        let passwords = match self.is_gateway() {
            true => "",
            false => "require passwords with auth = \"required\" and a users-file; or, ",
        };
        CommandError::usage(format_args!(
            "tunnel {}: {address} can be reached from other machines, and anyone who can reach it could use I2P in your name. \
             Listen on 127.0.0.1 or [::1]; or {passwords}to accept everyone, set open-to-others = true in the tunnel's \
             configuration, or use --open-to-others.",
            self.name()
        ))
    }

    /// Whether it has listeners whose clients know nothing of the proxy, and so send no passwords.
    fn is_gateway(&self) -> bool {
        self.addresses().iter().any(is_of_gateway)
    }

    /// Whether `--listen IP:PORT` replaces no listener of another kind.
    pub(crate) fn listens_on_tcp_alone(&self) -> bool {
        self.addresses().iter().all(|at| matches!(at, ListenAt::Tcp(_)))
    }
}

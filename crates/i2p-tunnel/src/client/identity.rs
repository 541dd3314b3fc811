use std::{
    fmt, iter,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use socks_wire::{
    auth::{Credentials, Isolation},
    stream::OwnedRequest,
};

/// Where a client connects from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    /// Over TCP from another machine, at this address.
    Ip(IpAddr),
    /// Over TCP from this machine.
    Local {
        /// The address that it connects from.
        ip: IpAddr,
        /// The user who runs it, where the kernel tells (Linux).
        user: Option<u32>,
    },
    /// Over a Unix socket, as this user.
    User(u32),
    /// Over the socket for contained programs, from the process with this number. It runs as our user or as root, and carries the
    /// connections of one program, which cannot reach the socket itself.
    Contained(u32),
}

/// How clients on this machine that come over TCP are told apart, for their shares and where `client` isolates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalClients {
    /// By the user who runs them, so that nobody becomes many clients: a program can use any address of loopback.
    #[default]
    ByUser,
    /// By address, where each program has one that it cannot change.
    ByAddress,
}

impl ClientAddress {
    /// The same address, where clients on this machine are told apart like this.
    pub(crate) fn with_local(self, local: LocalClients) -> Self {
        match self {
            Self::Local { ip, .. } if local == LocalClients::ByAddress => Self::Ip(ip),
            address => address,
        }
    }
}

impl ClientAddress {
    /// The client of a gateway at this address. A program on this machine asks DNS from one address and connects from another, so only
    /// its user identifies it.
    pub(crate) fn of_gateway(self) -> Self {
        match self {
            Self::Local { user: Some(user), .. } => Self::User(user),
            address => address,
        }
    }
}

/// Identifies the client: wrap it in `Sensitive` before logging it.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) | Self::Local { ip, user: None } => ip.fmt(f),
            Self::Local { ip, user: Some(user) } => write!(f, "{ip} (user {user})"),
            Self::User(user) => write!(f, "user {user}"),
            Self::Contained(process) => write!(f, "process {process}"),
        }
    }
}

/// The client that a share of a limited resource belongs to: an IPv4 address, the /64 network of an IPv6 address, since a single
/// machine usually has a whole one, or a user of this machine, by TCP as well as by Unix sockets. A contained program is a client of
/// its own: what it takes is not taken from its user. A user can start any number of them, so all of them together have one share.
///
/// What a client can choose does not count: credentials, the listener, and on this machine the address, of which loopback has 16
/// million. `Debug` never identifies the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientOrigin(Origin);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Origin {
    V4(Ipv4Addr),
    /// The first 64 bits of the address.
    V6(u64),
    /// A user of this machine.
    User(u32),
    /// The program that a process contains.
    Contained(u32),
    /// All contained programs together.
    ContainedPrograms,
    /// Everybody on this machine whose user the kernel does not tell.
    ThisMachine,
}

impl ClientOrigin {
    /// Whose share it takes from: that of all contained programs, if it is one of them; otherwise its own.
    pub(crate) fn group(self) -> Self {
        match self.0 {
            Origin::Contained(_) => Self(Origin::ContainedPrograms),
            _ => self,
        }
    }

    /// Whether other clients are in its group.
    pub(crate) fn is_one_of_several(self) -> bool {
        self.group() != self
    }

    /// The holders of what it holds: its group, and itself if others are in the group.
    pub(super) fn holders(self) -> impl Iterator<Item = Self> {
        iter::once(self.group()).chain(self.is_one_of_several().then_some(self))
    }

    /// Whether it is a contained program that has ended for good. Its process has the connections to the proxy.
    pub(crate) fn has_ended(self) -> bool {
        matches!(self.0, Origin::Contained(process) if is_gone(process))
    }
}

/// Whether there is no such process. `false` if that is not known. A number that has been given to another process is in use.
#[cfg(target_os = "linux")]
fn is_gone(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    process.is_some_and(|process| rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(target_os = "linux"))]
fn is_gone(_: u32) -> bool {
    false
}

impl From<ClientAddress> for ClientOrigin {
    fn from(client: ClientAddress) -> Self {
        Self(match client {
            // An IPv4 address in IPv6 is one client, not all of them.
            ClientAddress::Ip(ip) => match ip.to_canonical() {
                IpAddr::V4(ip) => Origin::V4(ip),
                IpAddr::V6(ip) => {
                    let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                    Origin::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
                }
            },
            ClientAddress::User(user) | ClientAddress::Local { user: Some(user), .. } => Origin::User(user),
            ClientAddress::Local { user: None, .. } => Origin::ThisMachine,
            ClientAddress::Contained(process) => Origin::Contained(process),
        })
    }
}

impl fmt::Debug for ClientOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientOrigin(..)")
    }
}

/// The username of Tor's form of credentials, of which the password alone tells clients apart.
const TOR_USERNAME: &[u8] = b"<torS0X>0";

/// The credentials that a client sent. Two of different variants are never equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ClientCredentials {
    /// The client sent none.
    #[default]
    None,
    /// The user id of SOCKS4.
    UserId(Vec<u8>),
    /// Username and password of SOCKS5 (RFC 1929) or HTTP (RFC 7617). Both are compared.
    Password(Vec<u8>, Vec<u8>),
    /// The password sent with the username `<torS0X>0` (Tor's SOCKS extensions, section 1).
    Tor(Vec<u8>),
    /// Username and password of the run of a contained program. They isolate it whatever the tunnel isolates by.
    Run(Vec<u8>, Vec<u8>),
}

impl ClientCredentials {
    /// Takes the credentials of a SOCKS request.
    pub(crate) fn of(request: &OwnedRequest) -> Self {
        match &request.credentials {
            Some((username, password)) => Self::of_password(&Credentials { username, password }),
            None if request.user_id.is_empty() => Self::None,
            None => Self::UserId(request.user_id.clone()),
        }
    }

    /// The same as the credentials of a contained program, which differ from all that another client can send.
    pub(crate) fn of_run(self) -> Self {
        match self {
            Self::Password(username, password) => Self::Run(username, password),
            Self::Tor(password) => Self::Run(TOR_USERNAME.to_vec(), password),
            Self::UserId(user) => Self::Run(user, Vec::new()),
            Self::None => Self::Run(Vec::new(), Vec::new()),
            run @ Self::Run(..) => run,
        }
    }

    /// Whether they are of a contained program.
    pub(super) fn is_of_run(&self) -> bool {
        matches!(self, Self::Run(..))
    }

    /// The user ID or the username, as the client sent it. Nobody has typed that of a run.
    pub(crate) fn user(&self) -> Option<&[u8]> {
        match self {
            Self::None | Self::Run(..) => None,
            Self::UserId(user) | Self::Password(user, _) => Some(user),
            Self::Tor(_) => Some(TOR_USERNAME),
        }
    }

    /// Takes a username and a password, and recognises Tor's form of them.
    pub(crate) fn of_password(credentials: &Credentials<'_>) -> Self {
        match credentials.isolation() {
            Isolation::Tor(credentials) => Self::Tor(credentials.password.to_vec()),
            _ => Self::Password(credentials.username.to_vec(), credentials.password.to_vec()),
        }
    }
}

/// The protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientProtocol {
    /// SOCKS4: requests name an IPv4 address.
    Socks4,
    /// SOCKS4a: requests name a host.
    Socks4a,
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// HTTP CONNECT (RFC 9110 section 9.3.6).
    HttpConnect,
    /// HTTP requests that name a URL (absolute form, RFC 9112 section 3.2.2).
    Http,
    /// None: the connection was on its way elsewhere when a transparent listener took it.
    Transparent,
    /// DNS.
    Dns,
}

/// The client of a request. `Debug` never identifies it.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it connects from.
    pub address: ClientAddress,
    /// The listener that it connected to, as the configuration writes it.
    pub listener: Arc<str>,
    /// The protocol that it speaks.
    pub protocol: ClientProtocol,
    /// The credentials that it sent.
    pub credentials: ClientCredentials,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contained_programs_are_in_one_group_and_others_in_their_own() {
        let group = |address| ClientOrigin::from(address).group();
        assert_eq!(group(ClientAddress::Contained(1)), group(ClientAddress::Contained(2)));
        assert_ne!(group(ClientAddress::User(1)), group(ClientAddress::User(2)));
        assert_ne!(group(ClientAddress::Contained(1)), group(ClientAddress::User(1)));
        assert_eq!(group(ClientAddress::User(1)), ClientAddress::User(1).into());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_contained_program_has_ended_once_its_process_is_gone() {
        let has_ended = |process| ClientOrigin::from(ClientAddress::Contained(process)).has_ended();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!has_ended(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(child.id()));
        for (process, what) in [(std::process::id(), "this one"), (1, "of another user"), (0, "unknown")] {
            assert!(!has_ended(process), "{what}");
        }
        let user = ClientOrigin::from(ClientAddress::User(child.id()));
        assert!(!user.has_ended(), "a user is no process");
    }

    #[test]
    fn what_a_client_can_choose_is_not_its_origin() {
        let at = |ip: &str| ClientOrigin::from(ClientAddress::Ip(ip.parse().unwrap()));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("192.0.2.1"), at("::ffff:192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("::ffff:192.0.2.2"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));

        let local =
            |ip: &str, user| ClientOrigin::from(ClientAddress::Local { ip: ip.parse().unwrap(), user });
        assert_eq!(local("127.0.0.1", Some(1)), local("127.9.9.9", Some(1)));
        assert_eq!(local("127.0.0.1", Some(1)), local("::1", Some(1)));
        assert_eq!(local("127.0.0.1", Some(1)), ClientAddress::User(1).into());
        assert_ne!(local("127.0.0.1", Some(1)), local("127.0.0.1", Some(2)));
        assert_eq!(local("127.0.0.1", None), local("::1", None));
        assert_ne!(
            local("127.0.0.1", None),
            local("127.0.0.1", Some(0)),
            "a socket that is closed is not root's"
        );
    }
}

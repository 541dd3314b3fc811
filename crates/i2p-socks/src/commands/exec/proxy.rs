//! A way through the running proxy, over its socket for contained programs.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::{B32, I2pName, NamedTarget, Target};
use i2p_tunnel::Failure;
use socks_wire::{
    Address, ClientError, ClientRequest, Command, Encode, Protocol,
    auth::Credentials,
    stream::OwnedAddress,
    udp::{Fragment, Header},
    v5::ReplyCode,
};
use tokio::{
    net::{UdpSocket, UnixStream},
    time::{sleep, timeout},
};

use super::way::{Association, Received, Way};
use crate::{
    command_error::CommandError,
    commands::streams::running::{ExecTunnel, GrantedRequest, HandshakeError, handshake},
    config::{Config, tunnel::TunnelName},
};

/// How long to wait for a reply. The proxy has a shorter limit of its own, and the program's kernel gives up before either.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long to wait while more connections wait at the proxy's socket than the kernel holds, and how often to look.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);
const ROOM_PAUSE: Duration = Duration::from_millis(10);
/// The longest UDP datagram.
const MAX_DATAGRAM_BYTES: usize = 65_535;
/// Most destinations without a name of one association that are remembered.
const MAX_DESTINATIONS: usize = 512;

/// The running proxy. It may end and come back meanwhile.
pub(super) struct ThroughProxy {
    /// The socket of the tunnel.
    socket: PathBuf,
    carries_datagrams: bool,
    identity: Identity,
}

/// What isolates a run from everybody else: the username and password that the proxy gets.
struct Identity {
    kind: &'static str,
    value: String,
}

impl Identity {
    /// An identity that no other run has.
    fn of_this_run() -> Result<Self, CommandError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            CommandError::run_time(format_args!("the operating system provides no random numbers: {error}"))
        })?;
        Ok(Self { kind: "run", value: random.iter().map(|byte| format!("{byte:02x}")).collect() })
    }

    /// The identity of all runs with this name.
    fn named(name: &TunnelName) -> Self {
        Self { kind: "identity", value: name.as_str().to_owned() }
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials { username: self.kind.as_bytes(), password: self.value.as_bytes() }
    }
}

impl ThroughProxy {
    /// Finds the proxy with this state directory; `None` if none is running.
    ///
    /// # Errors
    /// It does not serve contained programs, or the demo is running in its place.
    pub(super) async fn find(
        config: &Config,
        tunnel: Option<&TunnelName>,
        identity: Option<&TunnelName>,
    ) -> Result<Option<Self>, CommandError> {
        let Some(ExecTunnel { socket, carries_datagrams }) = ExecTunnel::find(config, tunnel).await? else {
            return Ok(None);
        };
        let identity = identity.map_or_else(Identity::of_this_run, |name| Ok(Identity::named(name)))?;
        Ok(Some(Self { socket, carries_datagrams, identity }))
    }

    async fn ask(
        &self,
        command: Command,
        address: Address<'_>,
        port: u16,
    ) -> Result<GrantedRequest<UnixStream>, Failure> {
        let credentials = Some(self.identity.credentials());
        let request = ClientRequest { protocol: Protocol::Socks5, command, address, port, credentials };
        let asked = async {
            let socket = self.connect().await?;
            handshake(socket, request, |_| {}).await
        };
        timeout(REPLY_TIMEOUT, asked)
            .await
            .map_or(Err(Failure::TimedOut), |asked| asked.map_err(|error| failure(&error)))
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        let connected = async {
            loop {
                match UnixStream::connect(&self.socket).await {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(ROOM_PAUSE).await,
                    connected => return connected,
                }
            }
        };
        timeout(ROOM_TIMEOUT, connected).await.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
    }
}

impl Way for ThroughProxy {
    type Stream = UnixStream;
    type Association = ProxyAssociation;

    async fn dial(&self, target: &Target, port: u16) -> Result<UnixStream, Failure> {
        let named = Named::of(target)?;
        self.ask(Command::CONNECT, named.address(), port).await.map(|granted| granted.socket)
    }

    async fn lookup(&self, name: &NamedTarget) -> Result<(), Failure> {
        let named = Named::of(&name.clone().into())?;
        self.ask(Command::RESOLVE, named.address(), 0).await.map(|_| ())
    }

    fn carries_datagrams(&self) -> bool {
        self.carries_datagrams
    }

    async fn associate(&self) -> Result<ProxyAssociation, Failure> {
        let no_socket = |_| Failure::NoSocket;
        // The proxy takes datagrams from this socket alone, and as long as it is open, nobody else can have its address.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_socket)?;
        let own = socket.local_addr().map_err(no_socket)?;
        let granted = self.ask(Command::UDP_ASSOCIATE, Address::Ip(own.ip()), own.port()).await?;
        let OwnedAddress::Ip(relay) = granted.address else { return Err(Failure::RouterUnavailable) };
        // A connected socket receives datagrams of the relay only.
        socket.connect((relay, granted.port)).await.map_err(no_socket)?;
        Ok(ProxyAssociation { socket, control: granted.socket, destinations: Mutex::default() })
    }
}

/// A target as SOCKS5 names it.
enum Named {
    Host(String),
    Ip(IpAddr),
}

impl Named {
    fn of(target: &Target) -> Result<Self, Failure> {
        Ok(match target {
            Target::Ip(ip) => Self::Ip(*ip),
            // A destination does not fit. Its hash does.
            Target::I2p(I2pName::Destination(destination)) => Self::Host(destination.b32().to_string()),
            Target::I2p(name) => Self::Host(name.to_string()),
            Target::ClearNet(host) => Self::Host(host.as_str().to_owned()),
            _ => return Err(Failure::AddressTypeNotSupported),
        })
    }

    fn address(&self) -> Address<'_> {
        match self {
            Self::Host(host) => Address::Domain(host.as_bytes()),
            Self::Ip(ip) => Address::Ip(*ip),
        }
    }
}

/// An association at the proxy's relay, which lives as long as the connection on which it was requested.
pub(super) struct ProxyAssociation {
    socket: UdpSocket,
    control: UnixStream,
    /// Targets that the proxy names by their hash.
    destinations: Mutex<HashMap<B32, Target>>,
}

impl ProxyAssociation {
    fn destinations(&self) -> MutexGuard<'_, HashMap<B32, Target>> {
        self.destinations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, target: &Target) {
        let Target::I2p(I2pName::Destination(destination)) = target else { return };
        let mut destinations = self.destinations();
        if destinations.len() >= MAX_DESTINATIONS {
            destinations.clear();
        }
        destinations.insert(destination.b32(), target.clone());
    }

    /// A sender, as it was named when the program sent to it.
    fn sender(&self, address: Address<'_>) -> Option<Target> {
        let target = match address {
            Address::Ip(ip) => Target::Ip(ip),
            Address::Domain(host) => Target::parse(host).ok()?,
        };
        let Target::I2p(I2pName::B32(b32)) = &target else { return Some(target) };
        let destination = self.destinations().get(b32).cloned();
        Some(destination.unwrap_or(target))
    }

    /// A datagram of the relay; `None` if it means nothing to the program.
    fn received(&self, datagram: &[u8]) -> Option<Received> {
        let (header, payload) = Header::split(datagram).ok()?;
        if header.fragment != Fragment::STANDALONE {
            return None;
        }
        let sender = self.sender(header.address)?;
        Some(Received { sender, port: Some(header.port), payload: payload.to_vec() })
    }

    /// Returns once the proxy has ended the association, or has gone.
    async fn until_ended(&self) {
        let mut ignored = [0; 64];
        while self.control.readable().await.is_ok() {
            match self.control.try_read(&mut ignored) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

impl Association for ProxyAssociation {
    async fn send(&self, target: &Target, port: u16, payload: &[u8]) -> Result<(), Failure> {
        self.remember(target);
        let named = Named::of(target)?;
        let header = Header { fragment: Fragment::STANDALONE, address: named.address(), port };
        let mut datagram = vec![0; Header::MAX_LENGTH];
        let length = header.encode(&mut datagram).map_err(|_| Failure::MalformedName)?;
        datagram.truncate(length);
        datagram.extend_from_slice(payload);
        match self.socket.send(&datagram).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Failure::RouterUnavailable),
            // It is too long.
            Err(_) => Err(Failure::NoSocket),
        }
    }

    async fn receive(&self) -> Result<Received, Failure> {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        loop {
            let length = tokio::select! {
                () = self.until_ended() => return Err(Failure::RouterUnavailable),
                length = self.socket.recv(&mut buffer) => length.map_err(|_| Failure::RouterUnavailable)?,
            };
            if let Some(received) = self.received(buffer.get(..length).unwrap_or_default()) {
                return Ok(received);
            }
        }
    }
}

/// Why a request failed. All failures that have one code are told to the program in the same way.
fn failure(error: &HandshakeError) -> Failure {
    match error {
        HandshakeError::Refused(ClientError::Refused(code)) => failure_with(*code),
        HandshakeError::Refused(ClientError::Encode(_)) => Failure::MalformedName,
        // The proxy is gone, or ends.
        HandshakeError::Io(_) | HandshakeError::Refused(_) => Failure::RouterUnavailable,
    }
}

fn failure_with(code: ReplyCode) -> Failure {
    let find = |has: fn(&Failure) -> ReplyCode| Failure::ALL.into_iter().find(|one| has(one) == code);
    let extended = find(|one| one.row().extended);
    extended.or_else(|| find(|one| one.row().socks5)).unwrap_or(Failure::RouterError)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy tells a code, and several failures have one.
    #[test]
    fn a_program_is_told_every_failure_as_if_the_proxy_had_named_it() {
        for told in Failure::ALL {
            let row = told.row();
            for code in [row.extended, row.socks5] {
                assert_eq!(failure_with(code).row().connect, row.connect, "{told:?}, {code:?}");
            }
        }
        assert_eq!(failure_with(Failure::NameUnknown.row().extended), Failure::NameUnknown, "DNS knows it");
        assert_eq!(failure_with(ReplyCode(99)), Failure::RouterError);
    }

    #[test]
    fn identities_by_name_are_no_runs() {
        let (first, second) = (Identity::of_this_run().unwrap(), Identity::of_this_run().unwrap());
        assert_ne!(first.value, second.value);
        let named = Identity::named(&first.value.parse().unwrap());
        assert_eq!(named.value, first.value);
        assert_ne!(named.credentials(), first.credentials());
    }
}

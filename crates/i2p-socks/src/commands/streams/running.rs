//! The running proxy with the same state directory, as a SOCKS client uses it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use i2p_name::{I2pName, Target};
use i2p_tunnel::{BoundAddress, Failure, Socket};
use socks_wire::{
    Address, ClientError, ClientHandshake, ClientRequest, ClientStep, Command, LONG_BUFFER_BYTES, Protocol,
    auth::Credentials, stream::OwnedAddress, v5::ReplyCode,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    super::status::report_of,
    asked::ConnectTarget,
    reply::{RequestKind, explain_reply},
    user::User,
};
use crate::{
    command_error::CommandError,
    commands::remark_demo_answers,
    config::{Config, tunnel::TunnelName},
    control::client::ControlClient,
    daemon::ports::{self, ListeningAt},
    listener::{Listener, connectable},
    status::report::FailureReport,
};

/// How long to wait for a reply. Longer than any limit of the proxy itself, but for BIND, which is not limited here.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// SOCKS5 cannot carry longer names.
const MAX_DOMAIN_BYTES: usize = 255;
const NO_LISTENER: &str =
    "the running proxy has no listener for SOCKS clients: add IP:PORT or unix:/PATH to listen";

/// What a tunnel lacks that has no socket for `exec`.
const NEEDS_FOR_EXEC: &str = "needs a listener at IP:PORT or unix:/PATH, SOCKS among its protocols, and key = \"transient\". If it has them, the \
                              proxy's log says why exec cannot use it";

/// How long the proxy may take to say why it refused a request. It may ask its router first.
const REASON_TIMEOUT: Duration = Duration::from_secs(5);

/// The running proxy: the listeners of one tunnel, or of all.
pub(in crate::commands) struct RunningProxy {
    control: ControlClient,
    listeners: Vec<Listener>,
    /// The tunnel that the user has chosen.
    tunnel: Option<TunnelName>,
    /// The user name and password to send, if there are any.
    user: Option<User>,
}

/// A request that the proxy granted.
pub(in crate::commands) struct GrantedRequest<S = Socket> {
    pub(in crate::commands) socket: S,
    /// BND.ADDR and BND.PORT.
    pub(in crate::commands) address: OwnedAddress,
    pub(in crate::commands) port: u16,
}

/// Why a handshake with the proxy failed.
pub(in crate::commands) enum HandshakeError {
    Io(io::Error),
    Refused(ClientError),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl RunningProxy {
    /// Finds the proxy with this state directory, or the demo, which is said; `None` if neither is running.
    pub(in crate::commands) async fn find(
        config: &Config,
        tunnel: Option<&TunnelName>,
        user: Option<User>,
    ) -> Result<Option<Self>, CommandError> {
        let Some((control, ListeningAt { mut listeners, .. })) = running(config).await? else {
            return Ok(None);
        };
        if control.is_of_demo() {
            remark_demo_answers();
        }
        if let Some(name) = tunnel {
            listeners.retain(|listener| listener.tunnel == name.as_str());
        }
        match (listeners.is_empty(), tunnel) {
            (false, _) => Ok(Some(Self { control, listeners, tunnel: tunnel.cloned(), user })),
            (true, Some(name)) => Err(no_tunnel(name)),
            (true, None) => Err(CommandError::run_time(NO_LISTENER)),
        }
    }

    /// Fails if it is the demo, whose routers carry streams to its page and nothing else.
    pub(in crate::commands) fn refuse_demo(&self, what: &str) -> Result<(), CommandError> {
        refuse_demo(&self.control, what)
    }

    /// Opens a stream to a host.
    pub(in crate::commands) async fn connect(&self, asked: &ConnectTarget) -> Result<Socket, CommandError> {
        let hash = match &asked.target {
            // SOCKS4a has no passwords, and SOCKS5 has no room for a destination.
            Target::I2p(I2pName::Destination(destination)) if self.user.is_some() => {
                Some(destination.b32().to_string())
            }
            _ => None,
        };
        let host = hash.as_deref().unwrap_or(&asked.host);
        let address = match &asked.target {
            Target::Ip(ip) => Address::Ip(*ip),
            _ => Address::Domain(host.as_bytes()),
        };
        let long = host.len() > MAX_DOMAIN_BYTES;
        let request = ClientRequest {
            protocol: if long { Protocol::Socks4a } else { Protocol::Socks5 },
            command: Command::CONNECT,
            address,
            port: asked.port,
            credentials: self.credentials(),
        };
        let listener = self.first_listener()?;
        let socket = open(listener).await?;
        let asked_at = Instant::now();
        match within(handshake(socket, request, |_| {})).await {
            Ok(granted) => Ok(granted.socket),
            Err(error) => Err(self.explain(&listener.tunnel, RequestKind::Stream, error, asked_at).await),
        }
    }

    /// Requests a relay for datagrams. It lives as long as the connection on which it was requested.
    pub(in crate::commands) async fn associate(&self) -> Result<GrantedRequest, CommandError> {
        let mut refused = None;
        // The relay needs the IP address of the client, which a Unix socket does not have.
        for listener in self.listeners.iter().filter(|listener| listener.address.tcp().is_some()) {
            let socket = open(listener).await?;
            let asked_at = Instant::now();
            let asked = within(handshake(socket, self.untargeted(Command::UDP_ASSOCIATE, 0), |_| {})).await;
            match asked {
                Ok(granted) => return Ok(granted),
                // Another tunnel may carry datagrams, or need no password.
                Err(HandshakeError::Refused(
                    error @ (ClientError::Refused(ReplyCode::COMMAND_NOT_SUPPORTED)
                    | ClientError::NoAcceptableMethod),
                )) => {
                    refused.get_or_insert((listener, HandshakeError::Refused(error), asked_at));
                }
                Err(error) => {
                    return Err(self
                        .explain(&listener.tunnel, RequestKind::Datagrams, error, asked_at)
                        .await);
                }
            }
        }
        Err(match refused {
            Some((listener, error, asked_at)) => {
                self.explain(&listener.tunnel, RequestKind::Datagrams, error, asked_at).await
            }
            None => CommandError::run_time(
                "the proxy listens for SOCKS clients on Unix sockets only or not at all, and only a listener at IP:PORT carries datagrams: add \
                 one to listen",
            ),
        })
    }

    /// The next stream of a peer. `on_address` gets the address to connect to as soon as it is known.
    pub(in crate::commands) async fn bind(
        &self,
        port: u16,
        on_address: impl FnMut(&str),
    ) -> Result<Socket, CommandError> {
        let listener = self.first_listener()?;
        let socket = open(listener).await?;
        let asked_at = Instant::now();
        match handshake(socket, self.untargeted(Command::BIND, port), on_address).await {
            Ok(granted) => Ok(granted.socket),
            Err(error) => Err(self.explain(&listener.tunnel, RequestKind::Peers, error, asked_at).await),
        }
    }

    /// Why a request failed that was sent at `asked_at`.
    async fn explain(
        &self,
        tunnel: &str,
        kind: RequestKind,
        error: HandshakeError,
        asked_at: Instant,
    ) -> CommandError {
        match error {
            HandshakeError::Refused(error) => {
                explain_reply(tunnel, kind, &error, &self.failures_since(tunnel, asked_at).await)
            }
            HandshakeError::Io(error) => CommandError::run_time(format_args!(
                "the connection to the running proxy broke: {error}. Check its log, and try again"
            )),
        }
    }

    /// The kinds of failures that the proxy has counted on a tunnel since then; none if it does not tell.
    async fn failures_since(&self, tunnel: &str, then: Instant) -> Vec<Failure> {
        let Ok(Ok(report)) = timeout(REASON_TIMEOUT, report_of(&self.control)).await else {
            return Vec::new();
        };
        let since = then.elapsed().as_millis();
        let recent =
            report.failures.iter().filter(|one| one.tunnel == tunnel && u128::from(one.ago_ms) <= since);
        let kind = |one: &FailureReport| Failure::ALL.into_iter().find(|kind| kind.row().label == one.kind);
        recent.filter_map(kind).collect()
    }

    fn credentials(&self) -> Option<Credentials<'_>> {
        self.user.as_ref().map(User::credentials)
    }

    /// A request without a target.
    fn untargeted(&self, command: Command, port: u16) -> ClientRequest<'_> {
        let address = Address::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        ClientRequest { protocol: Protocol::Socks5, command, address, port, credentials: self.credentials() }
    }

    /// The listener to ask for streams.
    fn first_listener(&self) -> Result<&Listener, CommandError> {
        self.listeners.iter().find(|listener| listener.is_proxy()).ok_or_else(|| self.no_proxy_listener())
    }

    fn no_proxy_listener(&self) -> CommandError {
        match (&self.tunnel, self.listeners.first()) {
            (Some(name), Some(_)) => CommandError::usage(format_args!(
                "the listeners of tunnel {} are not for SOCKS clients: choose another --tunnel, or add IP:PORT or unix:/PATH to its listen",
                name.as_str()
            )),
            _ => CommandError::run_time(NO_LISTENER),
        }
    }
}

/// A tunnel of the running proxy that programs can be contained with.
pub(in crate::commands) struct ExecTunnel {
    /// Its socket for them.
    pub(in crate::commands) socket: PathBuf,
    pub(in crate::commands) carries_datagrams: bool,
}

impl ExecTunnel {
    /// Finds it at the proxy with this state directory: the one with this name, or the first. `None` if no proxy is running.
    ///
    /// # Errors
    /// There is no such tunnel, or the demo is running.
    pub(in crate::commands) async fn find(
        config: &Config,
        tunnel: Option<&TunnelName>,
    ) -> Result<Option<Self>, CommandError> {
        let Some((control, ListeningAt { exec, .. })) = running(config).await? else { return Ok(None) };
        refuse_demo(&control, "cannot be used by exec: it serves only programs that connect to its port")?;
        let report = report_of(&control).await.map_err(CommandError::run_time)?;
        let named = |name: &str| report.tunnels.iter().find(|report| report.name == name);
        let wanted = |socket: &&Listener| tunnel.is_none_or(|name| socket.tunnel == name.as_str());
        let Some(Listener { tunnel: name, address: BoundAddress::Unix(socket) }) = exec.iter().find(wanted)
        else {
            return Err(match tunnel {
                Some(name) if named(name.as_str()).is_none() => no_tunnel(name),
                Some(name) => CommandError::usage(format_args!(
                    "exec cannot use tunnel {} of the running proxy: it {NEEDS_FOR_EXEC}",
                    name.as_str()
                )),
                None => CommandError::run_time(format_args!(
                    "the running proxy has no tunnel that exec can use: one {NEEDS_FOR_EXEC}"
                )),
            });
        };
        // As long as the proxy starts, its report may not tell: then it is asked.
        let carries_datagrams = named(name).is_some_and(|report| report.datagrams.is_some() || !report.ready);
        Ok(Some(Self { socket: socket.into(), carries_datagrams }))
    }
}

fn no_tunnel(name: &TunnelName) -> CommandError {
    CommandError::usage(format_args!(
        "the running proxy has no tunnel called {}: i2p-socks status lists its tunnels",
        name.as_str()
    ))
}

/// The proxy with this state directory, or the demo, and its listeners; `None` if neither is running.
async fn running(config: &Config) -> Result<Option<(ControlClient, ListeningAt)>, CommandError> {
    let Ok(state_dir) = config.state_dir() else { return Ok(None) };
    match listening(ControlClient::of(&state_dir)).await? {
        None => listening(ControlClient::of_demo_beside(&state_dir)).await,
        found => Ok(found),
    }
}

/// The listeners of the proxy or the demo at the other end; `None` if it is not running.
async fn listening(control: ControlClient) -> Result<Option<(ControlClient, ListeningAt)>, CommandError> {
    let found = ports::read(control.state_dir()).map_err(|error| {
        CommandError::run_time(format_args!(
            "cannot find out where the proxy listens: ports.json in {} cannot be read: {error}. Check that the proxy runs as the same \
             user, or choose another proxy with --state-dir",
            control.state_dir().display()
        ))
    })?;
    let Some(listeners) = found else { return Ok(None) };
    // A proxy that was killed leaves the file behind, and another program may have its port by now.
    if cfg!(unix) && !control.is_running().await.map_err(CommandError::run_time)? {
        return Ok(None);
    }
    Ok(Some((control, listeners)))
}

fn refuse_demo(control: &ControlClient, what: &str) -> Result<(), CommandError> {
    if !control.is_of_demo() {
        return Ok(());
    }
    Err(CommandError::run_time(format_args!(
        "the demo {what}. End the demo, and start a proxy with i2p-socks run"
    )))
}

/// Limits the time of a handshake.
async fn within(
    handshake: impl Future<Output = Result<GrantedRequest, HandshakeError>>,
) -> Result<GrantedRequest, HandshakeError> {
    timeout(REPLY_TIMEOUT, handshake)
        .await
        .unwrap_or_else(|_| Err(HandshakeError::Io(io::ErrorKind::TimedOut.into())))
}

/// Connects to a listener.
async fn open(listener: &Listener) -> Result<Socket, CommandError> {
    open_at(&listener.address).await.map_err(|error| {
        CommandError::run_time(format_args!(
            "cannot connect to the running proxy at {}: {error}. Choose another tunnel with --tunnel NAME",
            listener.address
        ))
    })
}

async fn open_at(address: &BoundAddress) -> io::Result<Socket> {
    let socket = match address {
        BoundAddress::Tcp(address) => TcpStream::connect(connectable(*address)).await?.into(),
        #[cfg(unix)]
        BoundAddress::Unix(path) => tokio::net::UnixStream::connect(path).await?.into(),
        // A Unix socket on a system without them.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let _: Result<(), io::Error> = Socket::set_nodelay(&socket);
    Ok(socket)
}

/// Runs the handshake of a SOCKS client. For BIND it returns once a peer has connected; before that, `on_address` gets the address
/// that the proxy listens at.
pub(in crate::commands) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    request: ClientRequest<'_>,
    mut on_address: impl FnMut(&str),
) -> Result<GrantedRequest<S>, HandshakeError> {
    let mut handshake = ClientHandshake::new(request);
    let mut input = Vec::new();
    // Room for a destination in base64, the longest thing that a client sends.
    let mut output = vec![0; LONG_BUFFER_BYTES];
    loop {
        let taken = match handshake.step(&input, &mut output).map_err(HandshakeError::Refused)? {
            ClientStep::Send { taken, length } => {
                socket.write_all(output.get(..length).unwrap_or_default()).await?;
                taken
            }
            ClientStep::Receive { at_least } => {
                // And no more: what follows the reply stays in the socket, for the program that reads the stream.
                if (&mut socket).take(at_least as u64).read_buf(&mut input).await? == 0 {
                    return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                0
            }
            ClientStep::Listening { taken, reply } => {
                if let Address::Domain(name) = reply.address {
                    on_address(&String::from_utf8_lossy(name));
                }
                taken
            }
            ClientStep::Established { taken, reply } => {
                debug_assert_eq!(taken, input.len(), "nothing behind the reply was read");
                return Ok(GrantedRequest { socket, address: reply.address.into(), port: reply.port });
            }
            ClientStep::Over => return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into())),
        };
        input.drain(..taken);
    }
}

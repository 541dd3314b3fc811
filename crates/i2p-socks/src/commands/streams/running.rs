//! The proxy that runs with the same state directory.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use i2p_name::{I2pName, Target};
use i2p_tunnel::{BoundAddress, Socket};
use socks_wire::{
    Address, ClientError, ClientHandshake, ClientRequest, ClientStep, Command, LONG_BUFFER_BYTES, Protocol,
    auth::Credentials, stream::OwnedAddress, v5::ReplyCode,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    asked::Asked,
    reply::{Asking, refused},
    user::User,
};
use crate::{
    config::{Config, tunnel::TunnelName},
    control::client::Client,
    daemon::ports::{self, Listener},
    failure::Failure,
    place::reachable,
};

/// Longer than a proxy waits for anything before it says that it failed, unless it waits for peers.
const ANSWER: Duration = Duration::from_secs(10 * 60);
/// Names that are longer have no form in SOCKS5.
const MAX_DOMAIN: usize = 255;
const NOWHERE: &str = "the proxy that runs listens nowhere";

/// A proxy that runs, by the listeners of one tunnel, or of all.
pub(in crate::commands) struct RunningProxy {
    listeners: Vec<Listener>,
    /// Who asks it, where that was said.
    user: Option<User>,
}

/// A request that was granted.
pub(in crate::commands) struct Granted {
    pub(in crate::commands) socket: Socket,
    /// BND.ADDR and BND.PORT.
    pub(in crate::commands) address: OwnedAddress,
    pub(in crate::commands) port: u16,
    /// What has come behind the reply.
    pub(in crate::commands) early: Vec<u8>,
}

/// Why none was.
enum Talk {
    Io(io::Error),
    Refused(ClientError),
}

impl From<io::Error> for Talk {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl RunningProxy {
    /// Nothing, if none runs with this state directory.
    pub(in crate::commands) async fn find(
        config: &Config,
        tunnel: Option<&TunnelName>,
        user: Option<User>,
    ) -> Result<Option<Self>, Failure> {
        let Ok(state_dir) = config.state_dir() else { return Ok(None) };
        let found = ports::read(&state_dir).map_err(|error| {
            Failure::run_time(format_args!(
                "cannot read in {} where the proxy listens: {error}. See that it runs as the same user, or say with --state-dir \
                 where another one has its files",
                state_dir.display()
            ))
        })?;
        let Some(mut listeners) = found else { return Ok(None) };
        // A proxy that was killed leaves the file, and its port may be somebody else's now.
        if cfg!(unix) && !Client::of(&state_dir).is_running().await.map_err(Failure::run_time)? {
            return Ok(None);
        }
        if let Some(name) = tunnel {
            listeners.retain(|listener| listener.tunnel == name.as_str());
        }
        match (listeners.is_empty(), tunnel) {
            (false, _) => Ok(Some(Self { listeners, user })),
            (true, Some(name)) => Err(Failure::usage(format_args!(
                "the proxy that runs has no tunnel that is called {}: i2p-socks status lists those that it has",
                name.as_str()
            ))),
            (true, None) => Err(Failure::run_time(NOWHERE)),
        }
    }

    /// A stream to a host, and what has come of it already.
    pub(in crate::commands) async fn connect(&self, asked: &Asked) -> Result<(Socket, Vec<u8>), Failure> {
        let hash = match &asked.target {
            // SOCKS4a has no passwords, and SOCKS5 no room for a destination.
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
        let long = host.len() > MAX_DOMAIN;
        let request = ClientRequest {
            protocol: if long { Protocol::Socks4a } else { Protocol::Socks5 },
            command: Command::CONNECT,
            address,
            port: asked.port,
            credentials: self.credentials(),
        };
        let listener = self.first()?;
        let socket = open(listener).await?;
        let granted = within(talk(socket, request, |_| {})).await;
        granted
            .map(|granted| (granted.socket, granted.early))
            .map_err(|error| said(&listener.tunnel, Asking::Stream, error))
    }

    /// A relay for datagrams, which lives as long as the stream on which it was asked for.
    pub(in crate::commands) async fn associate(&self) -> Result<Granted, Failure> {
        let mut refused = None;
        // Datagrams have a relay only where the client has an address.
        for listener in self.listeners.iter().filter(|listener| listener.address.tcp().is_some()) {
            let socket = open(listener).await?;
            let asked = within(talk(socket, self.anybody(Command::UDP_ASSOCIATE, 0), |_| {})).await;
            match asked {
                Ok(granted) => return Ok(granted),
                // Another tunnel may carry them, or ask for no password.
                Err(Talk::Refused(
                    error @ (ClientError::Refused(ReplyCode::COMMAND_NOT_SUPPORTED)
                    | ClientError::NoAcceptableMethod),
                )) => {
                    refused.get_or_insert((listener, Talk::Refused(error)));
                }
                Err(error) => return Err(said(&listener.tunnel, Asking::Datagrams, error)),
            }
        }
        Err(match refused {
            Some((listener, error)) => said(&listener.tunnel, Asking::Datagrams, error),
            None => Failure::run_time(
                "the proxy listens at Unix sockets alone, by which it takes no datagrams: add an IP:PORT to listen",
            ),
        })
    }

    /// The next stream of a peer. The address that peers need is told as soon as it is known.
    pub(in crate::commands) async fn bind(
        &self,
        port: u16,
        told: impl FnMut(&str),
    ) -> Result<(Socket, Vec<u8>), Failure> {
        let listener = self.first()?;
        let socket = open(listener).await?;
        let granted = talk(socket, self.anybody(Command::BIND, port), told).await;
        granted
            .map(|granted| (granted.socket, granted.early))
            .map_err(|error| said(&listener.tunnel, Asking::Peers, error))
    }

    fn credentials(&self) -> Option<Credentials<'_>> {
        self.user.as_ref().map(User::credentials)
    }

    /// A request that is about nobody in particular.
    fn anybody(&self, command: Command, port: u16) -> ClientRequest<'_> {
        let address = Address::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        ClientRequest { protocol: Protocol::Socks5, command, address, port, credentials: self.credentials() }
    }

    /// The listener that is asked for streams.
    fn first(&self) -> Result<&Listener, Failure> {
        self.listeners.first().ok_or_else(|| Failure::run_time(NOWHERE))
    }
}

/// A handshake whose answer is not waited for for ever.
async fn within(talk: impl Future<Output = Result<Granted, Talk>>) -> Result<Granted, Talk> {
    timeout(ANSWER, talk).await.unwrap_or_else(|_| Err(Talk::Io(io::ErrorKind::TimedOut.into())))
}

fn said(tunnel: &str, asking: Asking, error: Talk) -> Failure {
    match error {
        Talk::Refused(error) => refused(tunnel, asking, &error),
        Talk::Io(error) => Failure::run_time(format_args!(
            "the proxy that runs broke the connection off: {error}. See its log, and try again"
        )),
    }
}

/// A connection to a listener.
async fn open(listener: &Listener) -> Result<Socket, Failure> {
    open_at(&listener.address).await.map_err(|error| {
        Failure::run_time(format_args!(
            "the proxy that runs cannot be connected to at {}: {error}. Say with --tunnel NAME which other one to use",
            listener.address
        ))
    })
}

async fn open_at(address: &BoundAddress) -> io::Result<Socket> {
    let socket = match address {
        BoundAddress::Tcp(address) => TcpStream::connect(reachable(*address)).await?.into(),
        #[cfg(unix)]
        BoundAddress::Unix(path) => tokio::net::UnixStream::connect(path).await?.into(),
        // Unix sockets, where there are none.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let _: Result<(), io::Error> = Socket::send_at_once(&socket);
    Ok(socket)
}

/// A client's handshake. For BIND it comes back when a peer has come; before that, `told` gets the address that is listened at.
async fn talk(
    mut socket: Socket,
    request: ClientRequest<'_>,
    mut told: impl FnMut(&str),
) -> Result<Granted, Talk> {
    let mut handshake = ClientHandshake::new(request);
    let mut input = Vec::new();
    // A destination in base64 is longer than anything else that a client sends.
    let mut output = vec![0; LONG_BUFFER_BYTES];
    loop {
        let taken = match handshake.step(&input, &mut output).map_err(Talk::Refused)? {
            ClientStep::Send { taken, length } => {
                socket.write_all(output.get(..length).unwrap_or_default()).await?;
                taken
            }
            ClientStep::Receive { .. } => {
                if socket.read_buf(&mut input).await? == 0 {
                    return Err(Talk::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                0
            }
            ClientStep::Listening { taken, reply } => {
                if let Address::Domain(name) = reply.address {
                    told(&String::from_utf8_lossy(name));
                }
                taken
            }
            ClientStep::Established { taken, reply } => {
                let (address, port) = (reply.address.into(), reply.port);
                input.drain(..taken);
                return Ok(Granted { socket, address, port, early: input });
            }
            ClientStep::Over => return Err(Talk::Io(io::ErrorKind::UnexpectedEof.into())),
        };
        input.drain(..taken);
    }
}

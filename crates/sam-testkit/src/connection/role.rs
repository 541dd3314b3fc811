//! What a connection becomes after a STREAM command: a stream, or one end of a STREAM ACCEPT or FORWARD.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};

use super::wire::Wire;
use crate::{
    acceptors::Acceptor,
    dialect::{Dialect, Version},
    endpoint::Endpoint,
    recorder::lock,
    registry::{FarEnd, Forwarding, Offer, OpenStream, Session, StreamPeer, becomes_true},
    relay,
    socket::Socket,
};

/// How long a FORWARD's own server may take to answer (SAM v3, "SAM virtual streams: FORWARD").
const FORWARD_TIMEOUT: Duration = Duration::from_secs(3);

/// What a connection is after a STREAM command.
pub(crate) enum Role {
    /// A stream to a far end that a test's script asks for.
    Scripted { endpoint: Endpoint, session: Option<Arc<Session>> },
    /// A stream to a server on this machine.
    ToServer { server: Socket, session: Option<Arc<Session>> },
    /// A stream to a far end.
    ToFarEnd { far_end: Arc<FarEnd>, session: Arc<Session> },
    /// A stream to another session's STREAM ACCEPT.
    ToAcceptor { acceptor: Acceptor, session: Arc<Session>, from: StreamPeer },
    /// A stream to another session's STREAM FORWARD.
    ToForward { forwarding: Forwarding, session: Arc<Session>, from: StreamPeer, peer_line: PeerLine },
    /// A stream that was reported as connected and that nobody accepts. It is closed after this time, if there is one.
    ToNobody { session: Arc<Session>, close_after: Option<Duration> },
    /// A stream that was reported as connected, and that waits for another session's STREAM ACCEPT. It is closed after this time.
    Kept {
        acceptor: oneshot::Receiver<Acceptor>,
        session: Arc<Session>,
        from: StreamPeer,
        close_after: Duration,
    },
    /// A STREAM ACCEPT that waits for a peer.
    Acceptor { session: Arc<Session>, offer: oneshot::Receiver<Offer>, peer_line: PeerLine },
    /// A STREAM FORWARD, for as long as the connection is open.
    Forwarder { session: Arc<Session> },
}

impl Role {
    /// Plays the role until the connection ends. A stream counts as `open` until then.
    pub(crate) async fn play(self, wire: Wire, open: OpenStream) -> io::Result<()> {
        let Wire { stream, buffer } = wire;
        match self {
            Self::Scripted { endpoint, session } => {
                let peer = session.as_ref().map(|session| session.keys.public.clone()).unwrap_or_default();
                while_any(session.as_deref(), endpoint.serve(stream, buffer, &peer)).await
            }
            Self::ToServer { server, session } => {
                while_any(session.as_deref(), relay::to_server(&stream, &buffer, &server)).await
            }
            Self::ToFarEnd { far_end, session } => {
                let serve = far_end.endpoint.serve(stream, buffer, &session.keys.public);
                while_open(&session, serve).await
            }
            Self::ToAcceptor { acceptor, session, from } => {
                let ended = session.ended.subscribe();
                // If the acceptor has gone just now, the stream is closed, as a router's would be.
                let _ = acceptor.send(Offer { stream, early: buffer, from, ended, open });
                Ok(())
            }
            Self::ToForward { forwarding, session, from, peer_line } => {
                while_open(&session, forward(stream, buffer, forwarding, &peer_line.text(&from))).await
            }
            Self::ToNobody { session, close_after } => {
                let wait = async {
                    match close_after {
                        Some(after) => sleep(after).await,
                        None => relay::discard(&stream).await?,
                    }
                    Ok(())
                };
                while_open(&session, wait).await
            }
            Self::Kept { acceptor, session, from, close_after } => {
                let ended = session.ended.subscribe();
                let wait = async {
                    if let Ok(Ok(acceptor)) = timeout(close_after, acceptor).await {
                        let _ = acceptor.send(Offer { stream, early: buffer, from, ended, open });
                    }
                    Ok(())
                };
                while_open(&session, wait).await
            }
            // These two are not streams: the peers that connect to them are.
            Self::Acceptor { session, offer, peer_line } => {
                drop(open);
                while_open(&session, accept(stream, buffer, offer, peer_line)).await
            }
            Self::Forwarder { session } => {
                drop(open);
                let result = while_open(&session, relay::discard(&stream)).await;
                *lock(&session.forwarding) = None;
                result
            }
        }
    }
}

/// The line that names the peer to a session that accepts a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerLine {
    /// `SILENT=true`.
    Omitted,
    Destination,
    DestinationAndPorts,
}

impl PeerLine {
    /// The line that this dialect sends, unless `SILENT=true` was given. Java sends the ports from 3.2 on; i2pd and emissary
    /// never do.
    pub(crate) fn unless_silent(silent: bool, dialect: Dialect, version: Version) -> Self {
        match dialect {
            _ if silent => Self::Omitted,
            Dialect::Java if version >= (3, 2) => Self::DestinationAndPorts,
            _ => Self::Destination,
        }
    }

    /// The line with its newline; empty when it is omitted.
    fn text(self, peer: &StreamPeer) -> String {
        let StreamPeer { destination, from_port, to_port } = peer;
        match self {
            Self::Omitted => String::new(),
            Self::Destination => format!("{destination}\n"),
            Self::DestinationAndPorts => format!("{destination} FROM_PORT={from_port} TO_PORT={to_port}\n"),
        }
    }
}

/// Works until the session ends.
async fn while_open(session: &Session, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut ended = session.ended.subscribe();
    tokio::select! {
        result = work => result,
        () = becomes_true(&mut ended) => Ok(()),
    }
}

/// Works until the session ends, if the stream belongs to one.
async fn while_any(session: Option<&Session>, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    match session {
        Some(session) => while_open(session, work).await,
        None => work.await,
    }
}

/// Waits for a peer, names it, and moves bytes between the two.
async fn accept(
    stream: Socket,
    early: Vec<u8>,
    mut offer: oneshot::Receiver<Offer>,
    peer_line: PeerLine,
) -> io::Result<()> {
    let offer = tokio::select! {
        offer = &mut offer => offer,
        () = closed(&stream) => return Ok(()),
    };
    let Ok(Offer { stream: peer, early: from_peer, from, mut ended, open }) = offer else { return Ok(()) };
    let talk = async {
        relay::send(&stream, peer_line.text(&from).as_bytes()).await?;
        relay::send(&stream, &from_peer).await?;
        relay::send(&peer, &early).await?;
        relay::both_ways(&stream, &peer).await
    };
    let result = tokio::select! {
        result = talk => result,
        () = becomes_true(&mut ended) => Ok(()),
    };
    drop(open);
    result
}

/// Returns once the client has closed; never once it has sent something.
async fn closed(stream: &Socket) {
    if matches!(stream.has_data().await, Ok(true)) {
        std::future::pending::<()>().await;
    }
}

async fn forward(stream: Socket, early: Vec<u8>, to: Forwarding, peer_line: &str) -> io::Result<()> {
    let server = timeout(FORWARD_TIMEOUT, TcpStream::connect(to.address)).await??;
    server.set_nodelay(true)?;
    let server = Socket::Tcp(server);
    relay::send(&server, peer_line.as_bytes()).await?;
    relay::send(&server, &early).await?;
    relay::both_ways(&stream, &server).await
}

use std::sync::Arc;

use i2p_name::{Destination, HostName, I2pName};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    Bridge, Error, Phase,
    bridge::{answer, broken, unexpected, within},
    connection::{Connection, Line},
    wire::{
        AcceptedFrom, NamingLookup, Pong, Reply, ResultWord, SessionCreate, SessionId, SessionOptions,
        Status, StreamAccept, StreamConnect,
    },
};

/// Lookups that may wait for their turn: emissary loses one of two that run at once, so they go one by one.
const WAITING_LOOKUPS: usize = 64;

/// An open session: a destination on the network and its tunnels. Clones are the same session; it ends when the
/// last one is dropped, or when the router goes away.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    bridge: Bridge,
    id: SessionId,
    destination: Destination,
    lookups: mpsc::Sender<Lookup>,
    lost: watch::Receiver<bool>,
}

struct Lookup {
    name: I2pName,
    reply: oneshot::Sender<Result<Destination, Error>>,
}

impl Session {
    pub(crate) async fn create(
        bridge: Bridge,
        id: SessionId,
        options: &SessionOptions,
    ) -> Result<Self, Error> {
        let phase = Phase::SessionCreate;
        let (mut control, _) = bridge.connect().await?;
        let create = async {
            let command = SessionCreate { id: &id, options };
            control.send(command).await.map_err(|error| broken(&error, phase))?;
            loop {
                let line = answer(&mut control, phase).await?;
                match Reply::parse(&line).map_err(unexpected(phase))? {
                    Reply::Session { status, private_key } if status.result == ResultWord::Ok => {
                        let key = private_key.ok_or(Error::Unexpected { phase })?;
                        return Destination::from_private_key(&key).map_err(|_| Error::Unexpected { phase });
                    }
                    Reply::Session { status, .. } => return Err(Error::refused(phase, status)),
                    // A PING that crossed our command; commands are not answered out of turn.
                    Reply::Ping(_) => {}
                    _ => return Err(Error::Unexpected { phase }),
                }
            }
        };
        let destination = within(bridge.timeouts().session_create, phase, create).await?;
        let (lookups, waiting) = mpsc::channel(WAITING_LOOKUPS);
        let (lost_sender, lost) = watch::channel(false);
        let limit = bridge.timeouts().naming_lookup;
        tokio::spawn(async move {
            Control { connection: control, waiting, limit }.run().await;
            lost_sender.send_replace(true);
        });
        Ok(Self { inner: Arc::new(Inner { bridge, id, destination, lookups, lost }) })
    }

    /// The session's own destination.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.inner.destination
    }

    /// Whether the router still holds the session. Once `false`, it stays so.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !*self.inner.lost.borrow()
    }

    /// Comes back when the session is gone.
    pub async fn lost(&self) {
        let mut lost = self.inner.lost.clone();
        // The sender says `true` before it goes, so both ways out mean the same.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Asks the router's address book for a destination. Lookups of one session run one after the other.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND` or `INVALID_KEY` when the router does not know the name (i2pd says
    /// the second), [`Error::Timeout`], [`Error::SessionLost`].
    pub async fn lookup(&self, name: &HostName) -> Result<Destination, Error> {
        let (reply, answer) = oneshot::channel();
        let lookup = Lookup { name: name.clone().into(), reply };
        self.inner.lookups.send(lookup).await.map_err(|_| Error::SessionLost)?;
        answer.await.unwrap_or(Err(Error::SessionLost))
    }

    /// Connects a stream to a destination and port; port 0 is "any". A host name is resolved by the router.
    ///
    /// i2pd answers when the stream is on its way, the other routers when the far end has answered.
    ///
    /// # Errors
    /// [`Error::Refused`] with the router's word, [`Error::Timeout`], [`Error::Closed`] (emissary's way to say
    /// several things), [`Error::SessionLost`], and what [`Bridge::probe`] can say.
    pub async fn connect(&self, destination: &I2pName, port: u16) -> Result<TcpStream, Error> {
        let phase = Phase::StreamConnect;
        let command = StreamConnect { id: &self.inner.id, destination, port };
        let limit = self.inner.bridge.timeouts().stream_connect;
        let connect = async {
            let mut connection = self.stream_connection().await?;
            connection.send(command).await.map_err(|error| broken(&error, phase))?;
            stream_status(&mut connection, phase).await?;
            Ok(connection.into_stream())
        };
        self.unless_lost(within(limit, phase, connect)).await
    }

    /// Waits for a peer to connect to the session, which has to be published. Any number may wait at once.
    ///
    /// Gives the stream and who has come.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Closed`], [`Error::SessionLost`], and what [`Bridge::probe`] can say.
    pub async fn accept(&self) -> Result<(TcpStream, Destination), Error> {
        let phase = Phase::StreamAccept;
        let accept = async {
            let mut connection = self.stream_connection().await?;
            let command = StreamAccept { id: &self.inner.id };
            connection.send(command).await.map_err(|error| broken(&error, phase))?;
            stream_status(&mut connection, phase).await?;
            let line = answer(&mut connection, phase).await?;
            let Ok(AcceptedFrom { destination }) = AcceptedFrom::parse(&line) else {
                return Err(match Reply::parse(&line) {
                    Ok(Reply::Stream { status }) => Error::refused(phase, status),
                    _ => Error::Unexpected { phase },
                });
            };
            let peer = destination.parse().map_err(|_| Error::Unexpected { phase })?;
            Ok((connection.into_stream(), peer))
        };
        self.unless_lost(accept).await
    }

    async fn stream_connection(&self) -> Result<Connection, Error> {
        self.inner.bridge.connect().await.map(|(connection, _)| connection)
    }

    /// A router that goes away says so on the control connection first; what it does to the others comes in any
    /// order and any form.
    async fn unless_lost<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.lost() => Err(Error::SessionLost),
            result = work => result,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}

/// The status of a stream, which some routers send as one of the session. PINGs that were on their way are
/// skipped: a PONG here could end up in the stream.
async fn stream_status(connection: &mut Connection, phase: Phase) -> Result<(), Error> {
    loop {
        let line = answer(connection, phase).await?;
        return match Reply::parse(&line).map_err(unexpected(phase))? {
            Reply::Stream { status } if status.result == ResultWord::Ok => Ok(()),
            Reply::Stream { status } | Reply::Session { status, .. } => Err(Error::refused(phase, status)),
            Reply::Ping(_) => continue,
            _ => Err(Error::Unexpected { phase }),
        };
    }
}

/// Keeps a session's control connection: the session lives as long as it.
struct Control {
    connection: Connection,
    waiting: mpsc::Receiver<Lookup>,
    limit: std::time::Duration,
}

impl Control {
    /// Runs until the router closes the connection or nobody holds the session any more.
    async fn run(mut self) {
        loop {
            tokio::select! {
                line = self.connection.line() => match line {
                    Ok(Line::Complete(line)) => if self.unasked(&line).await.is_err() { return },
                    Ok(Line::End) | Err(_) => return,
                },
                lookup = self.waiting.recv() => {
                    let Some(lookup) = lookup else { return };
                    if self.serve(lookup).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Looks a name up, unless and until whoever asked has gone. An error means that the session is lost.
    async fn serve(&mut self, Lookup { name, mut reply }: Lookup) -> Result<(), Error> {
        if reply.is_closed() {
            return Ok(());
        }
        // Outside of what can be given up: half a command would spoil the next.
        let sent = self.connection.send(NamingLookup { name: &name }).await;
        sent.map_err(|_| Error::SessionLost)?;
        let limit = self.limit;
        let timed_out = Err(Error::Timeout { phase: Phase::NamingLookup, limit });
        let result = tokio::select! {
            result = timeout(limit, self.naming_reply(&name)) => result.unwrap_or(timed_out),
            // The answer, when it comes, is known by its name and skipped.
            () = reply.closed() => return Ok(()),
        };
        let lost = matches!(result, Err(Error::SessionLost));
        // Whoever asked may have gone just now.
        let _ = reply.send(result);
        if lost { Err(Error::SessionLost) } else { Ok(()) }
    }

    /// A line that answers nothing.
    async fn unasked(&mut self, line: &[u8]) -> Result<(), Error> {
        match Reply::parse(line) {
            Ok(Reply::Ping(text)) => {
                self.connection.send(Pong { text }).await.map_err(|_| Error::SessionLost)
            }
            // "PONG timeout" and the like: the router closes the session.
            Ok(Reply::Session { status, .. }) if status.result != ResultWord::Ok => Err(Error::SessionLost),
            // Late answers to lookups that were given up, and what later versions may bring.
            _ => Ok(()),
        }
    }

    async fn naming_reply(&mut self, name: &I2pName) -> Result<Destination, Error> {
        let phase = Phase::NamingLookup;
        let asked = name.to_string();
        loop {
            let Ok(Line::Complete(line)) = self.connection.line().await else {
                return Err(Error::SessionLost);
            };
            match Reply::parse(&line).map_err(unexpected(phase))? {
                // Another name: the late answer to a lookup that was given up.
                Reply::Naming { name, .. } if !name.is_empty() && name != asked => {}
                Reply::Naming { status: Status { result: ResultWord::Ok, .. }, value, .. } => {
                    let value = value.ok_or(Error::Unexpected { phase })?;
                    return value.parse().map_err(|_| Error::Unexpected { phase });
                }
                Reply::Naming { status, .. } => return Err(Error::refused(phase, status)),
                _ => self.unasked(&line).await?,
            }
        }
    }
}

//! The control connection of a session: the session lives as long as it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::{Destination, I2pName};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use zeroize::Zeroize;

use super::udp_socket::Socket;
use crate::{
    bridge::{
        Bridge,
        capabilities::Capabilities,
        connection::{Connection, Line, within},
        lookup,
    },
    error::{Error, Phase},
    wire::{
        Command, DatagramStyle, PrivateKey, Reply, ResultWord, SessionAdd, SessionCreate, SessionId,
        SessionOptions, SessionRemove, Style,
    },
};

/// Requests that may wait for their turn: emissary loses one of two lookups that run at once, so all go one by one.
const WAITING: usize = 64;

/// For the answer to a lookup that nobody waits for any more: an address book is at hand.
const ABANDONED: Duration = Duration::from_secs(1);

/// Answers about subsessions that were given up and may still come: more than a router ever owes.
const LATE: usize = 64;

/// What is asked of the router about a session, over its control connection.
enum Request {
    Lookup { name: I2pName, reply: oneshot::Sender<Result<Destination, Error>> },
    Add { id: SessionId, style: Style, listen_port: u16, reply: oneshot::Sender<Result<(), Error>> },
    Remove { id: SessionId },
}

/// A handle to the control connection of a session. The connection, and with it the session, ends when the last handle
/// is dropped.
pub(crate) struct Control {
    requests: mpsc::Sender<Request>,
    lost: watch::Receiver<bool>,
    capabilities: Capabilities,
    unused: Mutex<Vec<Unused>>,
}

/// A subsession for datagrams that nobody uses any more and that the router cannot take away. It keeps its port there, and its
/// socket: another one at that address would get what still comes.
pub(crate) struct Unused {
    pub(crate) id: SessionId,
    pub(crate) style: DatagramStyle,
    pub(crate) listen_port: u16,
    pub(crate) socket: Arc<Socket>,
}

impl Control {
    /// Opens a connection and creates a session on it.
    pub(crate) async fn create(
        bridge: &Bridge,
        id: &SessionId,
        style: Style,
        options: &SessionOptions,
    ) -> Result<(Self, PrivateKey), Error> {
        let connection = bridge.connect().await?;
        Self::create_on(connection, bridge, id, style, options).await
    }

    /// Creates a session on a connection that has said HELLO.
    pub(crate) async fn create_on(
        mut connection: Connection,
        bridge: &Bridge,
        id: &SessionId,
        style: Style,
        options: &SessionOptions,
    ) -> Result<(Self, PrivateKey), Error> {
        let phase = Phase::SessionCreate;
        let capabilities = bridge.capabilities().await?;
        if options.has_early_data() && !capabilities.early_data() {
            bridge.miss_early_data(capabilities);
        }
        let limit = bridge.timeouts().session_create;
        let create = async {
            connection.send(&SessionCreate { id, style, options }, phase).await?;
            loop {
                let mut line = connection.answer(phase).await?;
                let key = created(&line);
                line.zeroize();
                if let Some(key) = key {
                    return key;
                }
            }
        };
        let key = within(limit, phase, create).await?;
        let (requests, waiting) = mpsc::channel(WAITING);
        let (lost_sender, lost) = watch::channel(false);
        let limit = bridge.timeouts().naming_lookup;
        let bridge = bridge.clone();
        tokio::spawn(async move {
            let actor = Actor { connection, waiting, limit, late: VecDeque::new() };
            if actor.run().await == End::ByRouter {
                bridge.forget();
            }
            lost_sender.send_replace(true);
        });
        Ok((Self { requests, lost, capabilities, unused: Mutex::default() }, key))
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    pub(crate) fn is_alive(&self) -> bool {
        !*self.lost.borrow()
    }

    /// Comes back when the session is gone.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // The sender says `true` before it goes, so both ways out mean the same.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// A router that goes away says so on the control connection first; what it does to the others comes in any
    /// order and any form.
    pub(crate) async fn unless_lost<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.lost() => Err(Error::SessionLost),
            result = work => result,
        }
    }

    /// Looks a name up; one after the other.
    pub(crate) async fn lookup(&self, name: I2pName) -> Result<Destination, Error> {
        self.ask(|reply| Request::Lookup { name, reply }).await
    }

    /// Adds a subsession. One that the router may have granted to nobody, or may still grant, is taken away again.
    pub(crate) async fn add(&self, id: SessionId, style: Style, listen_port: u16) -> Result<(), Error> {
        let mut unwanted = Unwanted { control: self, id: Some(id.clone()) };
        let result = self.ask(|reply| Request::Add { id, style, listen_port, reply }).await;
        if !matches!(result, Err(Error::Timeout { .. })) {
            unwanted.id = None;
        }
        result
    }

    /// Takes a subsession away, as soon as it is its turn; not at all where the router has no way to.
    pub(crate) fn remove(&self, id: SessionId) {
        if self.capabilities.removes_subsessions() {
            // Full or gone: the subsession goes with its primary session.
            let _ = self.requests.try_send(Request::Remove { id });
        }
    }

    /// Keeps a subsession for whoever wants one like it, where the router cannot take it away.
    pub(crate) fn leave(&self, unused: Unused) {
        if !self.capabilities.removes_subsessions() {
            self.unused().push(unused);
        }
    }

    /// A subsession that was left, if there is one of this kind and port.
    pub(crate) fn take_over(&self, style: DatagramStyle, listen_port: u16) -> Option<Unused> {
        let mut all = self.unused();
        let alike = |unused: &Unused| (unused.style, unused.listen_port) == (style, listen_port);
        let at = all.iter().position(alike)?;
        Some(all.swap_remove(at))
    }

    fn unused(&self) -> MutexGuard<'_, Vec<Unused>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Error::SessionLost)?;
        answer.await.unwrap_or(Err(Error::SessionLost))
    }
}

/// Takes a subsession away when dropped, unless it is wanted after all.
struct Unwanted<'a> {
    control: &'a Control,
    id: Option<SessionId>,
}

impl Drop for Unwanted<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.control.remove(id);
        }
    }
}

/// What this line says of the session that is being created; nothing, if it is a PING that crossed our command:
/// commands are not answered out of turn.
fn created(line: &[u8]) -> Option<Result<PrivateKey, Error>> {
    let phase = Phase::SessionCreate;
    Some(match Reply::parse(line) {
        Ok(Reply::Session { status, private_key, .. }) if status.result == ResultWord::Ok => {
            let key = private_key.and_then(|key| key.parse().ok());
            key.ok_or(Error::Unexpected { phase })
        }
        Ok(Reply::Session { status, .. }) => Err(Error::refused(phase, status)),
        Ok(Reply::Ping(_)) => return None,
        _ => Err(Error::Unexpected { phase }),
    })
}

/// Who ended a session.
#[derive(PartialEq, Eq)]
enum End {
    ByRouter,
    ByUs,
}

struct Actor {
    connection: Connection,
    waiting: mpsc::Receiver<Request>,
    limit: Duration,
    /// Subsessions about which the router still owes an answer that nobody waits for any more.
    late: VecDeque<SessionId>,
}

impl Actor {
    /// Runs until the router closes the connection or nobody holds the session any more.
    async fn run(mut self) -> End {
        loop {
            tokio::select! {
                line = self.connection.line() => match line {
                    Ok(Line::Complete(line)) => if self.unasked(&line).await.is_err() { return End::ByRouter },
                    Ok(Line::End) | Err(_) => return End::ByRouter,
                },
                request = self.waiting.recv() => {
                    let Some(request) = request else { return End::ByUs };
                    if self.serve(request).await.is_err() {
                        return End::ByRouter;
                    }
                }
            }
        }
    }

    /// Does what is asked. An error means that the session is lost.
    async fn serve(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::Lookup { name, reply } => self.look_up(&name, reply).await,
            Request::Add { reply, .. } if reply.is_closed() => Ok(()),
            Request::Add { id, style, listen_port, reply } => {
                let add = SessionAdd { id: &id, style, listen_port };
                let result = self.status(&add, &id, Phase::SessionAdd).await;
                let lost = matches!(result, Err(Error::SessionLost));
                // Whoever asked may have gone just now.
                let _ = reply.send(result);
                if lost { Err(Error::SessionLost) } else { Ok(()) }
            }
            Request::Remove { id } => {
                match self.status(&SessionRemove { id: &id }, &id, Phase::SessionAdd).await {
                    Err(Error::SessionLost) => Err(Error::SessionLost),
                    // Nobody waits to hear that it was not there any more.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Sends a command that is answered with the status of a subsession. A status that says none is the answer, too.
    async fn status(&mut self, command: &impl Command, id: &SessionId, phase: Phase) -> Result<(), Error> {
        match self.connection.send(command, phase).await {
            Ok(()) => {}
            Err(Error::Unspeakable(why)) => return Err(Error::Unspeakable(why)),
            Err(_) => return Err(Error::SessionLost),
        }
        let limit = self.limit;
        let answer = async {
            loop {
                let Ok(Line::Complete(line)) = self.connection.line().await else {
                    return Err(Error::SessionLost);
                };
                match Reply::parse(&line) {
                    Ok(Reply::Session { status, id: said, .. })
                        if said.as_ref().is_none_or(|said| said == id.as_str()) =>
                    {
                        return match status.result == ResultWord::Ok {
                            true => Ok(()),
                            false => Err(Error::refused(phase, status)),
                        };
                    }
                    _ => self.unasked(&line).await?,
                }
            }
        };
        let result = within(limit, phase, answer).await;
        if matches!(result, Err(Error::Timeout { .. })) {
            self.late.truncate(LATE - 1);
            self.late.push_front(id.clone());
        }
        result
    }

    /// Looks a name up, unless and until whoever asked has gone. An error means that the session is lost.
    async fn look_up(
        &mut self,
        name: &I2pName,
        mut reply: oneshot::Sender<Result<Destination, Error>>,
    ) -> Result<(), Error> {
        if reply.is_closed() {
            return Ok(());
        }
        // Outside of what can be given up: half a command would spoil the next.
        lookup::send(&mut self.connection, name).await.map_err(|_| Error::SessionLost)?;
        let limit = self.limit;
        let timed_out = Err(Error::Timeout { phase: Phase::NamingLookup, limit });
        let result = tokio::select! {
            result = timeout(limit, self.naming_reply(name)) => result.unwrap_or(timed_out),
            () = reply.closed() => return self.abandoned(name).await,
        };
        let lost = matches!(result, Err(Error::SessionLost));
        // Whoever asked may have gone just now.
        let _ = reply.send(result);
        if lost { Err(Error::SessionLost) } else { Ok(()) }
    }

    /// Gives the answer to a lookup that nobody waits for any more a moment to come: emissary loses a command that it gets
    /// before it has answered the one before. An answer that takes longer is known by its name and skipped.
    async fn abandoned(&mut self, name: &I2pName) -> Result<(), Error> {
        match timeout(ABANDONED, self.naming_reply(name)).await {
            Ok(Err(Error::SessionLost)) => Err(Error::SessionLost),
            _ => Ok(()),
        }
    }

    async fn naming_reply(&mut self, name: &I2pName) -> Result<Destination, Error> {
        let asked = name.to_string();
        loop {
            let Ok(Line::Complete(line)) = self.connection.line().await else {
                return Err(Error::SessionLost);
            };
            let reply = Reply::parse(&line).map_err(|_| Error::Unexpected { phase: Phase::NamingLookup })?;
            match lookup::result(reply, &asked) {
                Some(result) => return result,
                None => self.unasked(&line).await?,
            }
        }
    }

    /// A line that answers nothing.
    async fn unasked(&mut self, line: &[u8]) -> Result<(), Error> {
        match Reply::parse(line) {
            Ok(Reply::Ping(text)) => self.connection.pong(text).await.map_err(|_| Error::SessionLost),
            Ok(Reply::Session { id: Some(id), .. }) if self.is_late(&id) => Ok(()),
            // "PONG timeout" and the like: the router closes the session.
            Ok(Reply::Session { status, .. }) if status.result != ResultWord::Ok => Err(Error::SessionLost),
            // Late answers to lookups that were given up, and what later versions may bring.
            _ => Ok(()),
        }
    }

    /// Whether this was an answer that came late, about this subsession.
    fn is_late(&mut self, id: &str) -> bool {
        let at = self.late.iter().position(|late| late.as_str() == id);
        at.and_then(|at| self.late.remove(at)).is_some()
    }
}

//! The control connection of a session: the session lives as long as this connection.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::{Destination, I2pName};
use restart_schedule::caught;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use zeroize::Zeroize;

use super::udp_socket::DatagramSocket;
use crate::{
    bridge::{
        connection::{Connection, LineRead, within},
        lookup,
        router::Router,
    },
    error::{Error, Phase},
    wire::{
        Command, DatagramStyle, LeaseSetEncryption, PrivateKey, Reply, ResultWord, SessionAdd, SessionCreate,
        SessionId, SessionOptions, SessionRemove, Style,
    },
};

/// How many requests may wait for their turn. They are sent one by one, since emissary loses one of two lookups that run at
/// once.
const MAX_QUEUED_REQUESTS: usize = 64;

/// How long to wait for the answer to a lookup that its caller has given up: the router's address book answers at once.
const ABANDONED_LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// How many late answers about subsessions are remembered: more than a router ever owes.
const MAX_LATE_ANSWERS: usize = 64;

/// A request to the router about a session, over its control connection.
enum ControlRequest {
    Lookup { name: I2pName, reply: oneshot::Sender<Result<Destination, Error>> },
    Add { id: SessionId, style: Style, listen_port: u16, reply: oneshot::Sender<Result<(), Error>> },
    Remove { id: SessionId },
}

/// A handle to the control connection of a session. The connection, and with it the session, ends when the last handle
/// is dropped.
pub(crate) struct ControlConnection {
    requests: mpsc::Sender<ControlRequest>,
    lost: watch::Receiver<bool>,
    /// The router that made the session.
    router: Router,
    unused: Mutex<Vec<UnusedSubsession>>,
}

/// A subsession for datagrams that is no longer used and that the router cannot remove. It keeps its port at the router, and
/// its socket: another socket at that address would receive the datagrams that still arrive.
pub(crate) struct UnusedSubsession {
    pub(crate) id: SessionId,
    pub(crate) style: DatagramStyle,
    pub(crate) listen_port: u16,
    pub(crate) socket: Arc<DatagramSocket>,
}

impl ControlConnection {
    /// Opens a connection to the router and creates a session on it.
    pub(crate) async fn create(
        router: &Router,
        style: Style,
        options: &SessionOptions,
    ) -> Result<(Self, SessionId, PrivateKey), Error> {
        let connection = router.connect().await?;
        Self::create_on(connection, router, style, options).await
    }

    /// Creates a session on this connection to the router, which has said HELLO. A router that does not know the encryption types is
    /// asked again for those that each router knows, on another connection: the session ID of the first one stays taken.
    pub(crate) async fn create_on(
        mut connection: Connection,
        router: &Router,
        style: Style,
        options: &SessionOptions,
    ) -> Result<(Self, SessionId, PrivateKey), Error> {
        let phase = Phase::SessionCreate;
        if options.has_early_data() && !router.capabilities().early_data() {
            router.warn_once_no_early_data();
        }
        let limits = router.bridge().timeouts();
        let create = async {
            loop {
                let id = SessionId::random().map_err(Error::Random)?;
                let lease_set = router.lease_set_dialect(&connection);
                connection.send(&SessionCreate { id: &id, style, lease_set, options }, phase).await?;
                let (created, is_unknown) = answer(&mut connection, options.key()).await?;
                if is_unknown && lease_set.encryption == LeaseSetEncryption::PostQuantum {
                    router.forgo_post_quantum();
                    connection = router.connect().await?;
                    continue;
                }
                return created.map(|key| (id, key, connection));
            }
        };
        let (id, key, connection) = within(limits.session_create, phase, create).await?;
        let (requests, queue) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let (lost_sender, lost) = watch::channel(false);
        let task = ControlTask { connection, queue, limit: limits.naming_lookup, late: VecDeque::new() };
        let of_task = router.clone();
        tokio::spawn(async move {
            // A panic ends the session as the router's end of it does.
            if caught(task.run()).await != Ok(EndedBy::Us) {
                of_task.forget();
            }
            lost_sender.send_replace(true);
        });
        Ok((Self { requests, lost, router: router.clone(), unused: Mutex::default() }, id, key))
    }

    /// The router that made the session.
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn is_alive(&self) -> bool {
        !*self.lost.borrow()
    }

    /// Returns once the session is gone.
    pub(crate) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error means that the sender is gone, which it is only after it has sent `true`.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Does the work unless the session is lost before. A router that goes away closes the control connection first; the
    /// session's other connections end in any order and any form.
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

    /// Looks a name up. Lookups run one after the other.
    pub(crate) async fn lookup(&self, name: I2pName) -> Result<Destination, Error> {
        self.ask(|reply| ControlRequest::Lookup { name, reply }).await
    }

    /// Adds a subsession. When the caller gives up or the answer is late, the router may still have added it: it is removed
    /// again.
    pub(crate) async fn add(&self, id: SessionId, style: Style, listen_port: u16) -> Result<(), Error> {
        let mut unwanted = RemoveOnDrop { control: self, id: Some(id.clone()) };
        let result = self.ask(|reply| ControlRequest::Add { id, style, listen_port, reply }).await;
        if !matches!(result, Err(Error::Timeout { .. })) {
            unwanted.id = None;
        }
        result
    }

    /// Removes a subsession, after the requests before it. Does nothing where the router cannot remove one.
    pub(crate) fn remove(&self, id: SessionId) {
        if self.router.capabilities().removes_subsessions() {
            // If the queue is full or gone, the subsession ends with its primary session.
            let _ = self.requests.try_send(ControlRequest::Remove { id });
        }
    }

    /// Keeps a subsession for the next caller that wants one like it, where the router cannot remove it.
    pub(crate) fn keep_unused(&self, unused: UnusedSubsession) {
        if !self.router.capabilities().removes_subsessions() {
            self.unused().push(unused);
        }
    }

    /// Takes an unused subsession of this kind and port, if there is one.
    pub(crate) fn take_over(&self, style: DatagramStyle, listen_port: u16) -> Option<UnusedSubsession> {
        let mut all = self.unused();
        let alike = |unused: &UnusedSubsession| (unused.style, unused.listen_port) == (style, listen_port);
        let at = all.iter().position(alike)?;
        Some(all.swap_remove(at))
    }

    fn unused(&self) -> MutexGuard<'_, Vec<UnusedSubsession>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> ControlRequest,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Error::SessionLost)?;
        answer.await.unwrap_or(Err(Error::SessionLost))
    }
}

/// Removes a subsession when dropped, unless its ID was taken out.
struct RemoveOnDrop<'a> {
    control: &'a ControlConnection,
    id: Option<SessionId>,
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.control.remove(id);
        }
    }
}

/// The key of the session that is being created, or the reason why it is not. `None` for a PING that crossed our command: the
/// command is answered next. A session that was asked for with a key must have its destination. If the router repeats that key,
/// the result shares the secret keys with `asked`, so that there is one copy of them in memory.
/// Waits for the answer to SESSION CREATE. The second part tells whether the router does not know an encryption type.
async fn answer(
    connection: &mut Connection,
    asked: Option<&PrivateKey>,
) -> Result<(Result<PrivateKey, Error>, bool), Error> {
    loop {
        let mut line = connection.answer(Phase::SessionCreate).await?;
        let (created, is_unknown) = (created(&line, asked), LeaseSetEncryption::is_unknown(&line));
        line.zeroize();
        if let Some(created) = created {
            return Ok((created, is_unknown));
        }
    }
}

fn created(line: &[u8], asked: Option<&PrivateKey>) -> Option<Result<PrivateKey, Error>> {
    let phase = Phase::SessionCreate;
    Some(match Reply::parse(line) {
        Ok(Reply::Session { status, private_key, .. }) if status.result == ResultWord::Ok => {
            match private_key.and_then(|key| key.parse::<PrivateKey>().ok()) {
                None => Err(Error::Unexpected { phase }),
                Some(key) => match asked {
                    Some(asked) if *asked == key => Ok(asked.clone()),
                    Some(asked) if asked.destination() != key.destination() => {
                        Err(Error::WrongDestination { phase })
                    }
                    _ => Ok(key),
                },
            }
        }
        Ok(Reply::Session { status, .. }) => Err(Error::refused(phase, status)),
        Ok(Reply::Ping(_)) => return None,
        _ => Err(Error::Unexpected { phase }),
    })
}

/// Which side ended a session.
#[derive(PartialEq, Eq)]
enum EndedBy {
    Router,
    Us,
}

/// The task that owns the connection.
struct ControlTask {
    connection: Connection,
    queue: mpsc::Receiver<ControlRequest>,
    limit: Duration,
    /// Subsessions about which the router still owes an answer that its caller has given up.
    late: VecDeque<SessionId>,
}

impl ControlTask {
    /// Runs until the router closes the connection or the last handle is dropped.
    async fn run(mut self) -> EndedBy {
        loop {
            tokio::select! {
                line = self.connection.line() => match line {
                    Ok(LineRead::Complete(line)) => {
                        if self.unsolicited(&line).await.is_err() {
                            return EndedBy::Router;
                        }
                    }
                    Ok(LineRead::End) | Err(_) => return EndedBy::Router,
                },
                request = self.queue.recv() => {
                    let Some(request) = request else { return EndedBy::Us };
                    if self.serve(request).await.is_err() {
                        return EndedBy::Router;
                    }
                }
            }
        }
    }

    /// Makes a request to the router. An error means that the session is lost.
    async fn serve(&mut self, request: ControlRequest) -> Result<(), Error> {
        match request {
            ControlRequest::Lookup { name, reply } => self.look_up(&name, reply).await,
            ControlRequest::Add { reply, .. } if reply.is_closed() => Ok(()),
            ControlRequest::Add { id, style, listen_port, reply } => {
                let add = SessionAdd { id: &id, style, listen_port };
                let result = self.status(&add, &id, Phase::SessionAdd).await;
                let lost = matches!(result, Err(Error::SessionLost));
                // The caller may have gone just now.
                let _ = reply.send(result);
                if lost { Err(Error::SessionLost) } else { Ok(()) }
            }
            ControlRequest::Remove { id } => {
                match self.status(&SessionRemove { id: &id }, &id, Phase::SessionAdd).await {
                    Err(Error::SessionLost) => Err(Error::SessionLost),
                    // No caller waits for the result.
                    _ => Ok(()),
                }
            }
        }
    }

    /// Sends a command that is answered with the status of a subsession. A status without an ID is taken for the answer, too.
    async fn status(&mut self, command: &impl Command, id: &SessionId, phase: Phase) -> Result<(), Error> {
        match self.connection.send(command, phase).await {
            Ok(()) => {}
            Err(Error::Encode(why)) => return Err(Error::Encode(why)),
            Err(_) => return Err(Error::SessionLost),
        }
        let limit = self.limit;
        let answer = async {
            loop {
                let Ok(LineRead::Complete(line)) = self.connection.line().await else {
                    return Err(Error::SessionLost);
                };
                match Reply::parse(&line) {
                    Ok(Reply::Session { status, id: named, .. })
                        if named.as_ref().is_none_or(|named| named == id.as_str()) =>
                    {
                        return match status.result == ResultWord::Ok {
                            true => Ok(()),
                            false => Err(Error::refused(phase, status)),
                        };
                    }
                    _ => self.unsolicited(&line).await?,
                }
            }
        };
        let result = within(limit, phase, answer).await;
        if matches!(result, Err(Error::Timeout { .. })) {
            self.late.truncate(MAX_LATE_ANSWERS - 1);
            self.late.push_front(id.clone());
        }
        result
    }

    /// Looks a name up, unless and until the caller has gone. An error means that the session is lost.
    async fn look_up(
        &mut self,
        name: &I2pName,
        mut reply: oneshot::Sender<Result<Destination, Error>>,
    ) -> Result<(), Error> {
        if reply.is_closed() {
            return Ok(());
        }
        // Outside of what can be given up: half a command would spoil the next one.
        lookup::send(&mut self.connection, name).await.map_err(|_| Error::SessionLost)?;
        let limit = self.limit;
        let timed_out = Err(Error::Timeout { phase: Phase::NamingLookup, limit });
        let result = tokio::select! {
            result = timeout(limit, self.naming_reply(name)) => result.unwrap_or(timed_out),
            () = reply.closed() => return self.await_abandoned(name).await,
        };
        let lost = matches!(result, Err(Error::SessionLost));
        // The caller may have gone just now.
        let _ = reply.send(result);
        if lost { Err(Error::SessionLost) } else { Ok(()) }
    }

    /// Waits a moment for the answer to a lookup that its caller has given up: emissary loses a command that arrives before
    /// it has answered the one before. A later answer is recognised by its name and skipped.
    async fn await_abandoned(&mut self, name: &I2pName) -> Result<(), Error> {
        match timeout(ABANDONED_LOOKUP_TIMEOUT, self.naming_reply(name)).await {
            Ok(Err(Error::SessionLost)) => Err(Error::SessionLost),
            _ => Ok(()),
        }
    }

    async fn naming_reply(&mut self, name: &I2pName) -> Result<Destination, Error> {
        loop {
            let Ok(LineRead::Complete(line)) = self.connection.line().await else {
                return Err(Error::SessionLost);
            };
            let reply = Reply::parse(&line).map_err(|_| Error::Unexpected { phase: Phase::NamingLookup })?;
            match lookup::destination_in(reply, name) {
                Some(result) => return result,
                None => self.unsolicited(&line).await?,
            }
        }
    }

    /// Handles a line that answers no request.
    async fn unsolicited(&mut self, line: &[u8]) -> Result<(), Error> {
        match Reply::parse(line) {
            Ok(Reply::Ping(text)) => self.connection.pong(text).await.map_err(|_| Error::SessionLost),
            Ok(Reply::Session { id: Some(id), .. }) if self.is_late(&id) => Ok(()),
            // "PONG timeout" and the like: the router closes the session.
            Ok(Reply::Session { status, .. }) if status.result != ResultWord::Ok => Err(Error::SessionLost),
            // Late answers to lookups that were given up, and lines of later versions.
            _ => Ok(()),
        }
    }

    /// Whether this was a late answer about this subsession.
    fn is_late(&mut self, id: &str) -> bool {
        let at = self.late.iter().position(|late| late.as_str() == id);
        at.and_then(|at| self.late.remove(at)).is_some()
    }
}

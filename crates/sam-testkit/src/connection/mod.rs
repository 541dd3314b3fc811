//! A client's connection: its socket, the session that it holds, and how long the bridge waits for it.

mod role;
mod wire;

use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep},
};

pub(crate) use self::{
    role::{PeerLine, Role},
    wire::{LineRead, Segments, Wire},
};
use crate::{
    dialect::{Dialect, Version},
    recorder::Recorder,
    registry::{OpenStream, Registry, Session, becomes_true},
    relay,
    script::Script,
    socket::Socket,
};

/// How long Java waits for the command after HELLO.
const JAVA_COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long Java waits for a line or a PONG.
const JAVA_IDLE_TIMEOUT: Duration = Duration::from_secs(180);
/// How long emissary waits for the command after HELLO, before there is a session or stream.
const EMISSARY_COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// What all connections of a bridge share.
pub(crate) struct BridgeState {
    pub(crate) dialect: Dialect,
    pub(crate) script: Mutex<Script>,
    pub(crate) recorder: Recorder,
    pub(crate) registry: Registry,
    /// The user and password, if a test requires them.
    pub(crate) login: Mutex<Option<(String, String)>>,
    /// Whether answers are sent byte by byte.
    pub(crate) split: AtomicBool,
    /// Whether Java supports DATAGRAM2 and DATAGRAM3.
    pub(crate) newer_datagrams: AtomicBool,
    /// The socket for datagrams.
    pub(crate) udp: Mutex<Arc<UdpSocket>>,
}

/// What follows after a command.
pub(crate) enum NextStep {
    Listen,
    Close,
    /// The connection stops to speak lines.
    Become(Role),
}

/// A client's connection while it speaks lines.
pub(crate) struct Connection {
    /// Dropped first, so that a session's streams end after its control connection.
    pub(crate) wire: Wire,
    pub(crate) shared: Arc<BridgeState>,
    /// The version that HELLO agreed on; `None` before HELLO.
    pub(crate) version: Option<Version>,
    pub(crate) number: u64,
    pub(crate) held: HeldSession,
    patience: Patience,
}

/// The session that lives as long as this connection.
pub(crate) struct HeldSession {
    shared: Arc<BridgeState>,
    session: Option<(Arc<Session>, mpsc::UnboundedReceiver<Vec<u8>>)>,
    /// An ID that another session has: Java removes that session's record when this connection ends.
    pub(crate) duplicate: Option<String>,
}

/// When the bridge stops waiting for a silent client.
struct Patience {
    deadline: Option<Instant>,
    /// The text of a PING that was not answered yet.
    ping: Option<String>,
}

impl HeldSession {
    pub(crate) fn hold(&mut self, session: Arc<Session>, lines: mpsc::UnboundedReceiver<Vec<u8>>) {
        self.session = Some((session, lines));
    }

    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref().map(|(session, _)| session)
    }

    /// What the session sends on its connection; `None` when the connection must close. Waits for ever without a session.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        let Some((session, lines)) = &mut self.session else { return std::future::pending().await };
        let mut closing = session.closing.subscribe();
        tokio::select! {
            () = becomes_true(&mut closing) => None,
            line = lines.recv() => line,
        }
    }
}

impl Drop for HeldSession {
    fn drop(&mut self) {
        if let Some((session, _)) = &self.session {
            self.shared.registry.end(session);
        }
        if let Some(id) = &self.duplicate {
            self.shared.registry.forget(id);
        }
    }
}

impl Connection {
    pub(crate) fn new(stream: Socket, number: u64, shared: Arc<BridgeState>) -> Self {
        let deadline = shared.dialect.hello_timeout().map(|timeout| Instant::now() + timeout);
        Self {
            wire: Wire { stream, buffer: Vec::new() },
            held: HeldSession { shared: Arc::clone(&shared), session: None, duplicate: None },
            shared,
            version: None,
            number,
            patience: Patience { deadline, ping: None },
        }
    }

    /// The session that a STREAM command names.
    pub(crate) fn session_of_stream(&self, line: &str) -> Option<Arc<Session>> {
        if !line.starts_with("STREAM") {
            return None;
        }
        let id = line.split(' ').find_map(|pair| pair.strip_prefix("ID="))?;
        self.shared.registry.session(id)
    }

    pub(crate) fn open_stream(&self) -> OpenStream {
        self.shared.registry.open_stream()
    }

    /// Answers a line and goes on listening.
    pub(crate) async fn answer(&mut self, text: &str) -> io::Result<NextStep> {
        self.send(&format!("{text}\n")).await?;
        Ok(NextStep::Listen)
    }

    /// Answers a line and closes.
    pub(crate) async fn refuse(&mut self, text: &str) -> io::Result<NextStep> {
        self.send(&format!("{text}\n")).await?;
        Ok(NextStep::Close)
    }

    /// Answers a line without its newline and closes.
    pub(crate) async fn refuse_without_newline(&mut self, text: &str) -> io::Result<NextStep> {
        self.send(text).await?;
        Ok(NextStep::Close)
    }

    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        if self.shared.split.load(Relaxed) {
            send_split(&self.wire.stream, text.as_bytes(), Duration::ZERO).await
        } else {
            relay::send(&self.wire.stream, text.as_bytes()).await
        }
    }

    /// Takes a PONG, which may answer the last PING.
    pub(crate) fn pong(&mut self, text: &str) {
        if self.patience.ping.as_deref() == Some(text) {
            self.patience.ping = None;
        }
    }

    /// When the bridge stops waiting for the client, if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.patience.deadline
    }

    /// Sets a new deadline after a line that did not end the connection.
    pub(crate) fn renew_deadline(&mut self, line: &str) {
        let now = Instant::now();
        let has_session = self.held.session().is_some();
        self.patience.deadline = match (self.shared.dialect, self.version) {
            (_, None) => self.patience.deadline,
            (Dialect::Java, Some(version)) if version >= (3, 2) => Some(now + JAVA_IDLE_TIMEOUT),
            (Dialect::Java, _) if is_hello(line) => Some(now + JAVA_COMMAND_TIMEOUT),
            (Dialect::Emissary, _) if !has_session && is_hello(line) => Some(now + EMISSARY_COMMAND_TIMEOUT),
            (Dialect::Emissary, _) if !has_session => self.patience.deadline,
            _ => None,
        };
    }

    /// Does what the router does at the deadline.
    pub(crate) async fn miss_deadline(&mut self) -> io::Result<NextStep> {
        match (self.shared.dialect, self.version) {
            (Dialect::Java, None) => {
                let text = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Timeout waiting for HELLO VERSION\"";
                self.refuse(text).await
            }
            (Dialect::Java, Some(version)) if version >= (3, 2) => {
                if self.patience.ping.is_some() {
                    let text = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"PONG timeout\"";
                    return self.refuse(text).await;
                }
                let text = milliseconds();
                self.patience.ping = Some(text.clone());
                self.patience.deadline = Some(Instant::now() + JAVA_IDLE_TIMEOUT);
                self.answer(&format!("PING {text}")).await
            }
            (Dialect::Java, Some(_)) => {
                self.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"command timeout, bye\"").await
            }
            _ => Ok(NextStep::Close),
        }
    }
}

/// Whether a line is a HELLO.
pub(crate) fn is_hello(line: &str) -> bool {
    line.trim_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case("HELLO"))
}

/// Sends bytes one by one, each in a write of its own and with a pause after it.
pub(crate) async fn send_split(stream: &Socket, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        relay::send(stream, &[*byte]).await?;
        if pause.is_zero() { tokio::task::yield_now().await } else { sleep(pause).await }
    }
    Ok(())
}

/// The text that Java puts into its PING.
fn milliseconds() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().to_string()
}

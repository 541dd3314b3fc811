use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    net::{TcpStream, UdpSocket},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    Act, Dialect, dial,
    dialect::Version,
    endpoint::Endpoint,
    recorder::{Recorder, lock},
    registry::{OpenStream, Registry, Session, over},
    relay,
    script::Script,
    stream::Role,
    talk,
};

/// Java's patience: a first command, a PONG, a line from an idle client (J1, J2).
const JAVA_COMMAND: Duration = Duration::from_secs(60);
const JAVA_IDLE: Duration = Duration::from_secs(180);
/// emissary's, for everything before a session or stream (E3).
const EMISSARY_COMMAND: Duration = Duration::from_secs(10);

/// What all connections of a bridge have in common.
pub(crate) struct Shared {
    pub(crate) dialect: Dialect,
    pub(crate) script: Mutex<Script>,
    pub(crate) recorder: Recorder,
    pub(crate) registry: Registry,
    /// User and password, where a test asks for them.
    pub(crate) login: Mutex<Option<(String, String)>>,
    /// Whether answers go out byte by byte.
    pub(crate) split: AtomicBool,
    /// Whether Java knows DATAGRAM2 and DATAGRAM3.
    pub(crate) newer_datagrams: AtomicBool,
    /// Where datagrams come and go.
    pub(crate) udp: Mutex<Arc<UdpSocket>>,
}

/// How it goes on after a command.
pub(crate) enum Next {
    Listen,
    Close,
    /// The connection is no longer one of lines.
    Become(Role),
}

/// One client connection while it speaks lines.
pub(crate) struct Connection {
    /// Goes first, so that a session's streams end after its control connection.
    pub(crate) wire: Wire,
    pub(crate) shared: Arc<Shared>,
    /// What HELLO agreed on; before it, nothing is.
    pub(crate) version: Option<Version>,
    number: u64,
    pub(crate) held: Held,
    patience: Patience,
}

/// The socket and what was read of it too far.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

/// The session that lives as long as this connection.
pub(crate) struct Held {
    shared: Arc<Shared>,
    session: Option<(Arc<Session>, mpsc::UnboundedReceiver<Vec<u8>>)>,
    /// An ID that somebody else has: Java takes that session's record away when this connection ends (J9).
    pub(crate) duplicate: Option<String>,
}

impl Held {
    pub(crate) fn hold(&mut self, session: Arc<Session>, lines: mpsc::UnboundedReceiver<Vec<u8>>) {
        self.session = Some((session, lines));
    }

    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref().map(|(session, _)| session)
    }

    /// What the session has for its connection; `None` when the connection is to close. Waits for ever without a session.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let Some((session, lines)) = &mut self.session else { return std::future::pending().await };
        let mut closing = session.closing.subscribe();
        tokio::select! {
            () = over(&mut closing) => None,
            line = lines.recv() => line,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((session, _)) = &self.session {
            self.shared.registry.end(session);
        }
        if let Some(id) = &self.duplicate {
            self.shared.registry.forget(id);
        }
    }
}

/// When the bridge loses patience with a silent client.
struct Patience {
    deadline: Option<Instant>,
    /// The text of a PING that has no PONG yet.
    ping: Option<String>,
}

enum Line {
    Text(String),
    TooLong,
    End,
}

impl Wire {
    /// The next line. Safe to drop.
    async fn line(&mut self, dialect: Dialect, whole: bool) -> io::Result<Line> {
        let limit = dialect.longest_line();
        loop {
            let newline = self.buffer.iter().position(|&byte| byte == b'\n');
            if newline.unwrap_or(self.buffer.len()) > limit {
                return Ok(Line::TooLong);
            }
            if let Some(at) = newline {
                let rest = self.buffer.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Line::Text(String::from_utf8_lossy(&line).into_owned()));
            }
            // i2pd wants its HELLO in one segment (D1).
            if whole && !self.buffer.is_empty() {
                return Ok(Line::End);
            }
            if relay::receive(&self.stream, &mut self.buffer).await? == 0 {
                return Ok(Line::End);
            }
        }
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, number: u64, shared: Arc<Shared>) -> Self {
        let deadline = shared.dialect.hello_limit().map(|limit| Instant::now() + limit);
        Self {
            wire: Wire { stream, buffer: Vec::new() },
            held: Held { shared: Arc::clone(&shared), session: None, duplicate: None },
            shared,
            version: None,
            number,
            patience: Patience { deadline, ping: None },
        }
    }

    /// Listens and answers until the connection is over. `killed` becomes `true` when the bridge dies.
    pub(crate) async fn serve(self, mut killed: watch::Receiver<bool>) {
        tokio::select! {
            () = over(&mut killed) => {}
            // Whatever ends a connection ends only this one.
            _ = self.converse() => {}
        }
    }

    async fn converse(mut self) -> io::Result<()> {
        loop {
            let dialect = self.shared.dialect;
            let whole = dialect.is_i2pd() && self.version.is_none();
            let deadline = self.patience.deadline;
            let line = tokio::select! {
                line = self.wire.line(dialect, whole) => line?,
                unasked = self.held.next() => {
                    let Some(bytes) = unasked else { return Ok(()) };
                    relay::send(&self.wire.stream, &bytes).await?;
                    continue;
                }
                () = until(deadline) => match self.lose_patience().await? {
                    Next::Listen => continue,
                    _ => return Ok(()),
                },
            };
            let line = match line {
                Line::Text(line) => line,
                Line::TooLong if dialect == Dialect::Java => {
                    let text = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Line too long - max 8192\"";
                    return self.answer(text).await.map(|_| ());
                }
                Line::TooLong | Line::End => return Ok(()),
            };
            self.shared.recorder.heard(self.number, &line);
            let next = self.react(&line).await?;
            // Of a stream's early data, too (D3, E2).
            if !dialect.keeps_what_follows() {
                self.wire.buffer = Vec::new();
            }
            match next {
                Next::Listen => {}
                Next::Close => return Ok(()),
                Next::Become(role) => return role.play(self).await,
            }
            self.renew_patience(&line);
        }
    }

    /// Does what the script says, or what a healthy bridge does.
    async fn react(&mut self, line: &str) -> io::Result<Next> {
        let acts = lock(&self.shared.script).after(line);
        let Some(acts) = acts else { return talk::behave(self, line).await };
        // A scripted stream ends with its session as every other, and a script does not hold up a lost connection.
        let own = self.held.session().map(|session| session.closing.subscribe());
        let mut end = own.or_else(|| self.session_of_stream(line).map(|session| session.ended.subscribe()));
        let ended = async {
            match &mut end {
                Some(end) => over(end).await,
                None => std::future::pending().await,
            }
        };
        let next = tokio::select! {
            next = self.perform(acts, line) => next?,
            () = ended => Next::Close,
        };
        if self.version.is_none() && is_hello(line) {
            self.version = Some(talk::agreed(self, line));
        }
        Ok(next)
    }

    pub(crate) fn session_of_stream(&self, line: &str) -> Option<Arc<Session>> {
        if !line.starts_with("STREAM") {
            return None;
        }
        let id = line.split(' ').find_map(|pair| pair.strip_prefix("ID="))?;
        self.shared.registry.session(id)
    }

    async fn perform(&mut self, acts: Vec<Act>, line: &str) -> io::Result<Next> {
        for act in acts {
            match act {
                Act::Send(bytes) => relay::send(&self.wire.stream, &bytes).await?,
                Act::Split(bytes, pause) => send_split(&self.wire.stream, &bytes, pause).await?,
                Act::Wait(time) => sleep(time).await,
                Act::Listen(time) => self.listen(time).await,
                Act::Behave => match talk::behave(self, line).await? {
                    Next::Listen => {}
                    next => return Ok(next),
                },
                Act::Hang => std::future::pending().await,
                Act::Close => return Ok(Next::Close),
                Act::Echo => return Ok(self.scripted(Endpoint::Echo, line)),
                Act::Dial => return dial::connect(self, line).await,
                Act::AnswerAfterFin(answer) => {
                    return Ok(self.scripted(Endpoint::AnswerAfterFin(answer), line));
                }
            }
        }
        Ok(Next::Listen)
    }

    fn scripted(&self, endpoint: Endpoint, line: &str) -> Next {
        Next::Become(Role::Scripted { endpoint, session: self.session_of_stream(line) })
    }

    async fn listen(&mut self, time: Duration) {
        let mut heard = std::mem::take(&mut self.wire.buffer);
        let hear =
            async { while !matches!(relay::receive(&self.wire.stream, &mut heard).await, Ok(0) | Err(_)) {} };
        // The time always runs out, unless the client closes first.
        let _ = timeout(time, hear).await;
        self.shared.recorder.heard(self.number, &String::from_utf8_lossy(&heard));
    }

    /// Answers a line and goes on listening.
    pub(crate) async fn answer(&mut self, text: &str) -> io::Result<Next> {
        self.say(&format!("{text}\n")).await?;
        Ok(Next::Listen)
    }

    /// Answers a line and closes.
    pub(crate) async fn refuse(&mut self, text: &str) -> io::Result<Next> {
        self.say(&format!("{text}\n")).await?;
        Ok(Next::Close)
    }

    /// Answers without a newline and closes.
    pub(crate) async fn last_words(&mut self, text: &str) -> io::Result<Next> {
        self.say(text).await?;
        Ok(Next::Close)
    }

    pub(crate) async fn say(&mut self, text: &str) -> io::Result<()> {
        if self.shared.split.load(Relaxed) {
            send_split(&self.wire.stream, text.as_bytes(), Duration::ZERO).await
        } else {
            relay::send(&self.wire.stream, text.as_bytes()).await
        }
    }

    pub(crate) fn open_stream(&self) -> OpenStream {
        self.shared.registry.open_stream()
    }

    /// A PONG that answers the last PING.
    pub(crate) fn pong(&mut self, text: &str) {
        if self.patience.ping.as_deref() == Some(text) {
            self.patience.ping = None;
        }
    }

    /// After a line was heard, and served without an end.
    fn renew_patience(&mut self, line: &str) {
        let now = Instant::now();
        self.patience.deadline = match (self.shared.dialect, self.version) {
            (_, None) => self.patience.deadline,
            (Dialect::Java, Some(version)) if version >= (3, 2) => Some(now + JAVA_IDLE),
            (Dialect::Java, _) if is_hello(line) => Some(now + JAVA_COMMAND),
            (Dialect::Emissary, _) if self.held.session().is_none() && is_hello(line) => {
                Some(now + EMISSARY_COMMAND)
            }
            (Dialect::Emissary, _) if self.held.session().is_none() => self.patience.deadline,
            _ => None,
        };
    }

    async fn lose_patience(&mut self) -> io::Result<Next> {
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
                self.patience.deadline = Some(Instant::now() + JAVA_IDLE);
                self.answer(&format!("PING {text}")).await
            }
            (Dialect::Java, Some(_)) => {
                self.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"command timeout, bye\"").await
            }
            _ => Ok(Next::Close),
        }
    }
}

fn is_hello(line: &str) -> bool {
    line.trim_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case("HELLO"))
}

/// What Java puts into its PING.
fn milliseconds() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().to_string()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn send_split(stream: &TcpStream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        relay::send(stream, &[*byte]).await?;
        if pause.is_zero() { tokio::task::yield_now().await } else { sleep(pause).await }
    }
    Ok(())
}

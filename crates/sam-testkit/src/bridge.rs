use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
};

use crate::{
    dial,
    script::{Act, Script},
};

/// A bridge on a random loopback port. Ends when dropped, with all its connections.
pub struct TestBridge {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Mutex<Script>,
    commands: Mutex<Vec<String>>,
    sessions: AtomicUsize,
    control: broadcast::Sender<Push>,
}

/// What a test makes connections do, unasked.
#[derive(Clone)]
enum Push {
    /// Sent on all connections that hold a session.
    ToSessions(Vec<u8>),
    /// All connections are closed.
    CloseAll,
}

impl TestBridge {
    /// Starts a healthy bridge.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[allow(clippy::expect_used, reason = "a test without a port cannot go on")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            script: Mutex::new(Script::healthy()),
            commands: Mutex::new(Vec::new()),
            sessions: AtomicUsize::new(0),
            control: broadcast::channel(16).0,
        });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared, accepting }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on, does this after commands that start with `command`; the longest such text wins.
    pub fn on(&self, command: &str, acts: impl IntoIterator<Item = Act>) {
        lock(&self.shared.script).on(command, acts);
    }

    /// All lines that clients have sent, HELLOs left out, in the order of their coming.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        lock(&self.shared.commands).iter().filter(|line| !line.starts_with("HELLO")).cloned().collect()
    }

    /// Connections that have asked for a session and are still open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.shared.sessions.load(Relaxed)
    }

    /// Sends a line, unasked, on every connection that has created a session.
    pub fn push_to_sessions(&self, line: &str) {
        // No receiver: no connection to send it on.
        let _ = self.shared.control.send(Push::ToSessions(format!("{line}\n").into_bytes()));
    }

    /// Dies as a killed router does: closes the port and every connection.
    pub async fn kill(&mut self) {
        self.accepting.abort();
        // Cancelled is what it should be.
        let _ = (&mut self.accepting).await;
        let _ = self.shared.control.send(Push::CloseAll);
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = self.shared.control.send(Push::CloseAll);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut pushes = shared.control.subscribe();
    // Whatever ends the connection ends only this connection.
    let mut held = Held { shared: &shared, session: false };
    let _ = converse(stream, &mut held, &mut pushes).await;
}

/// What one connection holds, given back however it ends.
struct Held<'a> {
    shared: &'a Shared,
    session: bool,
}

impl Held<'_> {
    fn note(&mut self, command: &str) {
        if command.starts_with("SESSION CREATE") && !self.session {
            self.session = true;
            self.shared.sessions.fetch_add(1, Relaxed);
        }
        lock(&self.shared.commands).push(command.to_owned());
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.session {
            self.shared.sessions.fetch_sub(1, Relaxed);
        }
    }
}

async fn converse(
    stream: TcpStream,
    held: &mut Held<'_>,
    pushes: &mut broadcast::Receiver<Push>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_until(b'\n', &mut line) => {
                if read? == 0 {
                    return Ok(());
                }
                let command = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                held.note(&command);
                let acts = lock(&held.shared.script).after(&command);
                tokio::select! {
                    ended = perform(&mut stream, acts, &command, held.shared) => if ended? { return Ok(()) },
                    () = closed(pushes) => return Ok(()),
                }
            }
            push = pushes.recv() => match push {
                Ok(Push::ToSessions(bytes)) if held.session => stream.write_all(&bytes).await?,
                Ok(Push::ToSessions(_)) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Ok(Push::CloseAll) | Err(broadcast::error::RecvError::Closed) => return Ok(()),
            }
        }
    }
}

async fn closed(pushes: &mut broadcast::Receiver<Push>) {
    while !matches!(pushes.recv().await, Ok(Push::CloseAll) | Err(broadcast::error::RecvError::Closed)) {}
}

/// Does what the script says; `true` when the connection is over.
async fn perform(
    stream: &mut BufReader<TcpStream>,
    acts: Vec<Act>,
    command: &str,
    shared: &Shared,
) -> io::Result<bool> {
    for act in acts {
        match act {
            Act::Send(bytes) => stream.write_all(&bytes).await?,
            Act::Wait(time) => tokio::time::sleep(time).await,
            Act::Listen(time) => {
                let mut heard = Vec::new();
                // The time always runs out, unless the client closes first.
                let _ = tokio::time::timeout(time, stream.read_to_end(&mut heard)).await;
                lock(&shared.commands).push(String::from_utf8_lossy(&heard).into_owned());
            }
            Act::Hang => std::future::pending().await,
            Act::Close => return Ok(true),
            Act::Echo => {
                let (mut from, mut to) = stream.get_mut().split();
                tokio::io::copy(&mut from, &mut to).await?;
                return Ok(true);
            }
            Act::Dial => {
                dial::perform(stream, command).await?;
                return Ok(true);
            }
            Act::AnswerAfterFin(answer) => {
                let mut request = Vec::new();
                stream.read_to_end(&mut request).await?;
                stream.write_all(&answer).await?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

//! A router in a process of its own, which is confined and kept running.

mod child;
mod life;
mod log;
mod protocol;
mod sandbox;
mod supervisor;
#[cfg(target_os = "linux")]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod system_calls;

use std::{
    fmt, io,
    os::unix::net::UnixStream as StdUnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    net::UnixStream,
    sync::{oneshot, watch},
    time::{Instant, sleep},
};

pub use self::{
    child::run_child,
    supervisor::{ProcessCondition, ProcessStatus},
};
use self::{
    life::{Birth, ProcessSource, this_program},
    supervisor::{Shared, supervise},
};
use crate::{
    Error, PrivateNetwork, Progress, handed_streams::hand_over, known_routers::PUBLIC_NETWORK,
    progress::OnProgress,
};

/// How long a connection to the SAM bridge may wait until the router process takes it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before another attempt while the router process has many connections to take.
const CONNECT_RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A router in a process of its own: what ends or takes over the router does not end or take over this program.
///
/// The process is this program, started again, so `main` must begin with [`run_child`]. It is confined, ends together with
/// this program, and is started again when it has died: after about a second, and after a longer pause each time it dies soon again.
/// Its SAM bridge has no port; only this program can connect to it, through [`RouterProcess::sam`]. Dropping the value ends it.
///
/// ```no_run
/// use i2p_embedded::{RouterProcess, run_child};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     run_child(); // before anything else: in the router process, this does not return
///     tokio::runtime::Runtime::new()?.block_on(async {
///         let router = RouterProcess::builder("/home/me/.local/state/my-program").start().await?;
///         let stream = router.sam().connect().await?; // a connection to its SAM bridge
/// #       drop(stream);
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug)]
pub struct RouterProcess {
    shared: Arc<Shared>,
}

/// Settings of a [`RouterProcess`], from [`RouterProcess::builder`].
#[must_use = "a router runs only after start()"]
pub struct RouterProcessBuilder {
    program: Option<PathBuf>,
    state_dir: PathBuf,
    network_id: u8,
    source: ProcessSource,
    pause: Option<Duration>,
    on_progress: OnProgress,
}

impl RouterProcess {
    /// Starts with the default settings. The router keeps its keys, and what it learns about others, in `state_dir`.
    ///
    /// The directory is created if it is missing, gets the permissions 0700, and is locked while the router runs.
    pub fn builder(state_dir: impl Into<PathBuf>) -> RouterProcessBuilder {
        RouterProcessBuilder {
            program: None,
            state_dir: state_dir.into(),
            network_id: PUBLIC_NETWORK,
            source: ProcessSource::ReseedServers,
            pause: None,
            on_progress: Arc::new(|_| {}),
        }
    }

    /// Returns the way to its SAM bridge (SAM 3.0 to 3.2). It stays the same when the process is started again.
    #[must_use]
    pub fn sam(&self) -> SamConnector {
        SamConnector { shared: Arc::clone(&self.shared) }
    }

    /// Returns how the process is, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ProcessStatus> {
        self.shared.status()
    }
}

impl Drop for RouterProcess {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl RouterProcessBuilder {
    /// Sets the program that becomes the router process, one whose `main` begins with [`run_child`]. Without it, it is this
    /// program.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// As [`EmbeddedRouterBuilder::reseed_file`](crate::EmbeddedRouterBuilder::reseed_file).
    pub fn reseed_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = ProcessSource::ReseedFile(path.into());
        self
    }

    /// Makes the router part of `network` instead of I2P, for tests. Replaces [`reseed_file`](Self::reseed_file).
    pub fn join_network(mut self, network: &PrivateNetwork) -> Self {
        self.source = ProcessSource::RouterInfos(network.router_infos().to_vec());
        self.network_id(network.network_id())
    }

    /// As [`EmbeddedRouterBuilder::network_id`](crate::EmbeddedRouterBuilder::network_id).
    pub fn network_id(mut self, network_id: u8) -> Self {
        self.network_id = network_id;
        self
    }

    /// Sets the pause after each death, in place of pauses that grow. For tests: with a short one, a stranger who can end the router
    /// can do it again and again.
    pub fn restart_after(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// Sets a function that is called at each step, also after the start, until the value is dropped. It must not block for long.
    pub fn on_progress(mut self, on_progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Arc::new(on_progress);
        self
    }

    /// Starts the process, and waits until its SAM bridge can be used. The first start asks for other routers before. Dropping the
    /// future ends it.
    ///
    /// # Errors
    ///
    /// As [`EmbeddedRouterBuilder::start`](crate::EmbeddedRouterBuilder::start); [`Error::System`] if the process cannot be
    /// started, and [`Error::Router`] if it dies three times before its SAM bridge can be used.
    pub async fn start(self) -> Result<RouterProcess, Error> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::System);
        let birth = Birth {
            program: self.program.map_or_else(this_program, Ok).map_err(Error::System)?,
            state_dir: absolute(&self.state_dir)?,
            network_id: self.network_id,
            source: match self.source {
                ProcessSource::ReseedFile(path) => ProcessSource::ReseedFile(absolute(&path)?),
                source => source,
            },
            pause: self.pause,
            on_progress: self.on_progress,
        };
        let process = RouterProcess { shared: Shared::new() };
        let shared = Arc::clone(&process.shared);
        let (first, started) = oneshot::channel();
        // A thread of its own, since the kernel ends the process together with the thread that started it.
        let thread = thread::Builder::new().name("i2p-router".to_owned());
        thread.spawn(move || supervise(&birth, &shared, first)).map_err(Error::System)?;
        let ended = || Error::Router { problem: "the thread that watches it has ended".to_owned() };
        started.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(process)
    }
}

impl fmt::Debug for RouterProcessBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterProcessBuilder").field("state_dir", &self.state_dir).finish_non_exhaustive()
    }
}

/// The way to the SAM bridge of a [`RouterProcess`], which only this program has. Clones are the same.
#[derive(Debug, Clone)]
pub struct SamConnector {
    shared: Arc<Shared>,
}

impl SamConnector {
    /// Opens a connection to the SAM bridge of the process that lives now.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] while none does; [`io::ErrorKind::TimedOut`] if it takes no connection.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let begin = Instant::now();
        loop {
            let Some(streams) = self.shared.streams() else {
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            match hand_over(&streams, &theirs) {
                Ok(()) => return UnixStream::from_std(ours),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if begin.elapsed() > CONNECT_TIMEOUT {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    sleep(CONNECT_RETRY_INTERVAL).await;
                }
                // It has died, and the supervisor has not noticed yet.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
                {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

//! The router process, from the inside.

use std::{
    env, io,
    os::{fd::AsFd, unix::net::UnixStream},
    panic,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::interval,
};

use super::{
    log::ForwardedLog,
    protocol::{
        Fault, MAX_REPORT_BYTES, MAX_REQUEST_BYTES, Report, ReseedFile, Routers, Sender, Start, read,
        read_bytes,
    },
    sandbox,
};
use crate::{
    Error, HostTable, handed_streams,
    known_routers::Source,
    progress::{report, run},
    reseed::{FetchFile, MAX_ROUTER_INFOS},
    router::{Opened, Settings, Stored, start_router},
    thread::RouterThread,
};

/// The only argument of a router process.
pub(super) const ARGUMENT: &str = "--i2p-embedded-router-process";

/// How often the router process says that it runs.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long the first message may take. It is there before the process is.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for the state directory: the process before this one may still be ending.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// Exit codes, which nobody but the log of the program sees.
const ENDED: i32 = 1;
const WRONG_USAGE: i32 = 64;

/// Runs a router and does not return, if this process was started as a [`RouterProcess`](crate::RouterProcess) of the same
/// program. Otherwise it does nothing. Call it first in `main`, before there are threads.
pub fn run_child() {
    if env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        process::exit(live());
    }
}

/// Runs the router until the program closes the socket between them. Returns the exit code.
fn live() -> i32 {
    let Ok((control, streams, start)) = begin() else {
        eprintln!(
            "{ARGUMENT} is for a process that the program starts itself. Start the program without it."
        );
        return WRONG_USAGE;
    };
    match sandbox::end_with_parent(start.parent) {
        Ok(true) => {}
        Ok(false) | Err(_) => return ENDED,
    }
    let mut missing = sandbox::limit_resources();
    let Ok(writing) = control.try_clone() else { return ENDED };
    let sender = Arc::new(Sender::new(writing));
    abort_at_panic(&sender);
    let mut control = control;
    match prepare(&mut control, start, &sender, &mut missing) {
        Ok(prepared) => run_router(control, streams, prepared, &sender),
        Err(error) => {
            let _ = sender.send(&Report::NotStarted(Fault::from(&error)));
            ENDED
        }
    }
}

/// Takes the two sockets that the program left at standard input and output, and its first message.
fn begin() -> io::Result<(UnixStream, UnixStream, Start)> {
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let streams = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Fails at what is no socket.
    control.set_read_timeout(Some(START_TIMEOUT))?;
    let start = read(&mut control, MAX_REPORT_BYTES)?;
    control.set_read_timeout(None)?;
    Ok((control, streams, start))
}

/// Ends the process at the first panic. A router that has lost a task is not one that others can rely on; the program starts a new
/// one. The text of the panic may quote what a stranger sent, so only its place is told.
fn abort_at_panic(sender: &Arc<Sender>) {
    let sender = Arc::clone(sender);
    panic::set_hook(Box::new(move |panic| {
        if let Some(at) = panic.location() {
            let _ = sender.send(&Report::Panicked { file: at.file().to_owned(), line: at.line() });
        }
        process::abort();
    }));
}

/// What the router starts from.
struct Prepared {
    stored: Stored,
    network_id: u8,
    source: Source,
    asked: Arc<AskedFile>,
}

/// Opens the state directory, puts up the walls, and then reads what earlier routers have stored of what strangers sent.
fn prepare(
    control: &mut UnixStream,
    start: Start,
    sender: &Arc<Sender>,
    missing: &mut Vec<String>,
) -> Result<Prepared, Error> {
    let asked = Arc::new(AskedFile::default());
    let source = match start.routers {
        Routers::ReseedServers => Source::ReseedServers(asked.fetch_over(sender)),
        Routers::ReseedFile(path) => Source::ReseedFile(path.into()),
        Routers::Frames(count) => Source::RouterInfos(
            (0..count.min(MAX_ROUTER_INFOS))
                .map(|_| read_bytes(control, MAX_REQUEST_BYTES))
                .collect::<io::Result<_>>()
                .map_err(Error::System)?,
        ),
    };
    let opened = open(&PathBuf::from(start.state_dir))?;
    let readable = match &source {
        Source::ReseedFile(path) => Some(path.as_path()),
        _ => None,
    };
    missing.extend(sandbox::confine(opened.path(), readable));
    let _ = sender.send(&Report::Confined { missing: std::mem::take(missing) });
    let log = ForwardedLog { sender: Arc::clone(sender), levels: start.log };
    // There is no other subscriber in this process.
    let _ = tracing::subscriber::set_global_default(log);
    Ok(Prepared { stored: opened.read()?, network_id: start.network_id, source, asked })
}

fn open(state_dir: &Path) -> Result<Opened, Error> {
    let begin = Instant::now();
    loop {
        match Opened::new(state_dir) {
            Err(Error::StateDirectoryInUse { .. }) if begin.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// Runs the router on its thread, and reads what the program sends on this one.
fn run_router(control: UnixStream, streams: UnixStream, prepared: Prepared, sender: &Arc<Sender>) -> i32 {
    let Prepared { stored, network_id, source, asked } = prepared;
    let thread = match RouterThread::start() {
        Ok(thread) => thread,
        Err(error) => {
            let _ = sender.send(&Report::NotStarted(Fault::from(&error)));
            return ENDED;
        }
    };
    let progress = Arc::clone(sender);
    let settings = Settings {
        host_names: Arc::new(HostTable::new()),
        network_id,
        source,
        on_progress: Arc::new(move |step| {
            let _ = progress.send(&Report::Progress(step));
        }),
    };
    let sender = Arc::clone(sender);
    thread.spawn(async move {
        let end = match live_on_thread(streams, stored, settings, &sender).await {
            Ok(()) => Report::Ended,
            Err(error) => Report::NotStarted(Fault::from(&error)),
        };
        let _ = sender.send(&end);
        process::exit(ENDED);
    });
    answer(control, &asked)
}

/// Runs the router until it ends.
async fn live_on_thread(
    streams: UnixStream,
    stored: Stored,
    settings: Settings,
    sender: &Arc<Sender>,
) -> Result<(), Error> {
    ignore_signals().map_err(Error::System)?;
    let bridge_ended = handed_streams::use_instead_of_ports(streams).map_err(Error::System)?;
    let alive = Arc::clone(sender);
    tokio::spawn(async move {
        let mut tick = interval(ALIVE_INTERVAL);
        while alive.send(&Report::Alive).is_ok() {
            tick.tick().await;
        }
    });
    let started = start_router(stored, settings).await?;
    tokio::spawn(report(started.events, started.on_progress));
    run(started.router, bridge_ended).await;
    Ok(())
}

/// The program decides when its router ends. A terminal and a service manager send these to both.
fn ignore_signals() -> io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
        let mut signals = signal(kind)?;
        tokio::spawn(async move { while signals.recv().await.is_some() {} });
    }
    Ok(())
}

/// Passes on what the program answers, until it closes the socket.
fn answer(mut control: UnixStream, asked: &AskedFile) -> i32 {
    loop {
        let file = match read(&mut control, MAX_REPORT_BYTES) {
            Ok(ReseedFile::Follows) => match read_bytes(&mut control, MAX_REQUEST_BYTES) {
                Ok(file) => Ok(file),
                Err(_) => return 0,
            },
            Ok(ReseedFile::Missing(problem)) => Err(problem),
            Err(_) => return 0,
        };
        asked.answer(file);
    }
}

/// The result of fetching a file.
type Fetched = Result<Vec<u8>, String>;

/// A reseed file that was asked for. This process opens no connection to a web server; the program fetches the file.
#[derive(Default)]
struct AskedFile(Mutex<Option<oneshot::Sender<Fetched>>>);

impl AskedFile {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Fetched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches files by asking for them, one at a time.
    fn fetch_over(self: &Arc<Self>, sender: &Arc<Sender>) -> FetchFile {
        let (asked, sender) = (Arc::clone(self), Arc::clone(sender));
        Arc::new(move |server| {
            let (answer, answered) = oneshot::channel();
            *asked.waiting() = Some(answer);
            let sent = sender.send(&Report::NeedsReseedFile(server));
            Box::pin(async move {
                sent.map_err(|error| error.to_string())?;
                answered.await.unwrap_or_else(|_| Err("the program gave no answer".to_owned()))
            })
        })
    }

    fn answer(&self, file: Fetched) {
        if let Some(waiting) = self.waiting().take() {
            // A router that no longer waits has given up.
            let _ = waiting.send(file);
        }
    }
}

//! One life of a router process, as the program sees it: from its start to its end.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    child::ARGUMENT,
    log::{LogOutput, wanted_levels},
    protocol::{MAX_REPORT_BYTES, PathBytes, Report, ReseedFile, Routers, Sender, Start, printable, read},
};
use crate::{
    Error, Progress,
    progress::OnProgress,
    reseed::{MAX_SERVERS, ServerFiles},
};

/// A router process that reports nothing for so long hangs. It reports every 15 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// A router process that reports more often has been taken over.
const MAX_REPORTS_PER_SECOND: u32 = 100;

/// How long a message to the router process may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a router process may take to end by itself once it was told to.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// What the router process is called in lists of processes.
const NAME: &str = "i2p-router";

/// What every life of the router process starts from.
pub(super) struct Birth {
    pub(super) program: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) network_id: u8,
    pub(super) source: ProcessSource,
    /// The pause after each death, if it does not grow.
    pub(super) pause: Option<Duration>,
    pub(super) on_progress: OnProgress,
}

/// Where the first routers come from.
pub(super) enum ProcessSource {
    ReseedServers,
    ReseedFile(PathBuf),
    RouterInfos(Vec<Vec<u8>>),
}

/// A router process that has been started.
pub(super) struct Life {
    child: Child,
    control: UnixStream,
    sender: Sender,
    /// The socket on which streams are handed over to its SAM bridge.
    pub(super) streams: Arc<UnixStream>,
    log: LogOutput,
    /// How many more reseed files it may ask for.
    files_left: usize,
    /// Its reports of this second.
    reports: (Instant, u32),
}

/// What a router process reports, as far as it concerns the supervisor.
pub(super) enum News {
    /// Its walls are up; these sentences say what is missing of them.
    Confined(Vec<String>),
    /// Its SAM bridge takes streams.
    Started,
    /// It has ended, or is useless, and for this reason.
    Ending(Ending),
}

/// Why a router process ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The router could not start.
    NotStarted(Error),
    /// It died.
    Death(String),
}

impl Life {
    /// Starts a router process. It must be called on a thread that lives as long as the process may: the kernel ends the process
    /// together with this thread.
    pub(super) fn begin(birth: &Birth) -> io::Result<Self> {
        let (control, their_control) = UnixStream::pair()?;
        let (streams, their_streams) = UnixStream::pair()?;
        streams.set_nonblocking(true)?;
        control.set_read_timeout(Some(SILENCE_LIMIT))?;
        control.set_write_timeout(Some(SEND_TIMEOUT))?;
        let sender = Sender::new(control.try_clone()?);
        let child = Command::new(&birth.program)
            .arg0(NAME)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            // Ctrl-C in a terminal is for the program, which stops in its own time.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(their_control)))
            .stdout(Stdio::from(OwnedFd::from(their_streams)))
            // A panic or an exhausted stack is written there, with what a stranger sent.
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            control,
            sender,
            streams: Arc::new(streams),
            log: LogOutput::new(),
            files_left: match birth.source {
                ProcessSource::ReseedServers => MAX_SERVERS,
                _ => 0,
            },
            reports: (Instant::now(), 0),
        })
    }

    /// Tells the process which router it is to run. If it has died already, returns how.
    pub(super) fn instruct(&mut self, birth: &Birth) -> Result<(), Ending> {
        self.send_start(birth).map_err(|error| Ending::Death(self.what_ended(&error)))
    }

    fn send_start(&self, birth: &Birth) -> io::Result<()> {
        let routers = match &birth.source {
            ProcessSource::ReseedServers => Routers::ReseedServers,
            ProcessSource::ReseedFile(path) => Routers::ReseedFile(path.as_path().into()),
            ProcessSource::RouterInfos(infos) => Routers::Frames(infos.len()),
        };
        let state_dir = PathBytes::from(birth.state_dir.as_path());
        let parent = std::process::id();
        let log = wanted_levels();
        self.sender.send(&Start { parent, state_dir, network_id: birth.network_id, routers, log })?;
        if let ProcessSource::RouterInfos(infos) = &birth.source {
            infos.iter().try_for_each(|info| self.sender.send_bytes(info))?;
        }
        Ok(())
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A handle that makes the router process end, from any thread.
    pub(super) fn control(&self) -> io::Result<UnixStream> {
        self.control.try_clone()
    }

    /// Waits for the next news. Blocks.
    pub(super) fn next(&mut self, files: &ServerFiles, on_progress: &OnProgress) -> News {
        loop {
            let report = read(&mut self.control, MAX_REPORT_BYTES);
            if matches!(report, Ok(Report::Progress(_) | Report::Alive | Report::Confined { .. }))
                && self.reports_too_much()
            {
                return News::Ending(Ending::Death("it reported without a pause".to_owned()));
            }
            match report {
                Ok(Report::Confined { missing }) => return News::Confined(missing),
                Ok(Report::NeedsReseedFile(server)) => {
                    if let Err(error) = self.send_reseed_file(files, server) {
                        return News::Ending(Ending::Death(format!("it got no reseed file: {error}")));
                    }
                }
                Ok(Report::Progress(step)) => {
                    on_progress(step);
                    if matches!(step, Progress::Started { .. }) {
                        self.files_left = 0;
                        return News::Started;
                    }
                }
                Ok(Report::Alive) => {}
                Ok(Report::Log { level, of_emissary, text }) => self.log.write(level, of_emissary, &text),
                Ok(Report::NotStarted(fault)) => return News::Ending(Ending::NotStarted(fault.into())),
                Ok(Report::Panicked { file, line }) => {
                    return News::Ending(Ending::Death(format!(
                        "it panicked at {}:{line}",
                        printable(&file)
                    )));
                }
                Ok(Report::Ended) => {
                    return News::Ending(Ending::Death("the router in it ended by itself".to_owned()));
                }
                Err(error) => return News::Ending(Ending::Death(self.what_ended(&error))),
            }
        }
    }

    /// Counts a report. Returns whether there are so many that reading them would keep a processor busy.
    fn reports_too_much(&mut self) -> bool {
        let (second, reports) = &mut self.reports;
        if second.elapsed() >= Duration::from_secs(1) {
            (*second, *reports) = (Instant::now(), 0);
        }
        *reports += 1;
        *reports > MAX_REPORTS_PER_SECOND
    }

    /// Fetches the file of a reseed server for the router process. Blocks.
    ///
    /// Only while it starts, and only if its first routers are to come from there: this program must not be made to connect to servers
    /// on the internet that its user has kept it from.
    fn send_reseed_file(&mut self, files: &ServerFiles, server: usize) -> io::Result<()> {
        let left = self.files_left.checked_sub(1);
        self.files_left = left.ok_or_else(|| io::Error::other("it asked for one that it does not need"))?;
        match files.fetch_blocking(server) {
            Ok(file) => {
                self.sender.send(&ReseedFile::Follows)?;
                self.sender.send_bytes(&file)
            }
            Err(problem) => self.sender.send(&ReseedFile::Missing(problem)),
        }
    }

    fn what_ended(&mut self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("it reported nothing for {} s", SILENCE_LIMIT.as_secs())
            }
            io::ErrorKind::InvalidData => "it reported what makes no sense".to_owned(),
            _ => match self.wait(END_TIMEOUT) {
                Some(status) => describe(status),
                None => "it closed its socket".to_owned(),
            },
        }
    }

    /// Waits for its end, for at most this long.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if begin.elapsed() >= limit {
                return None;
            }
            sleep(Duration::from_millis(5));
        }
    }
}

/// Ends the process, and waits until it is gone: the next one needs its state directory.
impl Drop for Life {
    fn drop(&mut self) {
        // It ends by itself when its socket is closed.
        let _ = self.control.shutdown(std::net::Shutdown::Both);
        if self.wait(END_TIMEOUT).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal} ended it"),
        (None, Some(code)) => format!("it ended with code {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

/// The program to start: this one, by a link to its file that still leads to it after the file has been replaced.
pub(super) fn this_program() -> io::Result<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && link.exists() { Ok(link.to_owned()) } else { std::env::current_exe() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A life whose process has been taken over: the returned sender speaks in its place.
    fn taken_over(source: ProcessSource) -> (Life, Sender) {
        let birth = Birth {
            program: "/bin/true".into(),
            state_dir: "/nonexistent".into(),
            network_id: 2,
            source,
            pause: None,
            on_progress: Arc::new(|_| {}),
        };
        let (control, theirs) = UnixStream::pair().unwrap();
        let mut life = Life::begin(&birth).unwrap();
        life.control = control;
        (life, Sender::new(theirs))
    }

    fn death(life: &mut Life) -> String {
        match life.next(&ServerFiles::default(), &(Arc::new(|_| {}) as OnProgress)) {
            News::Ending(Ending::Death(cause)) => cause,
            News::Ending(Ending::NotStarted(error)) => panic!("{error}"),
            News::Started => death(life),
            News::Confined(_) => panic!("its walls are up"),
        }
    }

    #[test]
    fn no_server_on_the_internet_is_asked_for_a_router_that_needs_none() {
        let (mut life, theirs) = taken_over(ProcessSource::ReseedFile("/nonexistent".into()));
        theirs.send(&Report::NeedsReseedFile(0)).unwrap();
        assert!(death(&mut life).contains("one that it does not need"));
        let (mut life, theirs) = taken_over(ProcessSource::ReseedServers);
        theirs.send(&Report::Progress(Progress::Started { known_routers: 50 })).unwrap();
        theirs.send(&Report::NeedsReseedFile(0)).unwrap();
        assert!(death(&mut life).contains("one that it does not need"));
    }

    #[test]
    fn a_flood_of_reports_keeps_no_processor_busy() {
        let (mut life, theirs) = taken_over(ProcessSource::ReseedServers);
        life.reports.0 = Instant::now() + Duration::from_secs(3600);
        for _ in 0..=MAX_REPORTS_PER_SECOND {
            theirs.send(&Report::Alive).unwrap();
        }
        drop(theirs);
        assert!(death(&mut life).contains("without a pause"));
    }
}

//! What a program and its router process say to each other on the Unix socket between them: frames of a length and JSON.
//!
//! The program reads what the router process sends as it reads what strangers send: that process may have been taken over.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::{ffi::OsStringExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Progress};

/// The longest frame from the router process. Its reports are short.
pub(super) const MAX_REPORT_BYTES: usize = 16 * 1024;

/// The longest frame to the router process: a reseed file, of which the longest is 16 MiB.
pub(super) const MAX_REQUEST_BYTES: usize = 17 * 1024 * 1024;

/// The longest text from the router process that is shown or logged, in characters. Longer ones are cut.
pub(super) const MAX_SHOWN: usize = 2 * 1024;

/// Sends frames. Each is whole, even if several threads send at once.
#[derive(Debug)]
pub(super) struct Sender(Mutex<UnixStream>);

impl Sender {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(socket))
    }

    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        self.send_bytes(&serde_json::to_vec(message)?)
    }

    pub(super) fn send_bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        socket.write_all(&length.to_be_bytes())?;
        socket.write_all(bytes)
    }
}

/// Reads a frame of at most `max_bytes`.
pub(super) fn read_bytes(socket: &mut impl Read, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > max_bytes {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a frame of at most `max_bytes` as JSON.
pub(super) fn read<T: DeserializeOwned>(socket: &mut impl Read, max_bytes: usize) -> io::Result<T> {
    serde_json::from_slice(&read_bytes(socket, max_bytes)?).map_err(io::Error::from)
}

/// Text from the router process as one line of at most [`MAX_SHOWN`] characters that cannot control a terminal: without control
/// characters, and without those that make text look as if it had another order.
pub(super) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { ' ' } else { c }).take(MAX_SHOWN).collect()
}

/// The first frame to the router process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The process ID of the program.
    pub(super) parent: u32,
    pub(super) state_dir: PathBytes,
    pub(super) network_id: u8,
    pub(super) routers: Routers,
    pub(super) log: LogLevels,
}

/// Where the first routers come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Routers {
    /// From reseed servers: the router process asks for their files with [`Report::NeedsReseedFile`].
    ReseedServers,
    /// From this file or directory.
    ReseedFile(PathBytes),
    /// From this many frames, which follow.
    Frames(usize),
}

/// The answer to [`Report::NeedsReseedFile`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ReseedFile {
    /// The next frame is the file.
    Follows,
    /// It could not be fetched.
    Missing(String),
}

/// A report of the router process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// Its walls are up. The sentences say what is missing of them.
    Confined {
        missing: Vec<String>,
    },
    /// It needs the file of the reseed server of this number.
    NeedsReseedFile(usize),
    Progress(Progress),
    /// It runs. A router process that says nothing for a while hangs.
    Alive,
    Log {
        level: LogLevel,
        of_emissary: bool,
        text: String,
    },
    /// It ends, because the router cannot start.
    NotStarted(Fault),
    /// It ends, because a task of the router panicked here.
    Panicked {
        file: String,
        line: u32,
    },
    /// It ends, because the router or its SAM bridge ended.
    Ended,
}

/// How much of its log the program wants.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct LogLevels {
    /// Of this crate.
    pub(super) ours: Option<LogLevel>,
    /// Of emissary, which names destinations.
    pub(super) emissary: Option<LogLevel>,
}

/// From the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A path, which need not be text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PathBytes(Vec<u8>);

impl From<&Path> for PathBytes {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().to_owned().into_vec())
    }
}

impl From<PathBytes> for PathBuf {
    fn from(PathBytes(bytes): PathBytes) -> Self {
        OsString::from_vec(bytes).into()
    }
}

impl PathBytes {
    /// The path as it may be shown. Only one that is not [`printable`] is another one.
    fn shown(self) -> PathBuf {
        let path = PathBuf::from(self);
        let text = path.to_string_lossy();
        let shown = printable(&text);
        if shown == text { path } else { shown.into() }
    }
}

/// An [`Error`] on its way between processes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Fault {
    StateDirectory { path: PathBytes, source: SystemFault },
    StateDirectoryOwner { path: PathBytes, owner: u32 },
    StateDirectoryInUse { path: PathBytes },
    DamagedState { path: PathBytes, problem: String },
    Reseed { problem: String },
    ReseedFile { path: PathBytes, problem: String },
    Router { problem: String },
    System(SystemFault),
}

/// An error of the operating system: its number, or its text.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SystemFault {
    Number(i32),
    Text(String),
}

impl From<&io::Error> for SystemFault {
    fn from(error: &io::Error) -> Self {
        error.raw_os_error().map_or_else(|| Self::Text(error.to_string()), Self::Number)
    }
}

impl From<SystemFault> for io::Error {
    fn from(fault: SystemFault) -> Self {
        match fault {
            SystemFault::Number(number) => Self::from_raw_os_error(number),
            SystemFault::Text(text) => Self::other(printable(&text)),
        }
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        match error {
            Error::StateDirectory { path, source } => {
                Self::StateDirectory { path: path.as_path().into(), source: source.into() }
            }
            Error::StateDirectoryOwner { path, owner } => {
                Self::StateDirectoryOwner { path: path.as_path().into(), owner: *owner }
            }
            Error::StateDirectoryInUse { path } => Self::StateDirectoryInUse { path: path.as_path().into() },
            Error::DamagedState { path, problem } => {
                Self::DamagedState { path: path.as_path().into(), problem: problem.clone() }
            }
            Error::Reseed { problem } => Self::Reseed { problem: problem.clone() },
            Error::ReseedFile { path, problem } => {
                Self::ReseedFile { path: path.as_path().into(), problem: problem.clone() }
            }
            Error::Router { problem } => Self::Router { problem: problem.clone() },
            Error::System(source) => Self::System(source.into()),
            // A router process is no private network.
            Error::NetworkShape { .. } => Self::Router { problem: error.to_string() },
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::StateDirectory { path, source } => {
                Self::StateDirectory { path: path.shown(), source: source.into() }
            }
            Fault::StateDirectoryOwner { path, owner } => {
                Self::StateDirectoryOwner { path: path.shown(), owner }
            }
            Fault::StateDirectoryInUse { path } => Self::StateDirectoryInUse { path: path.shown() },
            Fault::DamagedState { path, problem } => {
                Self::DamagedState { path: path.shown(), problem: printable(&problem) }
            }
            Fault::Reseed { problem } => Self::Reseed { problem: printable(&problem) },
            Fault::ReseedFile { path, problem } => {
                Self::ReseedFile { path: path.shown(), problem: printable(&problem) }
            }
            Fault::Router { problem } => Self::Router { problem: printable(&problem) },
            Fault::System(source) => Self::System(source.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sender, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Sender::new(ours), theirs)
    }

    #[test]
    fn messages_and_files_arrive_as_they_were_sent() {
        let (sender, mut socket) = pair();
        let path = PathBuf::from(OsString::from_vec(b"/state/\xff".to_vec()));
        let source = io::Error::from_raw_os_error(13);
        let sent = Error::StateDirectory { path: path.clone(), source };
        sender.send(&Report::NotStarted(Fault::from(&sent))).unwrap();
        sender.send_bytes(b"a file").unwrap();
        drop(sender);
        let Report::NotStarted(fault) = read(&mut socket, MAX_REPORT_BYTES).unwrap() else { panic!() };
        let Error::StateDirectory { path: arrived, source } = Error::from(fault) else { panic!() };
        assert_eq!((arrived, source.kind()), (path, io::ErrorKind::PermissionDenied));
        assert_eq!(read_bytes(&mut socket, MAX_REPORT_BYTES).unwrap(), b"a file");
        let end = read_bytes(&mut socket, MAX_REPORT_BYTES).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_a_router_process_says_stays_on_its_line_and_leaves_the_terminal_alone() {
        let (problem, path) = ("a\n2026 INFO b\u{1b}[2J\u{202e}c".to_owned(), Path::new("/x\ny"));
        for fault in [
            Fault::Router { problem: problem.clone() },
            Fault::Reseed { problem: problem.clone() },
            Fault::DamagedState { path: path.into(), problem: problem.clone() },
            Fault::ReseedFile { path: path.into(), problem: problem.clone() },
            Fault::StateDirectory { path: path.into(), source: SystemFault::Text(problem.clone()) },
            Fault::System(SystemFault::Text(problem)),
        ] {
            let text = Error::from(fault).to_string();
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
        assert_eq!(printable(&"x".repeat(MAX_REPORT_BYTES)).len(), MAX_SHOWN);
    }

    #[test]
    fn errors_keep_their_text() {
        for error in [
            Error::StateDirectoryOwner { path: "/x".into(), owner: 7 },
            Error::StateDirectoryInUse { path: "/x".into() },
            Error::DamagedState { path: "/x".into(), problem: "p".into() },
            Error::Reseed { problem: "p".into() },
            Error::ReseedFile { path: "/x".into(), problem: "p".into() },
            Error::Router { problem: "p".into() },
            Error::System(io::Error::other("no threads")),
        ] {
            assert_eq!(Error::from(Fault::from(&error)).to_string(), error.to_string());
        }
    }

    #[test]
    fn a_frame_that_is_too_long_or_no_report_is_an_error_before_it_costs_memory() {
        let (sender, mut socket) = pair();
        sender.send_bytes(&vec![b'x'; MAX_REPORT_BYTES + 1]).unwrap();
        assert!(read_bytes(&mut socket, MAX_REPORT_BYTES).is_err());
        for bytes in [&b""[..], b"{}", b"\"Nothing\"", b"[[[[[[[[", b"{\"NeedsReseedFile\":-1}"] {
            let (sender, mut socket) = pair();
            sender.send_bytes(bytes).unwrap();
            assert!(read::<Report>(&mut socket, MAX_REPORT_BYTES).is_err());
        }
    }
}

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// A line that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineRecord {
    /// The number of its connection, counted from 1.
    pub connection: u64,
    /// When it arrived.
    pub at: Instant,
    /// The line without its newline. What [`Act::Listen`](crate::Act::Listen) read is one such line, with all its newlines.
    pub line: String,
}

/// A `STREAM CONNECT` of a session that exists, whether or not it succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamRecord {
    /// The session's ID.
    pub session: String,
    /// The destination of that session in base64.
    pub from: String,
    /// The `DESTINATION` as the client sent it: a name, a base32 address or base64.
    pub to: String,
    /// The `FROM_PORT`, or the session's; 0 where there is none.
    pub from_port: u16,
    /// The `TO_PORT`, or the session's; 0 where there is none.
    pub to_port: u16,
}

/// What clients have sent. Grows with each command.
#[derive(Default)]
pub(crate) struct Recorder {
    lines: Mutex<Vec<LineRecord>>,
    streams: Mutex<Vec<StreamRecord>>,
    datagrams: Mutex<Vec<Vec<u8>>>,
}

impl Recorder {
    pub(crate) fn line(&self, connection: u64, line: &str) {
        lock(&self.lines).push(LineRecord { connection, at: Instant::now(), line: line.to_owned() });
    }

    pub(crate) fn stream(&self, stream: StreamRecord) {
        lock(&self.streams).push(stream);
    }

    pub(crate) fn datagram(&self, datagram: &[u8]) {
        lock(&self.datagrams).push(datagram.to_vec());
    }

    pub(crate) fn transcript(&self) -> Vec<LineRecord> {
        lock(&self.lines).clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        let lines = lock(&self.lines);
        let commands = lines.iter().filter(|record| !record.line.starts_with("HELLO"));
        commands.map(|record| record.line.clone()).collect()
    }

    pub(crate) fn times(&self, command: &str) -> Vec<Instant> {
        let lines = lock(&self.lines);
        lines.iter().filter(|record| record.line.starts_with(command)).map(|record| record.at).collect()
    }

    pub(crate) fn streams(&self) -> Vec<StreamRecord> {
        lock(&self.streams).clone()
    }

    pub(crate) fn datagrams(&self) -> Vec<Vec<u8>> {
        lock(&self.datagrams).clone()
    }
}

/// Locks a mutex, even if a test has panicked with the lock: the others must not panic with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

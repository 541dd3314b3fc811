use std::sync::{Mutex, MutexGuard, PoisonError};

/// A line that a client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// Which connection it came on: 1 is the first that the bridge was given.
    pub connection: u64,
    /// The line without its newline. What [`Act::Listen`](crate::Act::Listen) heard is one such line, newlines and all.
    pub line: String,
}

/// A `STREAM CONNECT` of a session that exists, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamRecord {
    /// The session's ID.
    pub session: String,
    /// The session's destination in base64: who connects.
    pub from: String,
    /// The `DESTINATION` as the client gave it: a name, a base32 address or base64.
    pub to: String,
    /// The `FROM_PORT`, or the session's; 0 where there is none.
    pub from_port: u16,
    /// The `TO_PORT`, or the session's; 0 where there is none.
    pub to_port: u16,
}

/// What clients have said and done. Grows with each command.
#[derive(Default)]
pub(crate) struct Recorder {
    heard: Mutex<Vec<Heard>>,
    streams: Mutex<Vec<StreamRecord>>,
    datagrams: Mutex<Vec<Vec<u8>>>,
}

impl Recorder {
    pub(crate) fn heard(&self, connection: u64, line: &str) {
        lock(&self.heard).push(Heard { connection, line: line.to_owned() });
    }

    pub(crate) fn stream(&self, stream: StreamRecord) {
        lock(&self.streams).push(stream);
    }

    pub(crate) fn datagram(&self, datagram: &[u8]) {
        lock(&self.datagrams).push(datagram.to_vec());
    }

    pub(crate) fn transcript(&self) -> Vec<Heard> {
        lock(&self.heard).clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        let heard = lock(&self.heard);
        let commands = heard.iter().filter(|heard| !heard.line.starts_with("HELLO"));
        commands.map(|heard| heard.line.clone()).collect()
    }

    pub(crate) fn streams(&self) -> Vec<StreamRecord> {
        lock(&self.streams).clone()
    }

    pub(crate) fn datagrams(&self) -> Vec<Vec<u8>> {
        lock(&self.datagrams).clone()
    }
}

/// A test that panics with the lock must not make the others panic with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

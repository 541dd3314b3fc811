use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use zeroize::Zeroize;

use super::stream::SamStream;
use crate::{
    error::{Error, Phase},
    wire::{Command, Dialect, LeaseSetDialect, MAX_LINE_BYTES, Pong, Reply, ResultWord, Version},
};

/// A connection to a bridge that has not become a stream yet.
///
/// It reads up to the newline and never past it: what follows an answer belongs to the stream that
/// [`Connection::into_stream`] returns.
pub(crate) struct Connection {
    stream: SamStream,
    dialect: Dialect,
    /// What the router answered to HELLO on this connection.
    version: Option<Version>,
    /// The part of a line that has arrived so far.
    partial: BytesMut,
}

/// The result of reading a line.
pub(crate) enum LineRead {
    /// A line without its newline. Also a last line that ends with the connection and not with a newline, as emissary's errors do.
    Complete(BytesMut),
    /// The bridge closed the connection and sent no line before.
    End,
}

impl Connection {
    pub(crate) fn new(stream: SamStream, dialect: Dialect) -> Self {
        Self { stream, dialect, version: None, partial: BytesMut::new() }
    }

    pub(super) fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// How the router reads the options of a lease set. The version is that of this connection: another router may have come up
    /// since the router's dialect was learned.
    pub(crate) fn lease_set_dialect(&self) -> LeaseSetDialect {
        LeaseSetDialect::of_router(self.version, self.dialect)
    }

    pub(crate) fn stream(&self) -> &SamStream {
        &self.stream
    }

    #[cfg(test)]
    pub(super) fn stream_mut(&mut self) -> &mut SamStream {
        &mut self.stream
    }

    /// Sends a command as one line in one write.
    pub(crate) async fn send(&mut self, command: &impl Command, phase: Phase) -> Result<(), Error> {
        let line = command.line(self.dialect)?;
        self.write(line.as_bytes()).await.map_err(|error| broken(&error, phase))
    }

    /// Tells the bridge that nothing more is sent.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Answers a bridge's PING. A text that is too long for an answer is not answered.
    pub(crate) async fn pong(&mut self, text: &str) -> io::Result<()> {
        match (Pong { text }).line(self.dialect) {
            Ok(line) => self.write(line.as_bytes()).await,
            Err(_) => Ok(()),
        }
    }

    async fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.write_all(line).await?;
        // TLS may hold it back.
        self.stream.flush().await
    }

    /// Reads one line. Cancel safe: nothing that was read is lost.
    pub(crate) async fn line(&mut self) -> io::Result<LineRead> {
        loop {
            // Peek first, then take no more than the line.
            let (take, newline) = poll_fn(|context| self.poll_peek_line(context)).await?;
            if take == 0 {
                let rest = self.partial.split();
                return Ok(if rest.is_empty() { LineRead::End } else { LineRead::Complete(rest) });
            }
            if self.partial.len() + take > MAX_LINE_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
            self.take(take).await?;
            if newline {
                let mut line = self.partial.split();
                line.truncate(line.len().saturating_sub(1));
                return Ok(LineRead::Complete(line));
            }
        }
    }

    /// The part of a line that has arrived before the connection broke.
    pub(super) fn partial_line(&self) -> &[u8] {
        &self.partial
    }

    /// The number of bytes of the line that have arrived, and whether its newline is among them. The number is 0 at the end of
    /// the connection.
    ///
    /// The buffer is on the stack for this call only: in the future of a connection it would take a kilobyte at each level of
    /// nested futures.
    fn poll_peek_line(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(usize, bool)>> {
        let mut seen = [0_u8; 1024];
        self.stream.poll_peek(context, &mut seen).map_ok(|length| {
            let newline = seen.iter().take(length).position(|&byte| byte == b'\n');
            let line = newline.map_or((length, false), |at| (at + 1, true));
            // The line may hold keys.
            seen.zeroize();
            line
        })
    }

    /// The next line, or an error if the connection ends.
    pub(crate) async fn answer(&mut self, phase: Phase) -> Result<BytesMut, Error> {
        match self.line().await {
            Ok(LineRead::Complete(line)) => Ok(line),
            Ok(LineRead::End) => Err(Error::Closed { phase }),
            Err(error) => Err(broken(&error, phase)),
        }
    }

    /// Reads the status of a stream, which some routers send as a `SESSION STATUS`. A PING before it is skipped: a PONG could
    /// end up in the stream.
    pub(crate) async fn stream_status(&mut self, phase: Phase) -> Result<(), Error> {
        loop {
            let line = self.answer(phase).await?;
            return match Reply::parse(&line).map_err(|_| Error::Unexpected { phase })? {
                Reply::Stream { status } if status.result == ResultWord::Ok => Ok(()),
                Reply::Stream { status } | Reply::Session { status, .. } => {
                    Err(Error::refused(phase, status))
                }
                Reply::Ping(_) => continue,
                _ => Err(Error::Unexpected { phase }),
            };
        }
    }

    /// Moves bytes that have arrived from the socket to `partial`. It never waits, so that dropping [`Connection::line`] cannot
    /// lose them.
    async fn take(&mut self, count: usize) -> io::Result<()> {
        self.make_room(count);
        let mut bytes = (&mut self.stream).take(count as u64);
        let mut taken = 0;
        while taken < count {
            match bytes.read_buf(&mut self.partial).await? {
                0 => break,
                n => taken += n,
            }
        }
        Ok(())
    }

    /// Makes room for this many more bytes of a line. A buffer that grows by itself leaves copies of keys behind.
    fn make_room(&mut self, count: usize) {
        let (length, capacity) = (self.partial.len(), self.partial.capacity());
        if capacity - length < count {
            let mut larger = BytesMut::with_capacity((length + count).max(2 * capacity).min(MAX_LINE_BYTES));
            larger.extend_from_slice(&self.partial);
            self.partial.zeroize();
            self.partial = larger;
        }
    }

    /// The stream that the connection has become after a successful STREAM CONNECT or ACCEPT.
    pub(crate) fn into_stream(self) -> SamStream {
        self.stream
    }
}

/// The error for a connection that broke in this phase.
pub(crate) fn broken(error: &io::Error, phase: Phase) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => Error::Unexpected { phase },
        _ => Error::Closed { phase },
    }
}

/// Does the work, or fails after the time limit.
pub(crate) async fn within<T>(
    limit: Duration,
    phase: Phase,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or(Err(Error::Timeout { phase, limit }))
}

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::{
    error::{Error, Phase},
    wire::{Command, Dialect, MAX_LINE, Pong, Reply, ResultWord},
};

/// One connection to a bridge that still speaks lines.
///
/// Reads up to the newline and never past it: what follows an answer belongs to the stream, and leaves with it
/// in [`Connection::into_stream`].
pub(crate) struct Connection {
    stream: TcpStream,
    dialect: Dialect,
    /// The part of a line that has come so far.
    partial: BytesMut,
}

/// What reading a line came to.
pub(crate) enum Line {
    /// A whole line, without its newline; or the last words before the connection ended, which is how emissary
    /// ends its error answers.
    Complete(BytesMut),
    /// The bridge closed the connection without a word.
    End,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, dialect: Dialect) -> Self {
        Self { stream, dialect, partial: BytesMut::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Our own address and the bridge's.
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.stream.local_addr()?, self.stream.peer_addr()?))
    }

    /// Sends one command: one write, one line.
    pub(crate) async fn send(&mut self, command: &impl Command, phase: Phase) -> Result<(), Error> {
        let line = command.line(self.dialect)?;
        self.stream.write_all(line.as_bytes()).await.map_err(|error| broken(&error, phase))
    }

    /// Answers a bridge's PING. A text that is too long for an answer gets none.
    pub(crate) async fn pong(&mut self, text: &str) -> io::Result<()> {
        match (Pong { text }).line(self.dialect) {
            Ok(line) => self.stream.write_all(line.as_bytes()).await,
            Err(_) => Ok(()),
        }
    }

    /// Reads one line. Safe to drop and to call again: nothing that was read is lost.
    pub(crate) async fn line(&mut self) -> io::Result<Line> {
        loop {
            // Look first, then take no more than the line.
            let (take, newline) = poll_fn(|context| self.poll_look(context)).await?;
            if take == 0 {
                let rest = self.partial.split();
                return Ok(if rest.is_empty() { Line::End } else { Line::Complete(rest) });
            }
            if self.partial.len() + take > MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
            self.take(take).await?;
            if newline {
                let mut line = self.partial.split();
                line.truncate(line.len().saturating_sub(1));
                return Ok(Line::Complete(line));
            }
        }
    }

    /// How many bytes of a line are there, none at the end of the connection, and whether its newline is among them.
    ///
    /// The bytes are on the stack for no longer than this takes: in a future of every connection they would be a kilobyte
    /// each time that futures are nested.
    fn poll_look(&self, context: &mut Context<'_>) -> Poll<io::Result<(usize, bool)>> {
        let mut seen = [0_u8; 1024];
        let mut seen = ReadBuf::new(&mut seen);
        self.stream.poll_peek(context, &mut seen).map_ok(|length| {
            let newline = seen.filled().iter().position(|&byte| byte == b'\n');
            newline.map_or((length, false), |at| (at + 1, true))
        })
    }

    /// The next line, as an error where there is none.
    pub(crate) async fn answer(&mut self, phase: Phase) -> Result<BytesMut, Error> {
        match self.line().await {
            Ok(Line::Complete(line)) => Ok(line),
            Ok(Line::End) => Err(Error::Closed { phase }),
            Err(error) => Err(broken(&error, phase)),
        }
    }

    /// The status of a stream, which some routers send as one of the session. PINGs that were on their way are
    /// skipped: a PONG here could end up in the stream.
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

    /// Moves bytes that are known to be there from the socket to `partial`: never waits, so that dropping
    /// [`Connection::line`] cannot lose them.
    async fn take(&mut self, count: usize) -> io::Result<()> {
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

    /// The connection as what it is after a successful STREAM CONNECT or ACCEPT: the stream itself.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// A connection that broke while something was being done.
pub(crate) fn broken(error: &io::Error, phase: Phase) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => Error::Unexpected { phase },
        _ => Error::Closed { phase },
    }
}

pub(crate) async fn within<T>(
    limit: Duration,
    phase: Phase,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or(Err(Error::Timeout { phase, limit }))
}

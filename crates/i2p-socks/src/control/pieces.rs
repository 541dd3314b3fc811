//! Bodies that are made or used piece by piece, by code that blocks.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming};
use tokio::sync::mpsc;

use super::routes::Body;

/// Pieces that wait to be taken.
const WAITING: usize = 4;
/// How long a body may bring nothing.
const STALL: Duration = Duration::from_secs(60);

type Piece = io::Result<Bytes>;

/// Makes a body of what is sent. Sending waits until there is room; dropping the sender ends the body well, an error ends it
/// badly.
pub(crate) fn sent() -> (mpsc::Sender<Piece>, Body) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (sender, Pieces(pieces).boxed_unsync())
}

struct Pieces(mpsc::Receiver<Piece>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.get_mut().0.poll_recv(context));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Writes into a body. Blocks, and so is nothing for a task.
pub(crate) struct PieceWriter(pub(crate) mpsc::Sender<Piece>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a body, which is taken in meanwhile. Blocks, and so is nothing for a task. Has to be made in one.
pub(crate) struct PieceReader {
    pieces: mpsc::Receiver<Piece>,
    now: Bytes,
}

impl PieceReader {
    pub(crate) fn of(mut body: Incoming) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            loop {
                let piece = match tokio::time::timeout(STALL, body.frame()).await {
                    Ok(None) => return,
                    Ok(Some(Ok(frame))) => frame.into_data().map_err(|_| io::ErrorKind::InvalidData.into()),
                    Ok(Some(Err(_))) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                };
                let last = piece.is_err();
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        });
        Self { pieces, now: Bytes::new() }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.now = piece?,
                None => return Ok(0),
            }
        }
        let taken = self.now.split_to(self.now.len().min(buffer.len()));
        buffer.get_mut(..taken.len()).unwrap_or_default().copy_from_slice(&taken);
        Ok(taken.len())
    }
}

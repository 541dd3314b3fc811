//! HTTP bodies of any length, written and read by blocking code.

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

/// How many chunks are buffered.
const BUFFERED_CHUNKS: usize = 4;
/// How long a body may stall.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

type Chunk = io::Result<Bytes>;

/// A body of the chunks that are sent. Sending waits until there is room. Dropping the sender ends the body; sending an error breaks
/// it off.
pub(crate) fn streamed_body() -> (mpsc::Sender<Chunk>, Body) {
    let (sender, chunks) = mpsc::channel(BUFFERED_CHUNKS);
    (sender, ChunkBody(chunks).boxed_unsync())
}

struct ChunkBody(mpsc::Receiver<Chunk>);

impl HttpBody for ChunkBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = ready!(self.get_mut().0.poll_recv(context));
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// Writes a body. It blocks, so it must not be used in an async task.
pub(crate) struct BodyWriter(pub(crate) mpsc::Sender<Chunk>);

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a body, which a task receives meanwhile. It blocks, so it must not be used in an async task, but it must be created in one.
pub(crate) struct BodyReader {
    chunks: mpsc::Receiver<Chunk>,
    current: Bytes,
}

impl BodyReader {
    pub(crate) fn of(mut body: Incoming) -> Self {
        let (sender, chunks) = mpsc::channel(BUFFERED_CHUNKS);
        tokio::spawn(async move {
            loop {
                let chunk = match tokio::time::timeout(STALL_TIMEOUT, body.frame()).await {
                    Ok(None) => return,
                    Ok(Some(Ok(frame))) => frame.into_data().map_err(|_| io::ErrorKind::InvalidData.into()),
                    Ok(Some(Err(_))) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                };
                let last = chunk.is_err();
                if sender.send(chunk).await.is_err() || last {
                    return;
                }
            }
        });
        Self { chunks, current: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let taken = self.current.split_to(self.current.len().min(buffer.len()));
        buffer.get_mut(..taken.len()).unwrap_or_default().copy_from_slice(&taken);
        Ok(taken.len())
    }
}

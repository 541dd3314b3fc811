//! Streams that another process hands over, one at a time, on a Unix socket between the two (`SCM_RIGHTS` in unix(7)).
//!
//! Only who holds the other end of that socket can hand one over: there is no port and no file that a third process could open.

use std::{
    convert::Infallible,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::{io::Interest, net, sync::oneshot};

/// The streams for the SAM bridge of this process, if its router has no ports. `None` in it: its bridge has taken them.
static FOR_SAM_BRIDGE: OnceLock<Mutex<Option<HandedStreams>>> = OnceLock::new();

/// Makes the router of this process open no ports: its SAM bridge serves what is handed over on `socket`, and nothing else reaches
/// it. For a process that runs one router. Must be called within a tokio runtime. The returned receiver ends when the bridge does.
pub(crate) fn use_instead_of_ports(socket: UnixStream) -> io::Result<oneshot::Receiver<Infallible>> {
    let (alive, ended) = oneshot::channel();
    let streams = HandedStreams::new(socket, alive)?;
    // A second call, which there is not, would change nothing.
    let _ = FOR_SAM_BRIDGE.set(Mutex::new(Some(streams)));
    Ok(ended)
}

/// Whether the router of this process opens no ports.
pub(crate) fn are_used_instead_of_ports() -> bool {
    FOR_SAM_BRIDGE.get().is_some()
}

/// Takes the streams for the SAM bridge of this process.
pub(crate) fn take() -> Option<HandedStreams> {
    FOR_SAM_BRIDGE.get()?.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Receives streams.
pub(crate) struct HandedStreams {
    socket: net::UnixStream,
    /// Dropped with this, so that the end of the bridge shows.
    _alive: oneshot::Sender<Infallible>,
}

impl HandedStreams {
    fn new(socket: UnixStream, alive: oneshot::Sender<Infallible>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: net::UnixStream::from_std(socket)?, _alive: alive })
    }

    /// The next stream; none once the other process is gone.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<net::UnixStream>> {
        loop {
            if ready!(self.socket.poll_read_ready(context)).is_err() {
                return Poll::Ready(None);
            }
            match self.socket.try_io(Interest::READABLE, || receive(&self.socket)) {
                Ok(Handed::Stream(stream)) => {
                    if let Ok(stream) = net::UnixStream::from_std(stream) {
                        return Poll::Ready(Some(stream));
                    }
                }
                Ok(Handed::Lost) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(Handed::End) | Err(_) => return Poll::Ready(None),
            }
        }
    }
}

/// What arrives on the socket.
enum Handed {
    Stream(UnixStream),
    /// This process had no file descriptor free for a stream. Who handed it over sees its end.
    Lost,
    /// The other process is gone.
    End,
}

fn receive(socket: impl AsFd) -> io::Result<Handed> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    if received.bytes == 0 {
        return Ok(Handed::End);
    }
    let handed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let stream = handed.map(UnixStream::from).filter(|stream| stream.set_nonblocking(true).is_ok());
    Ok(stream.map_or(Handed::Lost, Handed::Stream))
}

/// Hands `stream` over on `socket`, which must not block.
pub(crate) fn hand_over(socket: &UnixStream, stream: impl AsFd) -> io::Result<()> {
    let descriptors = [stream.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_is_lost_to_a_shortage_of_descriptors_does_not_end_the_others() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (alive, mut ended) = oneshot::channel();
        let streams = HandedStreams::new(theirs, alive).unwrap();
        // Without a descriptor, as the kernel delivers it to a process that has none free.
        (&ours).write_all(&[0]).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        hand_over(&ours, &far).unwrap();
        let next = timeout(Duration::from_secs(5), poll_fn(|context| streams.poll_next(context)));
        assert!(next.await.unwrap().is_some());
        drop((near, ours));
        assert!(poll_fn(|context| streams.poll_next(context)).await.is_none());
        assert!(ended.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        drop(streams);
        assert!(ended.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
    }
}

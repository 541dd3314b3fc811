//! Streams that another process hands over, one at a time, on a Unix socket between the two (`SCM_RIGHTS` in unix(7)).
//!
//! Only who holds the other end of that socket can hand one over: there is no port and no file that a third process could open.

use std::{
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
use tokio::{io::Interest, net};

/// The streams for the SAM bridge of this process, if its router has no ports. `None` in it: its bridge has taken them.
static FOR_SAM_BRIDGE: OnceLock<Mutex<Option<HandedStreams>>> = OnceLock::new();

/// Makes the router of this process open no ports: its SAM bridge serves what is handed over on `socket`, and nothing else reaches
/// it. For a process that runs one router. Must be called within a tokio runtime.
pub(crate) fn use_instead_of_ports(socket: UnixStream) -> io::Result<()> {
    let streams = HandedStreams::new(socket)?;
    // A second call, which there is not, would change nothing.
    let _ = FOR_SAM_BRIDGE.set(Mutex::new(Some(streams)));
    Ok(())
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
pub(crate) struct HandedStreams(net::UnixStream);

impl HandedStreams {
    fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        net::UnixStream::from_std(socket).map(Self)
    }

    /// The next stream; none once the other process is gone.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<net::UnixStream>> {
        loop {
            if ready!(self.0.poll_read_ready(context)).is_err() {
                return Poll::Ready(None);
            }
            let received = self.0.try_io(Interest::READABLE, || receive(&self.0));
            match received.and_then(|stream| stream.map(net::UnixStream::from_std).transpose()) {
                Ok(stream) => return Poll::Ready(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(None),
            }
        }
    }
}

fn receive(socket: impl AsFd) -> io::Result<Option<UnixStream>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let handed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let stream = handed.map(UnixStream::from).ok_or(io::ErrorKind::InvalidData)?;
    stream.set_nonblocking(true)?;
    Ok(Some(stream))
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

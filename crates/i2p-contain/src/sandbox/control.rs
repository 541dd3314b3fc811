//! Messages between the process outside and the stages of a sandbox, with descriptors (`SCM_RIGHTS`).
//!
//! A stage gets its end as standard input: so no descriptor has to be inherited under a number that is agreed on.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send,
        sendmsg, socketpair,
    },
    stdio::dup2_stdin,
};
use serde::{Serialize, de::DeserializeOwned};

/// Descriptors in one message: what a link hands over, or three streams and what root shows. The kernel takes up to 253.
pub(super) const MAX_DESCRIPTORS: usize = 64;

/// A command line has at most 2 MiB, and each byte takes up to four as JSON.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// One end of the connection.
pub(super) struct Control(OwnedFd);

impl Control {
    /// Makes both ends.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The end that a stage has as standard input, which is empty from then on.
    pub(super) fn of_stage() -> io::Result<Self> {
        let control = Self(io::stdin().as_fd().try_clone_to_owned()?);
        dup2_stdin(File::open("/dev/null")?)?;
        Ok(control)
    }

    /// Another handle of this end, for a stage.
    pub(super) fn for_stage(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// The descriptor, to wait for its end.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends a message with at most [`MAX_DESCRIPTORS`] descriptors.
    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?.to_be_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
        }
        // Four bytes fit into the buffer of the socket at once.
        sendmsg(&self.0, &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL)?;
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let sent = retry(|| send(&self.0, rest, SendFlags::NOSIGNAL))?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Receives a message. Fails with `UnexpectedEof` if the other end is gone.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<(T, Vec<OwnedFd>)> {
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry(|| {
            recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut length)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL,
            )
        })?;
        if received.bytes != length.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other(
                "this process may not open that many descriptors: raise its limit (ulimit -n)",
            ));
        }
        let rights = |message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        };
        let descriptors = ancillary.drain().filter_map(rights).flatten().collect();
        let bytes = u32::from_be_bytes(length) as usize;
        if bytes > MAX_MESSAGE_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut text = vec![0; bytes];
        let mut filled = 0;
        while let Some(space) = text.get_mut(filled..).filter(|space| !space.is_empty()) {
            match retry(|| recv(&self.0, &mut *space, RecvFlags::empty()))?.0 {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok((serde_json::from_slice(&text)?, descriptors))
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, thread};

    use super::*;

    #[test]
    fn messages_of_any_size_arrive_with_their_descriptors() {
        let (one, other) = Control::pair().unwrap();
        let long = "x".repeat(1_000_000);
        let text = long.clone();
        let sender = thread::spawn(move || {
            let null = File::open("/dev/zero").unwrap();
            one.send(&"short", &[null.as_fd(), null.as_fd()]).unwrap();
            one.send(&text, &[]).unwrap();
        });
        let (short, descriptors) = other.receive::<String>().unwrap();
        assert_eq!((short.as_str(), descriptors.len()), ("short", 2));
        let mut byte = [1];
        File::from(descriptors.into_iter().next().unwrap()).read_exact(&mut byte).unwrap();
        assert_eq!(byte, [0]);
        let (received, descriptors) = other.receive::<String>().unwrap();
        assert!(received == long && descriptors.is_empty());
        sender.join().unwrap();
        assert_eq!(other.receive::<String>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

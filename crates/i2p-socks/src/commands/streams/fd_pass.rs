//! Hands an open stream to the program that started this command: ssh with `ProxyUseFdpass`, or nc with `-F`.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
};

use i2p_tunnel::Socket;
use rustix::{
    cmsg_space,
    io::ioctl_fionbio,
    net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, getsockname, sendmsg},
};

use crate::command_error::CommandError;

/// The byte that the descriptor travels with. Its value means nothing.
const BYTE: [u8; 1] = [0];

/// Fails if stdout cannot carry a descriptor, so that nothing is connected in vain.
pub(in crate::commands) fn check_stdout() -> Result<(), CommandError> {
    match getsockname(io::stdout()) {
        Ok(address) if address.address_family() == AddressFamily::UNIX => Ok(()),
        _ => Err(CommandError::usage(
            "--fd-pass needs a Unix socket as stdout: it is for programs that start this command themselves, such as ssh with \
         ProxyUseFdpass. Leave it out to use stdin and stdout",
        )),
    }
}

/// Sends the descriptor of a stream over stdout, which has to be a Unix socket (unix(7), `SCM_RIGHTS`). The stream then belongs to the
/// program at the other end, and this process can end.
pub(in crate::commands) fn pass(stream: &Socket) -> Result<(), CommandError> {
    let sent = match stream.descriptor() {
        Some(descriptor) => send(descriptor, io::stdout().as_fd()),
        None => Err(io::ErrorKind::Unsupported.into()),
    };
    sent.map_err(|error| CommandError::run_time(format_args!("cannot pass on the connection: {error}")))
}

fn send(descriptor: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    // The other program may not expect what tokio needs.
    ioctl_fionbio(descriptor, false)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(to, &[IoSlice::new(&BYTE)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

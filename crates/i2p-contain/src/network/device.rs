//! Reads and writes frames of the TUN device.

use std::{io, os::fd::OwnedFd};

use tokio::io::{
    Interest,
    unix::{AsyncFd, AsyncFdReadyGuard},
};

/// The TUN device.
#[derive(Debug)]
pub(super) struct Device(AsyncFd<OwnedFd>);

/// A device that has frames, maybe.
pub(super) struct Ready<'a>(AsyncFdReadyGuard<'a, OwnedFd>);

impl Device {
    // What replaces it is unsafe, for types that may change their descriptor. `OwnedFd` never does.
    #[allow(deprecated, reason = "sound for an OwnedFd, and needs no unsafe code")]
    pub(super) fn new(device: OwnedFd) -> io::Result<Self> {
        AsyncFd::with_interest(device, Interest::READABLE).map(Self)
    }

    /// Waits for frames, or for the end of the device.
    pub(super) async fn ready(&self) -> io::Result<Ready<'_>> {
        // A device that was removed is only in error.
        self.0.ready(Interest::READABLE | Interest::ERROR).await.map(Ready)
    }

    /// Writes a frame. The kernel takes it at once or drops it; a packet may be lost.
    pub(super) fn write(&self, frame: &[u8]) {
        let _ = rustix::io::write(self.0.get_ref(), frame);
    }
}

impl Ready<'_> {
    /// Reads a frame; `None` if there is none.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = self.0.try_io(|device| Ok(rustix::io::read(device.get_ref(), buffer)?));
        read.map_or(Ok(None), |length| length.map(Some))
    }
}

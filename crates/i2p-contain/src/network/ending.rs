//! How one direction of a relay ends.
//!
//! If the receiver accepts no more data, the sender's data is discarded from then on, since the other direction may still have an
//! answer. The relay fails once that has finished.

use std::io::{self, ErrorKind};

/// The side of a direction that failed.
#[derive(Debug)]
pub(super) enum Broken {
    Source(io::Error),
    Sink(io::Error),
}

/// How a direction has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The receiver got all data and its end.
    Finished,
    /// The receiver accepts no more.
    Broken(ErrorKind),
}

impl Ending {
    /// Checks whether an end of data that the broken receiver seems to send is one. The kernel reports a failure once: after that,
    /// reading finds an orderly end. A broken pipe is no such failure, and a shutdown that finds no connection takes none away.
    ///
    /// # Errors
    /// The failure that the end of data hides.
    pub(super) fn believe_end(self) -> io::Result<()> {
        match self {
            Self::Finished | Self::Broken(ErrorKind::BrokenPipe | ErrorKind::NotConnected) => Ok(()),
            Self::Broken(kind) => Err(kind.into()),
        }
    }

    /// The outcome of this direction.
    pub(super) fn result(self) -> io::Result<()> {
        match self {
            Self::Finished => Ok(()),
            Self::Broken(kind) => Err(kind.into()),
        }
    }
}

impl From<io::Error> for Ending {
    fn from(sink: io::Error) -> Self {
        Self::Broken(sink.kind())
    }
}

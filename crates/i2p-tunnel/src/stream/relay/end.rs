use std::{fmt, io};

use crate::limits::Limit;

/// How a relay ended.
#[derive(Debug)]
pub(crate) enum RelayEnd {
    /// Both sides have finished.
    Finished,
    /// The client has finished sending and closed its socket. Nobody is left to receive the rest.
    ClientGone,
    /// One side broke.
    Broken(io::Error),
    /// A limit was reached.
    Limit(Limit),
}

/// For the log. Shows nothing of the data.
impl fmt::Display for RelayEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::ClientGone => f.write_str("the client has gone"),
            Self::Broken(error) => error.kind().fmt(f),
            Self::Limit(limit) => write!(f, "limit {}", limit.label()),
        }
    }
}

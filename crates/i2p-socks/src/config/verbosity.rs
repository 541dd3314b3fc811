//! How much the command line asks to log.

use super::log::Level;

/// How much to log and to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Debug,
    Trace,
    /// Also the log of the embedded router, which names other routers and visited destinations.
    Router,
}

impl Verbosity {
    /// The same, if the command line says nothing of it, for a log of this level.
    pub(crate) fn with_level(self, level: Level) -> Self {
        if self == Self::Normal && level == Level::Warn { Self::Quiet } else { self }
    }
}

//! How much the command line asks to log.

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

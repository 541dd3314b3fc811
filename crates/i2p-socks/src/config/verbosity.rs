/// How much a person wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Debug,
    Trace,
    /// And what the router inside has to say, which holds addresses of other routers.
    Router,
}

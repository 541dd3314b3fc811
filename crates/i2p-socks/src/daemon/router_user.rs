//! Who needs a router.

/// Who needs a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterUser {
    /// The proxy, which can wait.
    Proxy,
    /// A command that a person or a program waits for.
    Command,
}

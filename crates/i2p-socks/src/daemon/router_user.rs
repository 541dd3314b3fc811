//! Who needs a router.

/// Who needs a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterUser {
    /// The proxy, which can wait.
    Proxy,
    /// A contained program, which is worth the start of a router, and which a person waits for.
    Program,
    /// A command that a person or a program waits for.
    Command,
}

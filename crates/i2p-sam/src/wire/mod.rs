//! The messages of SAM v3, without I/O.
//!
//! A message is one line ended by `\n` (SAM v3, "Generic protocol"). [`command`](self) types go to the bridge
//! and write themselves, newline included; [`Reply`] is what comes back, parsed from a line without its newline.

mod command;
mod reply;

pub use command::{
    Hello, NamingLookup, Pong, SessionCreate, SessionId, SessionOptions, StreamAccept, StreamConnect,
};
pub use reply::{AcceptedFrom, Malformed, Reply, ResultWord, Status, Version};

/// Longest line that is read from a bridge, in bytes. The longest that any router sends is a `SESSION STATUS` with
/// a private key, of about 1,200 characters; the rest is room for keys to come.
pub const MAX_LINE: usize = 8 * 1024;

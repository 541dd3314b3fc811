//! The messages of SAM v3, without I/O: 3.0 to 3.3 and what came after (DATAGRAM2 and 3, `OPTIONS` of lookups).
//!
//! A message is one line ended by `\n` (SAM v3, "Generic protocol"). A [`Command`] is sent to the bridge; it is written in
//! the [`Dialect`] of the router, with its newline. A [`Reply`] is the bridge's answer; it is parsed from a line without its
//! newline and borrows from it. [`Line`] parses any line, in either direction.

mod command;
mod datagram;
mod dialect;
mod lease_set;
mod line;
mod options;
mod ports;
mod private_key;
mod reply;
mod result;
mod session_id;

pub use command::{
    Auth, Command, DatagramSend, DestGenerate, Hello, Help, Login, LookupName, NamingLookup, Ping, Pong,
    PrimaryWord, Quit, RawSend, SessionAdd, SessionCreate, SessionRemove, StreamAccept, StreamConnect,
    StreamForward, Style,
};
pub(crate) use datagram::write_send_header;
pub use datagram::{DatagramStyle, Received, Sender, SenderText};
pub use dialect::{Dialect, EncodeError, InvalidText, Text};
pub use lease_set::{LeaseSetDialect, LeaseSetEncryption, LeaseSetPublication};
pub use line::{Line, Malformed};
pub use options::{InvalidOption, SessionOptions};
pub use ports::Ports;
pub use private_key::PrivateKey;
pub use reply::{AcceptedFrom, LeaseSetOptions, Reply};
pub use result::{ResultWord, Status, Version};
pub use session_id::SessionId;

/// The longest line that is read from a bridge, in bytes. The longest that any router sends is a `SESSION STATUS` with a
/// private key, of about 1,200 characters; the rest is room for longer keys.
pub const MAX_LINE_BYTES: usize = 8 * 1024;

//! The text format of `hosts.txt` and of subscription feeds. No files, no network.
//!
//! A line is an [`Entry`], a [`Command`], or nothing (empty, a comment). [`parse_line`] parses one line; [`Lines`] parses the
//! lines of any [`BufRead`](std::io::BufRead), whatever it contains. [`Command::verify`] checks the signatures of a
//! [`Command`].
//!
//! ```
//! use i2p_address_book::feed::{self, Line};
//!
//! assert_eq!(feed::parse_line(b"# a comment"), Ok(None));
//! let line = format!("example.i2p={}AAAA", "A".repeat(512));
//! let Ok(Some(Line::Entry(entry))) = feed::parse_line(line.as_bytes()) else { panic!("not an entry") };
//! assert_eq!(entry.host.as_str(), "example.i2p");
//! assert_eq!(entry.to_string(), line);
//! ```

mod command;
mod error;
mod line;
mod lines;
mod rules;

pub use command::{Action, Command, VerifiedCommand};
pub use error::{LineError, MAX_LINE_BYTES};
pub use line::{Entry, Line, parse_line};
pub use lines::{BadLine, Lines};

pub use crate::signature::SignatureError;

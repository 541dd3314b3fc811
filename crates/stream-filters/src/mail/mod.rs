//! Protocols of mail.

mod date;
mod dot_text;
mod fields;
mod identifiers;
pub(crate) mod imap;
pub(crate) mod pop3;
pub(crate) mod smtp;

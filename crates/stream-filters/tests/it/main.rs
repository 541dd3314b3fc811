//! What the filters promise.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod ftp;
mod http;
mod http_stream;
mod imap;
mod irc;
mod leak;
mod pop3;
mod rules;
mod session;
mod sip;
mod smtp;
mod xmpp;

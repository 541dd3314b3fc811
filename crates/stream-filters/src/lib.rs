#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod command;
mod filter;
mod ftp;
pub mod http;
mod http_stream;
mod irc;
pub mod leak;
mod line;
mod local_name;
mod mail;
mod output;
mod report;
mod rule;
mod sasl;
mod sip;
mod waiting;
mod xmpp;

pub use self::{
    filter::{Filter, Protocol},
    output::{Next, Output},
    report::{Action, Cut, Event, Subject},
    rule::{ListedRule, Place, Rule, Side},
};

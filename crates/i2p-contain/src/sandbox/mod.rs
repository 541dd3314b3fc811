//! The sandbox: runs a program so that nothing but the link leads out.
//!
//! A sandbox is a list of [walls](Wall). [`Plan`] says, without doing anything, what is built from what the user asks
//! for; [`Prepared`] makes the namespaces and hands the link over to this process; [`Prepared::start`] builds the rest
//! and starts the program, if every wall stands, and otherwise says which does not and how to allow it ([`Refusal`]).
//!
//! Programs that start sandboxes call [`run_if_stage`] first thing in `main`: this program executes itself for the stages.

// Plans are made on every system, but carried out on Linux only.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

mod environment;
mod layout;
mod plan;
mod plan_error;
mod refusal;
mod request;
mod root;
mod users;
mod wall;

#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod entry;
#[cfg(target_os = "linux")]
mod init;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod outside;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(target_os = "linux")]
pub mod probes;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod shown_by_root;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod streams;
#[cfg(target_os = "linux")]
mod system_calls;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(target_os = "linux")]
mod tun_of_root;

#[cfg(not(target_os = "linux"))]
mod elsewhere;

pub use plan::Plan;
pub use plan_error::PlanError;
pub use refusal::Refusal;
pub use request::{Bind, Entry, EntryKind, Home, Host, Program, Request};
pub use wall::Wall;

#[cfg(target_os = "linux")]
pub use {
    entry::run_if_stage,
    outside::{Prepared, Running},
};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Prepared, Running, run_if_stage};

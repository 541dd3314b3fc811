//! One file for each subcommand: its arguments and what it does. `streams` is what `connect` and `listen` share.
//! May import every other room but `cli`; no room imports this one.

use crate::{control::client::ControlError, terminal::output::remark};

pub(crate) mod check;
pub(crate) mod connect;
#[cfg(feature = "embedded")]
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod keys;
pub(crate) mod listen;
pub(crate) mod names;
mod names_print;
pub(crate) mod new_identity;
pub(crate) mod passwd;
pub(crate) mod reload;
pub(crate) mod resolve;
pub(crate) mod status;
mod streams;

/// Says that an answer comes from the configuration of this command, since no proxy has given one. A proxy may run with another one.
fn remark_own_configuration(why: &ControlError) {
    remark(&format!("{why}: the answer is what the configuration of this command says"));
}

//! The arguments of `exec`.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};

use crate::config::tunnel::TunnelName;

/// `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ExecCommand {
    /// Name an identity: runs with the same name have one home directory and, through a running proxy, one address in I2P. Without
    /// a name, each run has an address of its own, and an empty home directory that is gone afterwards.
    #[arg(long, value_name = "NAME")]
    pub(super) identity: Option<TunnelName>,
    /// The home directory that the program sees: one of its own, or yours. What it writes into yours, programs outside may run. Root's
    /// programs run as another user, so root's own home is refused.
    #[arg(long, value_enum, default_value_t)]
    pub(super) home: HomeChoice,
    /// Show this file or directory to the program, which may change it.
    #[arg(long, value_name = "PATH")]
    pub(super) bind: Vec<PathBuf>,
    /// Show this file or directory to the program, which cannot change it.
    #[arg(long, value_name = "PATH")]
    pub(super) ro_bind: Vec<PathBuf>,
    /// Let the program make Unix sockets. It then reaches every program that listens on one in a directory that it sees.
    #[arg(long)]
    pub(super) allow_unix: bool,
    /// Set a variable in the environment of the program, which otherwise has only harmless ones.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<Variable>,
    /// Answer that hosts outside I2P do not exist, even if a route leads to them.
    #[arg(long)]
    pub(super) dns_only_i2p: bool,
    /// Use this tunnel of the configuration [default: the first].
    #[arg(long, value_name = "NAME")]
    pub(super) tunnel: Option<TunnelName>,
    /// Start no program. Say for each wall whether it stands, and try every way out that is known. Exit code 1 if a wall is missing or
    /// something got out.
    #[arg(long, conflicts_with = "program")]
    pub(super) check: bool,
    /// The program and its arguments, after `--`: options before it are those of i2p-socks.
    #[arg(last = true, required_unless_present = "check", value_name = "PROGRAM")]
    pub(super) program: Vec<OsString>,
}

/// `--home`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum HomeChoice {
    /// One of its own.
    #[default]
    Private,
    /// The user's.
    Share,
}

/// `--env`: a variable and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable(pub(super) String, pub(super) String);

impl FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self(name.to_owned(), value.to_owned())),
            _ => Err("expected NAME=VALUE"),
        }
    }
}

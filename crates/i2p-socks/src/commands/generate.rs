//! `generate`: what is installed beside the program, made from the program.

use std::{io::Write, path::PathBuf};

use clap::Subcommand;
use clap_complete::Shell;

use crate::{
    config::{Config, EXAMPLE, options::Options},
    failure::Failure,
    pac,
};

/// The service, for systemd.
const SERVICE: &str = include_str!("../../dist/i2p-socks.service");
/// The socket that starts it.
const SOCKET: &str = include_str!("../../dist/i2p-socks.socket");

/// What to print.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum GenerateCommand {
    /// The manual page; with --dir, one for each command.
    Man {
        /// Write them into this directory, which is there.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// What a shell completes.
    Completions {
        /// For which.
        shell: Shell,
    },
    /// A configuration file with every key, its default, and what it is for.
    Config,
    /// A proxy auto-config file for browsers, by the configuration: which hosts they come to the proxy for.
    ///
    /// The same as /proxy.pac of the admin endpoint, to be kept as a file: a browser that cannot fetch it goes everywhere by
    /// itself.
    Pac,
    /// The unit for systemd.
    Unit {
        /// The socket unit, for the service to be started by its first client.
        #[arg(long)]
        socket: bool,
    },
}

/// Prints it.
pub(crate) fn run(
    command: &GenerateCommand,
    options: &Options,
    mut definition: clap::Command,
) -> Result<(), Failure> {
    let failed = |error| Failure::run_time(format_args!("cannot write it: {error}"));
    let mut text = Vec::new();
    match command {
        GenerateCommand::Man { dir: Some(dir) } => {
            return clap_mangen::generate_to(definition, dir).map_err(failed);
        }
        GenerateCommand::Man { dir: None } => {
            clap_mangen::Man::new(definition).render(&mut text).map_err(failed)?;
        }
        GenerateCommand::Completions { shell } => {
            clap_complete::generate(*shell, &mut definition, "i2p-socks", &mut text);
        }
        GenerateCommand::Config => text.extend_from_slice(EXAMPLE.as_bytes()),
        GenerateCommand::Pac => {
            text.extend_from_slice(pac::configured(&Config::load(options)?)?.as_bytes());
        }
        GenerateCommand::Unit { socket } => {
            text.extend_from_slice(if *socket { SOCKET } else { SERVICE }.as_bytes());
        }
    }
    std::io::stdout().lock().write_all(&text).map_err(failed)
}

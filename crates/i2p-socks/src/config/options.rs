//! The options of all commands: the uppermost layer of the configuration.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{
    overrides::Given,
    values::{Backend, BridgeAddress, ListenAddress},
    verbosity::Verbosity,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen for clients, as IP:PORT, unix:/PATH or fd:NAME; may be given more than once [default: 127.0.0.1:4450]
    #[arg(long, global = true, value_name = "ADDR", env = "I2P_SOCKS_LISTEN", value_delimiter = ',')]
    pub(crate) listen: Vec<ListenAddress>,

    /// Let everybody use the proxy who can reach it, from other machines too
    #[arg(long, global = true)]
    pub(crate) open_to_others: bool,

    /// The way into I2P: a SAM bridge if one answers and else the embedded router, or one of the two [default: auto]
    #[arg(long, global = true, value_name = "WHICH", env = "I2P_SOCKS_ROUTER", value_enum)]
    pub(crate) router: Option<Backend>,

    /// Where the router's SAM bridge is [default: 127.0.0.1:7656]
    #[arg(long, global = true, value_name = "HOST:PORT", env = "I2P_SOCKS_SAM")]
    pub(crate) sam: Option<BridgeAddress>,

    /// Read this configuration file; what the command line says goes before it
    #[arg(long, global = true, value_name = "FILE", env = "I2P_SOCKS_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Set a key of the configuration, in the place of all else that says it: -o limits.dial=30s, -o tunnel.NAME.udp=datagram;
    /// may be given more than once
    #[arg(short = 'o', global = true, value_name = "KEY=VALUE")]
    pub(crate) given: Vec<Given>,

    /// Where the address book is and a hosts.txt is looked for, and where keys are kept and what the embedded router knows of
    /// the network [default: $STATE_DIRECTORY, else i2p-socks where the platform keeps state: ~/.local/state on Linux]
    #[arg(long, global = true, value_name = "DIR", env = "I2P_SOCKS_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Log more; twice, all of our own; three times, the embedded router's log too, which names what is visited
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// Log only what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl Options {
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Debug,
            (false, 2) => Verbosity::Trace,
            (false, _) => Verbosity::Router,
        }
    }
}

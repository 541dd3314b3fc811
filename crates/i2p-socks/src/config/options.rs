//! The options of all commands: the topmost layer of the configuration.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{
    overrides::Override,
    values::{Backend, BridgeAddress, ListenAddress},
    verbosity::Verbosity,
};

#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Listen for clients on IP:PORT, unix:/PATH or fd:NAME. For several addresses, repeat the option or separate them by commas
    /// [default: 127.0.0.1:4450]
    #[arg(long, global = true, value_name = "ADDR", env = "I2P_SOCKS_LISTEN", value_delimiter = ',')]
    pub(crate) listen: Vec<ListenAddress>,

    /// Accept clients from other machines without a password; anyone who can reach the port can use it
    #[arg(long, global = true)]
    pub(crate) open_to_others: bool,

    /// Use the router behind a SAM bridge, start an installed i2pd, or use the embedded router; auto tries them in this order
    /// [default: auto]
    #[arg(long, global = true, value_name = "WHICH", env = "I2P_SOCKS_ROUTER", value_enum)]
    pub(crate) router: Option<Backend>,

    /// Address of the router's SAM bridge: HOST:PORT, tls:HOST:PORT or unix:/PATH [default: 127.0.0.1:7656]
    #[arg(long, global = true, value_name = "ADDR", env = "I2P_SOCKS_SAM")]
    pub(crate) sam: Option<BridgeAddress>,

    /// Read this configuration file; environment and command line override it
    #[arg(long, global = true, value_name = "FILE", env = "I2P_SOCKS_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Set a key of the configuration, such as limits.dial=30s or tunnel.NAME.udp=datagram; overrides file and environment; can be
    /// repeated
    #[arg(short = 'o', global = true, value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,

    /// Keep the program's files in this directory: address book, persistent identities, control socket, data of i2pd and of
    /// the embedded router [default: $STATE_DIRECTORY, otherwise i2p-socks in the platform's directory for state:
    /// ~/.local/state on Linux]
    #[arg(long, global = true, value_name = "DIR", env = "I2P_SOCKS_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Log more: -v debugging messages, -vv everything, -vvv also the log of a router that the proxy runs itself, which names
    /// visited hosts
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Log only problems
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
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

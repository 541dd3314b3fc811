//! Starts each proxy.

mod i2pd;
mod internet;
mod java;
mod ours;
mod probe;

use std::{
    any::Any,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::{Context, Result};
use conformance_table::command::Subject;
use lab::server;
use programs::{Program, Workspace};
use tokio::process::Command;

pub(crate) use self::i2pd::ROUTERS;

/// The name of the sites in I2P, and one that nobody has.
const I2P_NAMES: [&str; 2] = ["far.i2p", "nobody.i2p"];
/// An address of the sites outside I2P, and a name that nobody has (RFC 6761).
const OTHER_NAMES: [&str; 2] = ["localhost", "nobody.invalid"];

/// A proxy that can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    I2pd,
    Privoxy,
    Tinyproxy,
    Java,
}

/// What every proxy needs to start.
pub(crate) struct Setup {
    pub(crate) workspace: Workspace,
    /// A directory for its files.
    pub(crate) lab: PathBuf,
    /// The ports of the sites, one for each row.
    pub(crate) ports: Vec<u16>,
}

/// A running proxy. Dropping it ends the proxy.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    /// The name of the sites, and one that does not exist.
    pub(crate) names: [&'static str; 2],
    /// What ends with it: processes, routers, a bridge.
    pub(crate) _parts: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject for Kind {
    const ALL: &'static [Self] = &[Self::Ours, Self::I2pd, Self::Privoxy, Self::Tinyproxy];
    const BY_HAND: &'static [Self] = &[Self::Java];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::I2pd => "i2pd",
            Self::Privoxy => "privoxy",
            Self::Tinyproxy => "tinyproxy",
            Self::Java => "java",
        }
    }

    fn program(self) -> Option<Program> {
        match self {
            Self::Ours => None,
            Self::I2pd => Some(("i2pd", "i2pd")),
            Self::Privoxy => Some(("privoxy", "privoxy")),
            Self::Tinyproxy => Some(("tinyproxy", "tinyproxy")),
            Self::Java => Some(("java", "default-jre-headless")),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Ours => "i2p-socks",
            Self::Java => "Java I2P",
            other => other.name(),
        }
    }
}

impl Kind {
    /// Starts it. Returns once it serves.
    pub(crate) async fn start(self, setup: &Setup) -> Result<Running> {
        let started = match self {
            Self::Ours => ours::start(setup).await,
            Self::I2pd => i2pd::start(setup).await,
            Self::Privoxy => internet::privoxy(setup).await,
            Self::Tinyproxy => internet::tinyproxy(setup).await,
            Self::Java => java::start(setup).await,
        };
        started.with_context(|| format!("{} did not start", self.title()))
    }

    /// The version of its Debian package.
    fn package_version(self) -> Result<String> {
        Ok(programs::package_version(self.program().context("no package")?))
    }

    /// A command line for its program, which is killed when dropped and has a log in the lab.
    fn command(self, setup: &Setup) -> Result<Command> {
        server::command(self.program().context("no program")?, &setup.lab)
    }
}

/// Opens a site for each row. Each has a port of its own, so that nothing of one row can arrive in another one.
pub(crate) fn open_sites(count: usize) -> Result<Vec<TcpListener>> {
    let open = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a site");
    (0..count).map(open).collect()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

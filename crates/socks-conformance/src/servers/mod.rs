//! Starts each server.

mod dante;
pub(crate) mod i2pd;
mod java;
mod microsocks;
mod ours;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
use conformance_table::command::Subject;
use lab::server::{self, wait_until_listening};
use programs::{Program, Workspace};
use tokio::process::{Child, Command};

use crate::{
    name_server,
    server::{Feature, Limitations, Reach, Server, Target},
    services::Services,
};

/// A SOCKS server that can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Microsocks,
    Dante,
    I2pd,
    Java,
}

/// What every server needs to start.
pub(crate) struct Setup {
    pub(crate) workspace: Workspace,
    /// A directory for its files.
    pub(crate) lab: PathBuf,
    pub(crate) services: Arc<Services>,
}

/// A running server. Dropping it ends the server.
pub(crate) struct Running {
    pub(crate) server: Server,
    processes: Vec<Child>,
}

impl Subject for Kind {
    const ALL: &'static [Self] = &[Self::Ours, Self::Microsocks, Self::Dante, Self::I2pd];
    const BY_HAND: &'static [Self] = &[Self::Java];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Microsocks => "microsocks",
            Self::Dante => "dante",
            Self::I2pd => "i2pd",
            Self::Java => "java",
        }
    }

    fn program(self) -> Option<Program> {
        match self {
            Self::Ours => None,
            Self::Microsocks => Some(("microsocks", "microsocks")),
            Self::Dante => Some(("danted", "dante-server")),
            Self::I2pd => Some(("i2pd", "i2pd")),
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
            Self::Microsocks => microsocks::start(setup).await,
            Self::Dante => dante::start(setup).await,
            Self::I2pd => i2pd::start(setup).await,
            Self::Java => java::start(setup).await,
        };
        started.with_context(|| format!("{} did not start", self.title()))
    }

    /// A command line for its program, which is killed when dropped and has a log in the lab.
    fn command(self, setup: &Setup) -> Result<Command> {
        server::command(self.program().context("no program")?, &setup.lab)
    }
}

impl Running {
    /// A server of the internet.
    async fn on_tcp(
        kind: Kind,
        setup: &Setup,
        port: u16,
        mut process: Child,
        limitations: Limitations,
    ) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_until_listening(address, &mut process).await?;
        let services = Arc::clone(&setup.services);
        let target = Target { host: name_server::HOST, unknown_host: name_server::UNKNOWN, services };
        let server = Server {
            address,
            version: programs::package_version(kind.program().context("no package")?),
            target: Ok(target),
            reach: Reach::Tcp,
            limitations,
            with_password: Feature::NotTested("its users are those of the system"),
            metrics: Feature::NotTested("does not connect to I2P"),
            peer_to_peer: address,
            router: None,
            far_router: None,
            lines: Box::new(Vec::new),
        };
        Ok(Self { server, processes: vec![process] })
    }
}

//! How each subject is started.

pub(crate) mod dante;
pub(crate) mod i2pd;
mod microsocks;
mod ours;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::{
    name_server,
    services::Services,
    subject::{Far, Lacks, Reach, Subject},
};
use crate::{
    Workspace,
    lab::{
        router::Router,
        wait::{Attempt, until},
    },
    programs,
};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A SOCKS server that can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Microsocks,
    Dante,
    I2pd,
}

/// What all subjects are started with.
pub(crate) struct Setup {
    pub(crate) workspace: Workspace,
    /// A directory for what they need and leave.
    pub(crate) lab: PathBuf,
    pub(crate) services: Arc<Services>,
}

/// A subject that runs, until this is dropped.
pub(crate) struct Running {
    pub(crate) subject: Subject,
    _processes: Vec<Child>,
    _routers: Vec<Router>,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Microsocks, Self::Dante, Self::I2pd];

    /// The value of the environment variable that chooses it.
    pub(crate) fn choice(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Microsocks => "microsocks",
            Self::Dante => "dante",
            Self::I2pd => "i2pd",
        }
    }

    /// Its name, as a table's column has it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ours => "i2p-socks",
            other => other.choice(),
        }
    }

    /// Its program and the Debian package that it is in; nothing for ours.
    pub(crate) fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Ours => None,
            Self::Microsocks => Some(("microsocks", "microsocks")),
            Self::Dante => Some(("danted", "dante-server")),
            Self::I2pd => Some(("i2pd", "i2pd")),
        }
    }

    /// Starts it. Comes back when it serves.
    pub(crate) async fn start(self, setup: &Setup) -> Result<Running> {
        let started = match self {
            Self::Ours => ours::start(setup).await,
            Self::Microsocks => microsocks::start(setup).await,
            Self::Dante => dante::start(setup).await,
            Self::I2pd => i2pd::start(setup).await,
        };
        started.with_context(|| format!("{} did not start", self.title()))
    }

    /// A command line that starts its program below the lab, killed when dropped, with a log of its own.
    fn command(self, setup: &Setup) -> Result<Command> {
        let (program, _) = self.program().context("no program")?;
        let path = programs::find(program).with_context(|| format!("{program} is missing"))?;
        let log = std::fs::File::create(setup.lab.join(program).with_extension("log"))?;
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        Ok(command)
    }
}

impl Running {
    /// A subject of the internet, which has one process.
    async fn tcp(kind: Kind, setup: &Setup, port: u16, mut process: Child, lacks: Lacks) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        listens(address, &mut process).await?;
        let services = Arc::clone(&setup.services);
        let far = Far { host: name_server::HOST, unknown: name_server::UNKNOWN, services };
        let subject = Subject {
            address,
            version: programs::package_version(kind.program().context("no package")?),
            far: Ok(far),
            reach: Reach::Tcp,
            lacks,
            lines: Box::new(Vec::new),
        };
        Ok(Self { subject, _processes: vec![process], _routers: Vec::new() })
    }
}

fn has_not_ended(process: &mut Child) -> Result<()> {
    process.try_wait()?.map_or(Ok(()), |status| bail!("it has ended ({status})"))
}

/// Waits until somebody takes connections there.
async fn listens(address: SocketAddr, process: &mut Child) -> Result<()> {
    until("a proxy listens", START, async || {
        has_not_ended(process)?;
        Ok(Attempt::of(tokio::net::TcpStream::connect(address).await.map(drop)))
    })
    .await
}

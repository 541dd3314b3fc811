//! What is measured, and how each is built and started.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    address_book,
    bridge::Bridge,
    client::{Route, Way},
    first_byte::I2PD,
    processes::Processes,
    service::Service,
};
use crate::{
    Workspace,
    conformance::{services::free_port, subjects::dante},
    invocation::Invocation,
    programs::{self, Program},
};

/// How long a subject may take to listen.
const START: Duration = Duration::from_secs(20);
/// How often that is looked at.
const INTERVAL: Duration = Duration::from_millis(2);
/// Below the target directory: what is built for this and nothing else.
const BUILT: &str = "bench-peers";
/// The crate of the fast-socks5 server, and the source of the splice relay, below the workspace.
const FAST_SOCKS5: &str = "xtask/peers/fast-socks5";
const SPLICE: &str = "xtask/peers/splice-relay.c";
/// Debian's programs among the subjects, and the compiler.
pub(crate) const PROGRAMS: [Program; 4] = [MICROSOCKS, DANTE, I2PD, ("cc", "gcc")];
const MICROSOCKS: Program = ("microsocks", "microsocks");
const DANTE: Program = ("danted", "dante-server");

/// One of those that do the same work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Ours, with a SAM bridge that answers at once.
    Ours,
    /// The yardstick: no SOCKS, nothing but splice(2).
    Splice,
    Microsocks,
    Dante,
    FastSocks5,
    /// Nobody between client and service.
    Direct,
    /// i2pd's own SOCKS port, in the one measurement that has real routers.
    I2pd,
}

impl Subject {
    /// Those that do all other work.
    pub(crate) const ALL: [Self; 6] =
        [Self::Ours, Self::Splice, Self::Microsocks, Self::Dante, Self::FastSocks5, Self::Direct];
    /// The other SOCKS servers.
    pub(crate) const PEERS: [Self; 3] = [Self::Microsocks, Self::Dante, Self::FastSocks5];

    /// Its name, as a table's column has it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ours => "i2p-socks",
            Self::Splice => "splice relay",
            Self::Microsocks => "microsocks",
            Self::Dante => "dante",
            Self::FastSocks5 => "fast-socks5",
            Self::Direct => "direct",
            Self::I2pd => "i2pd's SOCKS port",
        }
    }

    /// Whether it speaks SOCKS.
    pub(crate) fn is_proxy(self) -> bool {
        !matches!(self, Self::Splice | Self::Direct)
    }

    /// Its program.
    pub(crate) fn program(self, workspace: &Workspace) -> Result<PathBuf> {
        let built = workspace.target().join(BUILT);
        let debian = |(name, _): Program| programs::find(name).with_context(|| format!("{name} is missing"));
        match self {
            Self::Ours => Ok(workspace.target().join("release/i2p-socks")),
            Self::Splice => Ok(built.join("splice-relay")),
            Self::Microsocks => debian(MICROSOCKS),
            Self::Dante => debian(DANTE),
            Self::I2pd => debian(I2PD),
            Self::FastSocks5 => Ok(built.join("release/fast-socks5-server")),
            Self::Direct => std::env::current_exe().context("this program does not know where it lies"),
        }
    }

    /// Its version; nothing where it is of this workspace.
    pub(crate) fn version(self, workspace: &Workspace) -> Result<Option<String>> {
        Ok(match self {
            Self::Ours => {
                let version = Invocation::new(self.program(workspace)?, workspace.root()).arg("--version");
                Some(version.output()?.trim().trim_start_matches("i2p-socks ").to_owned())
            }
            Self::Splice | Self::Direct => None,
            Self::Microsocks => Some(programs::package_version(MICROSOCKS)),
            Self::Dante => Some(programs::package_version(DANTE)),
            Self::I2pd => Some(programs::package_version(I2PD)),
            Self::FastSocks5 => {
                let lock = workspace.root().join(FAST_SOCKS5).join("Cargo.lock");
                let lock = std::fs::read_to_string(&lock)
                    .with_context(|| format!("could not read {}", lock.display()))?;
                locked(&lock, "fast-socks5")
            }
        })
    }
}

/// The version of a package in a `Cargo.lock`.
fn locked(lock: &str, package: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split_once('"').map(|(version, _)| version.to_owned())
}

/// Builds what is not installed: ours as it is shipped without the embedded router, the fast-socks5 server, the splice relay.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let cargo =
        |line: &str| Invocation::typed(&format!("cargo build --release --locked {line}"), workspace.root());
    cargo("-p i2p-socks --no-default-features --target-dir").arg(workspace.target()).run()?;
    cargo(address_book::BUILD).arg(workspace.target()).run()?;
    let built = workspace.target().join(BUILT);
    cargo(&format!("--manifest-path {FAST_SOCKS5}/Cargo.toml --target-dir")).arg(&built).run()?;
    Invocation::typed("cc -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -o", workspace.root())
        .arg(built.join("splice-relay"))
        .arg(SPLICE)
        .run()
}

/// What all subjects are started with.
pub(crate) struct Setup {
    pub(crate) workspace: Workspace,
    /// A directory for what they need and leave.
    pub(crate) lab: PathBuf,
    pub(crate) service: Service,
    pub(crate) bridge: Bridge,
}

/// A subject that runs, until this is dropped.
pub(crate) struct Running {
    pub(crate) subject: Subject,
    pub(crate) route: Route,
    /// None for nobody.
    pub(crate) processes: Option<Processes>,
    /// From the start of the program until it serves.
    pub(crate) took: Duration,
}

impl Setup {
    /// Starts a subject. Comes back when it serves.
    pub(crate) fn start(&self, subject: Subject) -> Result<Running> {
        self.try_start(subject).with_context(|| {
            format!("{} did not start; its log is in {}", subject.title(), self.lab.display())
        })
    }

    fn try_start(&self, subject: Subject) -> Result<Running> {
        let begin = Instant::now();
        let (way, processes) = match subject {
            Subject::Direct => (Way::Straight, None),
            Subject::I2pd => bail!("it needs routers, and has them elsewhere"),
            Subject::Ours => {
                let mut processes = Processes::start(&mut self.ours()?)?;
                let address = ready(&mut processes)?;
                (Way::SocksName(address), Some(processes))
            }
            Subject::Splice => {
                let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let [work, greeting] = [at(free_port()?), at(free_port()?)];
                let mut command = self.command(subject)?;
                for (listen, target) in [(work, self.service.work), (greeting, self.service.greeting)] {
                    command.args([listen.port().to_string(), target.port().to_string()]);
                }
                (Way::Relayed { work, greeting }, Some(self.listening(&mut command, &[work, greeting])?))
            }
            Subject::Microsocks | Subject::Dante | Subject::FastSocks5 => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
                let mut command = self.peer(subject, address)?;
                (Way::SocksAddress(address), Some(self.listening(&mut command, &[address])?))
            }
        };
        let route = Route { way, service: self.service.clone() };
        Ok(Running { subject, route, processes, took: begin.elapsed() })
    }

    fn command(&self, subject: Subject) -> Result<Command> {
        let log = File::create(self.lab.join(subject.title()).with_extension("log"))?;
        let mut command = Command::new(subject.program(&self.workspace)?);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn ours(&self) -> Result<Command> {
        let mut command = self.command(Subject::Ours)?;
        command
            .args(["run", "--router", "sam", "--sam", &self.bridge.address.to_string()])
            .args(["--listen", "127.0.0.1:0", "--state-dir"])
            .arg(self.lab.join("state"))
            .stdout(Stdio::piped());
        Ok(command)
    }

    fn peer(&self, subject: Subject, address: SocketAddr) -> Result<Command> {
        let mut command = self.command(subject)?;
        let port = address.port();
        match subject {
            Subject::Microsocks => command.args(["-i", "127.0.0.1", "-p", &port.to_string()]),
            Subject::Dante => {
                let path = |name: &str| self.lab.join(name);
                let configuration = dante::configuration(port, &path("dante.log"));
                std::fs::write(path("danted.conf"), configuration)?;
                command.arg("-f").arg(path("danted.conf")).arg("-p").arg(path("danted.pid"))
            }
            _ => command.arg(address.to_string()),
        };
        Ok(command)
    }

    /// Starts a program and waits until it listens on all of these.
    fn listening(&self, command: &mut Command, addresses: &[SocketAddr]) -> Result<Processes> {
        let mut processes = Processes::start(command)?;
        let start = Instant::now();
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                processes.is_alive()?;
                ensure!(start.elapsed() < START, "it does not listen on {address}");
                thread::sleep(INTERVAL);
            }
        }
        Ok(processes)
    }
}

/// Waits for the line that says where ours listens.
fn ready(processes: &mut Processes) -> Result<SocketAddr> {
    let stdout = processes.root().stdout.take().context("it has no stdout")?;
    // Nothing more is said there, so nobody has to read on.
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).map(|_| line);
        // Nobody listens any more where the patience has ended.
        let _ = told.send(read);
    });
    let line = heard.recv_timeout(START).context("it does not become ready")?;
    let line = line.context("its stdout cannot be read")?;
    let address = line.trim_end().strip_prefix("socks ").and_then(|rest| rest.strip_suffix(" ready"));
    let address =
        address.with_context(|| format!("it wrote {line:?} where `socks ADDRESS ready` was expected"))?;
    address.parse().context("the address that it listens on")
}

/// Bytes of a subject's program.
pub(crate) fn size(program: &Path) -> Result<u64> {
    Ok(std::fs::metadata(program).with_context(|| format!("no {}", program.display()))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_locked() {
        let lock = "[[package]]\nname = \"fast-socks5\"\nversion = \"1.0.0\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "fast-socks5").as_deref(), Some("1.0.0"));
        assert_eq!(locked(lock, "socks5"), None);
    }
}

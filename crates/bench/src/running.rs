//! Builds the subjects and starts them.

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
use lab::{
    dante, namespace,
    ports::{free_address, free_port},
};
use programs::{Invocation, Program, Workspace, package_version};

use crate::{
    bridge::Bridge,
    client::{Access, Client},
    plan::Plan,
    processes::{self, Processes},
    service::Service,
    subject::Subject,
};

/// How long a subject may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often to look whether it listens.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// The directory of what is built only for the benchmark, below the target directory.
const BUILT: &str = "bench-peers";
/// The crate of the fast-socks5 server, and the source of the splice relay.
const FAST_SOCKS5: &str = "crates/bench/peers/fast-socks5";
const SPLICE: &str = "crates/bench/peers/splice-relay.c";
/// The programs of Debian, and the compiler for the splice relay.
pub(crate) const PROGRAMS: [Program; 4] = [MICROSOCKS, DANTE, I2PD, ("cc", "gcc")];
const MICROSOCKS: Program = ("microsocks", "microsocks");
const DANTE: Program = ("danted", "dante-server");
pub(crate) const I2PD: Program = ("i2pd", "i2pd");

/// The program of a subject.
pub(crate) fn program(subject: Subject, workspace: &Workspace) -> Result<PathBuf> {
    let built = workspace.target().join(BUILT);
    let debian = |(name, _): Program| programs::find(name).with_context(|| format!("{name} is missing"));
    match subject {
        Subject::Ours => Ok(workspace.target().join("release/i2p-socks")),
        Subject::Splice => Ok(built.join("splice-relay")),
        Subject::Microsocks => debian(MICROSOCKS),
        Subject::Dante => debian(DANTE),
        Subject::I2pd => debian(I2PD),
        Subject::FastSocks5 => Ok(built.join("release/fast-socks5-server")),
        Subject::Direct => std::env::current_exe().context("this program does not know where it lies"),
        Subject::Before => bail!("the command line names it"),
    }
}

/// The version of a subject. Returns nothing for one without a version.
pub(crate) fn version(subject: Subject, workspace: &Workspace) -> Result<Option<String>> {
    Ok(match subject {
        Subject::Ours => {
            let version = Invocation::new(program(subject, workspace)?, workspace.root()).arg("--version");
            Some(version.output()?.trim().trim_start_matches("i2p-socks ").to_owned())
        }
        Subject::Splice | Subject::Direct | Subject::Before => None,
        Subject::Microsocks => Some(package_version(MICROSOCKS)),
        Subject::Dante => Some(package_version(DANTE)),
        Subject::I2pd => Some(package_version(I2PD)),
        Subject::FastSocks5 => {
            let lock = workspace.root().join(FAST_SOCKS5).join("Cargo.lock");
            let lock = std::fs::read_to_string(&lock)
                .with_context(|| format!("could not read {}", lock.display()))?;
            locked_version(&lock, "fast-socks5")
        }
    })
}

/// The version of a package in a `Cargo.lock`.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split_once('"').map(|(version, _)| version.to_owned())
}

/// Builds what Debian does not have: our proxy in release without the embedded router, the measurements of its address book, the
/// fast-socks5 server, the splice relay.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let cargo =
        |line: &str| Invocation::typed(&format!("cargo build --release --locked {line}"), workspace.root());
    // Together, so that both use the same dependencies.
    cargo("-p i2p-socks -p address-book-growth --no-default-features --target-dir")
        .arg(workspace.target())
        .run()?;
    let built = workspace.target().join(BUILT);
    cargo(&format!("--manifest-path {FAST_SOCKS5}/Cargo.toml --target-dir")).arg(&built).run()?;
    Invocation::typed("cc -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -o", workspace.root())
        .arg(built.join("splice-relay"))
        .arg(SPLICE)
        .run()
}

/// The configuration of our proxy. All clients of the benchmark connect from one address, and would get the share of one client.
const OUR_CONFIGURATION: &str = "[limits]\nper-client = 0\n[session]\nmax-sessions = 16\n";

/// The range of ports for outgoing connections. There are thousands of them in a second, and the kernel keeps each port for a
/// while after the connection (ip-sysctl).
const PORT_RANGE: (&str, &str) = ("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000\n");

/// What every subject needs to start.
pub(crate) struct Setup {
    pub(crate) workspace: Workspace,
    /// A directory for their files.
    pub(crate) lab: PathBuf,
    pub(crate) service: Service,
    pub(crate) bridge: Bridge,
    /// The program of [`Subject::Before`].
    pub(crate) before: Option<PathBuf>,
}

/// A running subject. Dropping it ends the subject.
pub(crate) struct Running {
    pub(crate) subject: Subject,
    /// A client that reaches the service through the subject.
    pub(crate) client: Client,
    /// Nothing for [`Subject::Direct`].
    pub(crate) processes: Option<Processes>,
    /// The time from the start of the program until it serves.
    pub(crate) start_time: Duration,
}

impl Setup {
    /// Prepares the network of this process, and starts what all subjects need.
    pub(crate) fn new(
        workspace: &Workspace,
        lab: &Path,
        plan: &Plan,
        before: Option<PathBuf>,
    ) -> Result<Self> {
        namespace::set_up(&[])?;
        let (file, range) = PORT_RANGE;
        std::fs::write(file, range).with_context(|| format!("could not write {file}"))?;
        processes::allow_descriptors(plan.descriptors())?;
        let service = Service::start()?;
        let bridge = Bridge::start(&service)?;
        Ok(Self { workspace: workspace.clone(), lab: lab.to_path_buf(), service, bridge, before })
    }

    /// Starts a subject. Returns once it serves.
    pub(crate) fn start(&self, subject: Subject) -> Result<Running> {
        self.try_start(subject).with_context(|| {
            format!("{} did not start; its log is in {}", subject.title(), self.lab.display())
        })
    }

    fn try_start(&self, subject: Subject) -> Result<Running> {
        let begin = Instant::now();
        let (access, processes) = match subject {
            Subject::Direct => (Access::Direct, None),
            Subject::I2pd => bail!("it needs routers, which only the link with latency has"),
            Subject::Ours | Subject::Before => {
                let mut processes = Processes::start(&mut self.our_command(subject)?)?;
                let address = wait_until_ready(&mut processes)?;
                (Access::SocksName(address), Some(processes))
            }
            Subject::Splice => {
                let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let [work, greeting] = [at(free_port()?), at(free_port()?)];
                let mut command = self.command(subject)?;
                for (listen, target) in [(work, self.service.work), (greeting, self.service.greeting)] {
                    command.args([listen.port().to_string(), target.port().to_string()]);
                }
                (
                    Access::Relay { work, greeting },
                    Some(self.start_listening(&mut command, &[work, greeting])?),
                )
            }
            Subject::Microsocks | Subject::Dante | Subject::FastSocks5 => {
                let address = free_address()?;
                let mut command = self.peer_command(subject, address)?;
                (Access::SocksAddress(address), Some(self.start_listening(&mut command, &[address])?))
            }
        };
        let client = Client { access, service: self.service.clone() };
        Ok(Running { subject, client, processes, start_time: begin.elapsed() })
    }

    fn command(&self, subject: Subject) -> Result<Command> {
        let log = File::create(self.lab.join(subject.title()).with_extension("log"))?;
        let program = match (subject, &self.before) {
            (Subject::Before, Some(before)) => before.clone(),
            _ => program(subject, &self.workspace)?,
        };
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// The state directory of our proxy.
    pub(crate) fn state_directory(&self, subject: Subject) -> PathBuf {
        self.lab.join(format!("state of {}", subject.title()))
    }

    /// The command of our proxy, of today or before.
    fn our_command(&self, subject: Subject) -> Result<Command> {
        let configuration = self.lab.join("i2p-socks.toml");
        std::fs::write(&configuration, OUR_CONFIGURATION)?;
        let mut command = self.command(subject)?;
        command
            .args(["run", "--router", "sam", "--sam", &self.bridge.address.to_string(), "--config"])
            .arg(configuration)
            .args(["--listen", "127.0.0.1:0", "--state-dir"])
            .arg(self.state_directory(subject))
            .stdout(Stdio::piped());
        Ok(command)
    }

    fn peer_command(&self, subject: Subject, address: SocketAddr) -> Result<Command> {
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
    fn start_listening(&self, command: &mut Command, addresses: &[SocketAddr]) -> Result<Processes> {
        let mut processes = Processes::start(command)?;
        let start = Instant::now();
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                processes.check_alive()?;
                ensure!(start.elapsed() < START_TIMEOUT, "it does not listen on {address}");
                thread::sleep(LOOK_INTERVAL);
            }
        }
        Ok(processes)
    }
}

/// Waits for the line with the address of our proxy.
fn wait_until_ready(processes: &mut Processes) -> Result<SocketAddr> {
    let stdout = processes.root().stdout.take().context("it has no stdout")?;
    // The proxy writes nothing more to stdout, so nobody has to read on.
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).map(|_| line);
        // Nobody receives it after the timeout.
        let _ = sender.send(read);
    });
    let line = receiver.recv_timeout(START_TIMEOUT).context("it is not ready in time")?;
    let line = line.context("its stdout cannot be read")?;
    let address = line.trim_end().strip_prefix("socks ").and_then(|rest| rest.strip_suffix(" ready"));
    let address =
        address.with_context(|| format!("it wrote {line:?} where `socks ADDRESS ready` was expected"))?;
    address.parse().context("its address is not valid")
}

/// The size of a program.
pub(crate) fn program_bytes(program: &Path) -> Result<u64> {
    Ok(std::fs::metadata(program).with_context(|| format!("no {}", program.display()))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"fast-socks5\"\nversion = \"1.0.0\"\nsource = \"x\"\n";
        assert_eq!(locked_version(lock, "fast-socks5").as_deref(), Some("1.0.0"));
        assert_eq!(locked_version(lock, "socks5"), None);
    }
}

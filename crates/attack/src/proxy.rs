//! The program while it runs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use sam_testkit::TestBridge;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{target::Target, wait::SHORTLY};

/// How long the program may take to be ready. It needs no tunnels here.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The name of the configuration file.
const CONFIGURATION: &str = "i2p-socks.toml";

/// What differs between the attacks.
#[derive(Default)]
pub(crate) struct Settings<'a> {
    /// The configuration. Without a `[[tunnel]]`, the program listens on one free port.
    pub(crate) configuration: &'a str,
    /// How much it logs, such as `-v`.
    pub(crate) verbosity: Option<&'a str>,
    /// The most open files that the program may have; 0: as many as this suite.
    pub(crate) max_files: u32,
    /// The state directory, if it is not to be a new one.
    pub(crate) state_directory: Option<&'a Path>,
}

/// The program while it runs, on a SAM bridge of a test. Dropping this kills it.
pub(crate) struct Proxy {
    process: Child,
    /// Held open, since writing to a closed pipe is not what is tested.
    _stdout: Lines<BufReader<ChildStdout>>,
    addresses: Vec<SocketAddr>,
    program: PathBuf,
    directory: TempDir,
    /// What each configuration of this program begins with.
    router: String,
}

impl Proxy {
    /// Starts the program with this configuration and waits until it serves clients.
    pub(crate) async fn start(target: &Target, bridge: &TestBridge, configuration: &str) -> Result<Self> {
        Self::start_with(target, bridge, &Settings { configuration, ..Settings::default() }).await
    }

    /// The same, with more than a configuration.
    pub(crate) async fn start_with(
        target: &Target,
        bridge: &TestBridge,
        settings: &Settings<'_>,
    ) -> Result<Self> {
        let directory = tempfile::tempdir().context("no temporary directory")?;
        let router = format!("[router]\nsam-udp = \"{}\"\n", bridge.udp_address());
        fs::write(directory.path().join(CONFIGURATION), format!("{router}{}", settings.configuration))?;
        let mut process = command(target, bridge, directory.path(), settings)?
            .spawn()
            .with_context(|| format!("could not start {}", target.program().display()))?;
        let stdout = process.stdout.take().context("no stdout")?;
        let mut stdout = BufReader::new(stdout).lines();
        let tunnels = settings.configuration.matches("[[tunnel]]").count().max(1);
        let ready = async {
            let mut addresses = Vec::new();
            while addresses.len() < tunnels {
                let line = stdout.next_line().await?.context("it exited before it was ready")?;
                let address = line.strip_prefix("socks ").and_then(|line| line.strip_suffix(" ready"));
                addresses.extend(address.and_then(|address| address.parse::<SocketAddr>().ok()));
            }
            anyhow::Ok(addresses)
        };
        let addresses = timeout(READY_TIMEOUT, ready).await.context("it was not ready in time").flatten();
        let addresses = addresses.with_context(|| log_in(directory.path()))?;
        let program = target.program().to_owned();
        Ok(Self { process, _stdout: stdout, addresses, program, directory, router })
    }

    /// Where the first tunnel listens.
    pub(crate) fn address(&self) -> SocketAddr {
        // There is one tunnel at least.
        self.addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn id(&self) -> Result<u32> {
        self.process.id().context("the program has ended")
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        log_in(self.directory.path())
    }

    /// A file in the directory of this program, such as its configuration.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn state_directory(&self) -> PathBuf {
        self.file("state")
    }

    /// Fails if the program has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("the program has ended ({status}); its log:\n{}", self.log()),
            None => Ok(()),
        }
    }

    /// How many files and sockets it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let count = self.id().and_then(|id| Ok(fs::read_dir(format!("/proc/{id}/fd"))?.count()));
        count.unwrap_or(usize::MAX)
    }

    /// A file about its process, such as `limits`.
    pub(crate) fn about(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{name}", self.id()?))?)
    }

    /// Sends a signal, by the name that kill(1) knows.
    pub(crate) async fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", name, &self.id()?.to_string()]).status().await?;
        ensure!(status.success(), "kill failed");
        Ok(())
    }

    /// Sends a signal that ends the program, and returns how it ended.
    pub(crate) async fn end_with(&mut self, signal: &str) -> Result<ExitStatus> {
        self.signal(signal).await?;
        Ok(timeout(SHORTLY, self.process.wait()).await.context("it did not end")??)
    }

    /// Runs a command for the running program, such as `names update`.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .arg("--state-dir")
            .arg(self.state_directory())
            .arg("--config")
            .arg(self.file(CONFIGURATION));
        Ok(timeout(SHORTLY, command.stdin(Stdio::null()).kill_on_drop(true).output()).await??)
    }

    /// Replaces the configuration and has the program read it.
    pub(crate) async fn reload(&self, configuration: &str) -> Result<()> {
        fs::write(self.file(CONFIGURATION), format!("{}{configuration}", self.router))?;
        self.signal("HUP").await
    }
}

fn log_in(directory: &Path) -> String {
    fs::read(directory.join("log"))
        .map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The command line, behind a shell that sets the limits of the process.
fn command(
    target: &Target,
    bridge: &TestBridge,
    directory: &Path,
    settings: &Settings<'_>,
) -> Result<Command> {
    let file = directory.join(CONFIGURATION);
    let files = match settings.max_files {
        0 => String::new(),
        files => format!("ulimit -n {files}; "),
    };
    let mut command = Command::new("sh");
    // What the program could dump, it may dump here: it has to forbid that itself.
    command.arg("-c").arg(format!("ulimit -c unlimited; {files}exec \"$0\" \"$@\"")).arg(target.program());
    command.args(["run", "--router", "sam", "--sam", &bridge.address()]).arg("--config").arg(&file);
    command.arg("--state-dir").arg(settings.state_directory.unwrap_or(&directory.join("state")));
    command.args(settings.verbosity);
    if !settings.configuration.contains("[[tunnel]]") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.env_clear().envs(std::env::vars().filter(|(name, _)| !name.starts_with("I2P_SOCKS_")));
    command.current_dir(directory).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(directory.join("log"))?);
    Ok(command)
}

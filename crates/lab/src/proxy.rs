//! Our proxy, as an operator runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use i2p_sam::Bridge;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    signals::signal,
    site::Site,
    wait::{Attempt, until},
};

/// Where it listens. The namespace is ours, so the default port is free.
pub const ADDRESS: &str = "127.0.0.1:4450";
/// The address of its status page.
pub const ADMIN_URL: &str = "http://127.0.0.1:4480/";
/// A virtual address that its configuration maps to the site.
pub const STATIC_ADDRESS: &str = "192.0.2.80";
/// How long its tunnels may take.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to end after SIGTERM.
const TERM_TIMEOUT: Duration = Duration::from_secs(10);

/// A running proxy. Dropping it kills the proxy.
pub struct Proxy {
    process: Child,
    /// Held open, since writing to a closed pipe would end the proxy.
    stdout: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    program: PathBuf,
    state_dir: PathBuf,
}

impl Proxy {
    /// Starts the proxy on a SAM bridge, with its files in `lab`. Returns once it reports that it is ready at `address`.
    pub async fn start(
        program: &Path,
        lab: &Path,
        bridge: &Bridge,
        address: &str,
        configuration: &str,
    ) -> Result<Self> {
        let options = ["--listen", address];
        Self::launch(program, lab, bridge, &options, &[address.to_owned()], configuration).await
    }

    /// The same for a configuration that defines where its tunnels listen. These must be the same places.
    pub async fn start_as_configured(
        program: &Path,
        lab: &Path,
        bridge: &Bridge,
        places: &[String],
        configuration: &str,
    ) -> Result<Self> {
        Self::launch(program, lab, bridge, &[], places, configuration).await
    }

    async fn launch(
        program: &Path,
        lab: &Path,
        bridge: &Bridge,
        options: &[&str],
        places: &[String],
        configuration: &str,
    ) -> Result<Self> {
        let file = lab.join("i2p-socks.toml");
        fs::write(&file, configuration)?;
        let log = lab.join("i2p-socks.log");
        let state_dir = lab.join("i2p-socks");
        let mut process = Command::new(program)
            .args(["run", "--router", "sam", "--sam", &bridge.address().to_string()])
            .args(options)
            .arg("--config")
            .arg(&file)
            .arg("--state-dir")
            .arg(&state_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let stdout = process.stdout.take().context("the proxy has no stdout")?;
        let (stdout, program) = (BufReader::new(stdout).lines(), program.to_owned());
        let mut proxy = Self { process, stdout, log, program, state_dir };
        let ready = until("the proxy is ready", READY_TIMEOUT, async || {
            // Tunnels with sessions of their own are ready in any order.
            let mut expected: Vec<_> = places.iter().map(|place| format!("socks {place} ready")).collect();
            while !expected.is_empty() {
                let line = proxy.stdout.next_line().await?.context("the proxy exited before it was ready")?;
                let found = expected.iter().position(|expected| *expected == line);
                let found =
                    found.with_context(|| format!("the proxy wrote {line:?}, not one of {expected:?}"))?;
                expected.swap_remove(found);
            }
            Ok(Attempt::Done(()))
        });
        let result = ready.await;
        result.with_context(|| format!("the proxy's log:\n{}", proxy.log()))?;
        Ok(proxy)
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into())
    }

    /// Runs a command for the running proxy and returns what it prints.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(words)
            .arg("--state-dir")
            .arg(&self.state_dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        Ok(printed.into_owned())
    }

    /// The directory of its files.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Its process ID.
    pub fn id(&self) -> Result<u32> {
        self.process.id().context("the proxy has exited")
    }

    /// Fails if the proxy has exited.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("the proxy has exited ({status})"),
            None => Ok(()),
        }
    }

    /// Sends SIGTERM. Fails unless the proxy then exits with code 0 in time.
    pub async fn terminate(&mut self) -> Result<()> {
        signal(self.id()?, "TERM").await?;
        let Ok(status) = timeout(TERM_TIMEOUT, self.process.wait()).await else {
            bail!("the proxy is still running {} s after SIGTERM", TERM_TIMEOUT.as_secs());
        };
        let status: ExitStatus = status?;
        ensure!(status.success(), "the proxy exited with {status}");
        Ok(())
    }
}

/// A configuration with tunnels of this many hops, the status page, and a virtual address for the site.
#[must_use]
pub fn configuration(site: &Site, hops: u8) -> String {
    let b32 = &site.b32;
    format!(
        "[session]\nlength = {hops}\nquantity = 2\n[admin]\nlisten = \"127.0.0.1:4480\"\n[virtual-addresses.map]\n\"{STATIC_ADDRESS}\" = \"{b32}\"\n"
    )
}

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

use super::site::Site;
use crate::lab::wait::{Attempt, until};

/// Where it listens. The namespace is ours alone, so the default port is free.
pub(crate) const ADDRESS: &str = "127.0.0.1:4450";
/// Where its status page is.
pub(crate) const ADMIN: &str = "http://127.0.0.1:4480/";
/// An address that its configuration makes the site's.
pub(crate) const STATIC_ADDRESS: &str = "192.0.2.80";
/// How long its tunnels may take.
const READY: Duration = Duration::from_secs(120);
/// How long it may take to end when asked to.
const END: Duration = Duration::from_secs(10);

/// A running proxy, killed when this is dropped.
pub(crate) struct Proxy {
    process: Child,
    /// Held open: a proxy that writes to a closed pipe would end.
    stdout: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    program: PathBuf,
    state_dir: PathBuf,
}

impl Proxy {
    /// Starts the proxy on a bridge, with its files in `lab`, and waits until it says that it is ready at `address`.
    pub(crate) async fn start(
        program: &Path,
        lab: &Path,
        bridge: &Bridge,
        address: &str,
        configuration: &str,
    ) -> Result<Self> {
        let options = ["--listen", address];
        Self::launch(program, lab, bridge, &options, &[address.to_owned()], configuration).await
    }

    /// The same where the configuration says where its tunnels listen, which has to be at these places.
    pub(crate) async fn start_as_configured(
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
            .args(["run", "--router", "sam", "--sam", bridge.address()])
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
        let ready = until("the proxy is ready", READY, async || {
            for place in places {
                let expected = format!("socks {place} ready");
                let line = proxy.stdout.next_line().await?.context("the proxy ended before it was ready")?;
                ensure!(line == expected, "the proxy wrote {line:?} where {expected:?} was expected");
            }
            Ok(Attempt::Done(()))
        });
        let result = ready.await;
        result.with_context(|| format!("the proxy's log:\n{}", proxy.log()))?;
        Ok(proxy)
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log)
            .map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into())
    }

    /// What a command for the running proxy prints.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(words)
            .arg("--state-dir")
            .arg(&self.state_dir)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said.into_owned())
    }

    /// Where its files are.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> Result<u32> {
        self.process.id().context("the proxy has ended")
    }

    /// Fails when the proxy has ended.
    pub(crate) fn is_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("the proxy has ended ({status})"),
            None => Ok(()),
        }
    }

    /// SIGTERM, then the end with exit code 0 within the limit.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        signal(self.id()?, "TERM").await?;
        let Ok(status) = timeout(END, self.process.wait()).await else {
            bail!("the proxy still runs {} s after SIGTERM", END.as_secs());
        };
        let status: ExitStatus = status?;
        ensure!(status.success(), "the proxy ended with {status}");
        Ok(())
    }
}

/// Sends the process with this number a signal, such as `HUP`.
pub(crate) async fn signal(process: u32, name: &str) -> Result<()> {
    // The shell's own kill: sending signals would need unsafe code or one more crate.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status().await?;
    ensure!(sent.success(), "could not send SIG{name}: it has ended");
    Ok(())
}

/// Tunnels with so many hops, as short as the network is small, and the site by an address.
pub(crate) fn configuration(site: &Site, hops: u8) -> String {
    let b32 = &site.b32;
    format!(
        "[session]\nlength = {hops}\nquantity = 2\n[admin]\nlisten = \"127.0.0.1:4480\"\n[virtual-addresses.map]\n\"{STATIC_ADDRESS}\" = \"{b32}\"\n"
    )
}

//! Servers of Debian packages, which suites compare with ours.

use std::{fs::File, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use programs::Program;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::wait::{Attempt, until};

/// How long a server may take to listen.
pub const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A command line for the program, which is killed when dropped and has a log in `lab`.
pub fn command((program, _): Program, lab: &Path) -> Result<Command> {
    let path = programs::find(program).with_context(|| format!("{program} is missing"))?;
    let log = File::create(lab.join(program).with_extension("log"))?;
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    Ok(command)
}

/// Waits until the process accepts connections at this address.
pub async fn wait_until_listening(address: SocketAddr, process: &mut Child) -> Result<()> {
    until("a server listens", START_TIMEOUT, async || {
        if let Some(status) = process.try_wait()? {
            bail!("it has exited ({status})");
        }
        Ok(Attempt::of(TcpStream::connect(address).await.map(drop)))
    })
    .await
}

//! Our own proxy on a test SAM bridge, which connects streams to services on this machine.

use std::{process::Stdio, sync::Arc};

use anyhow::{Context, Result, bail};
use programs::Invocation;
use sam_testkit::{Act, TestBridge, destination};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::{Running, START_TIMEOUT, Setup};
use crate::server::{Limitations, Reach, Server, Target};

/// The name of the services in the address book of the bridge.
pub(crate) const HOST: &str = "far.i2p";
/// A name that is in no address book.
pub(crate) const UNKNOWN: &str = "nobody.i2p";
/// Why the proxy does not pass the client's FIN on.
const HOLDS_FIN: &str =
    "held until the target has finished: every router's SAM bridge drops the response after a client's FIN";

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let bridge = TestBridge::start().await;
    let known = format!("NAMING REPLY RESULT=OK NAME={HOST} VALUE={}", destination());
    bridge.on(&format!("NAMING LOOKUP NAME={HOST}"), [Act::line(&known)]);
    bridge.on("STREAM CONNECT", [Act::Dial]);
    let program = setup.workspace.proxy();
    let mut process = Command::new(&program)
        .args(["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"])
        .arg("--state-dir")
        .arg(setup.lab.join("i2p-socks"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(setup.lab.join("i2p-socks.log"))?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let mut stdout = BufReader::new(process.stdout.take().context("it has no stdout")?).lines();
    let ready = timeout(START_TIMEOUT, stdout.next_line()).await.context("it is not ready in time")??;
    let Some(address) = ready.as_deref().and_then(|line| line.strip_prefix("socks ")?.strip_suffix(" ready"))
    else {
        bail!("it wrote {ready:?} where `socks ADDRESS ready` was expected");
    };
    let version = Invocation::new(&program, &setup.lab).arg("--version").output()?;
    let version = version.trim().trim_start_matches("i2p-socks ").to_owned();
    let server = Server {
        address: address.parse().context("its address is not valid")?,
        version,
        target: Ok(Target { host: HOST, unknown_host: UNKNOWN, services: Arc::clone(&setup.services) }),
        reach: Reach::I2p,
        limitations: Limitations { client_fin: Some(HOLDS_FIN), ..Limitations::default() },
        // This also keeps the bridge running.
        lines: Box::new(move || bridge.commands()),
    };
    // The proxy writes nothing more to stdout, so nobody has to read on.
    Ok(Running { server, _processes: vec![process], _routers: Vec::new() })
}

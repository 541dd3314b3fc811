//! Our own proxy, with a SAM bridge behind it that takes names for servers on this machine.

use std::{process::Stdio, sync::Arc};

use anyhow::{Context, Result, bail};
use sam_testkit::{Act, TestBridge, destination};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::{Running, START, Setup};
use crate::{
    conformance::subject::{Far, Lacks, Reach, Subject},
    invocation::Invocation,
};

/// The far end's name in the bridge's address book.
pub(crate) const HOST: &str = "far.i2p";
/// A name that is in no address book.
pub(crate) const UNKNOWN: &str = "nobody.i2p";
/// Why the client's end stays with the proxy.
const HOLDS_FIN: &str =
    "held until the far end has finished: every router's SAM bridge drops the answer behind a client's end";

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
    let ready = timeout(START, stdout.next_line()).await.context("it does not become ready")??;
    let Some(address) = ready.as_deref().and_then(|line| line.strip_prefix("socks ")?.strip_suffix(" ready"))
    else {
        bail!("it wrote {ready:?} where `socks ADDRESS ready` was expected");
    };
    let version = Invocation::new(&program, &setup.lab).arg("--version").output()?;
    let version = version.trim().trim_start_matches("i2p-socks ").to_owned();
    let subject = Subject {
        address: address.parse().context("the address that it listens on")?,
        version,
        far: Ok(Far { host: HOST, unknown: UNKNOWN, services: Arc::clone(&setup.services) }),
        reach: Reach::I2p,
        lacks: Lacks { client_end: Some(HOLDS_FIN), ..Lacks::default() },
        // Keeps the bridge, too.
        lines: Box::new(move || bridge.commands()),
    };
    // Nothing more is said on stdout, so nobody has to read it.
    Ok(Running { subject, _processes: vec![process], _routers: Vec::new() })
}

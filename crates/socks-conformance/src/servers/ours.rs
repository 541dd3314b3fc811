//! Our own proxy on a test SAM bridge, which connects streams to services on this machine.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use lab::{ports::free_port, server::START_TIMEOUT};
use programs::Invocation;
use sam_testkit::{Act, TestBridge, destination};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    runtime::Handle,
    sync::Mutex,
    time::timeout,
};

use super::{Running, Setup};
use crate::server::{Feature, Limitations, PASSWORD, Reach, Server, Switch, Target, USER};

/// The name of the services in the address book of the bridge.
pub(crate) const HOST: &str = "far.i2p";
/// A name that is in no address book.
pub(crate) const UNKNOWN: &str = "nobody.i2p";
/// Why the proxy does not pass the client's FIN on.
const HOLDS_FIN: &str =
    "held until the target has finished: every router's SAM bridge drops the response after a client's FIN";

/// Where the proxy listens.
struct Addresses {
    default: SocketAddr,
    peer_to_peer: SocketAddr,
    with_password: SocketAddr,
    admin: SocketAddr,
}

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let bridge = TestBridge::start().await;
    let known = format!("NAMING REPLY RESULT=OK NAME={HOST} VALUE={}", destination());
    bridge.on(&format!("NAMING LOOKUP NAME={HOST}"), [Act::line(&known)]);
    bridge.on("STREAM CONNECT", [Act::Dial]);
    let program = setup.workspace.proxy();
    let free = || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
    let addresses =
        Addresses { default: free()?, peer_to_peer: free()?, with_password: free()?, admin: free()? };
    let users = setup.lab.join("users");
    fs::write(&users, user_entry(&program).await?)?;
    let configuration = setup.lab.join("i2p-socks.toml");
    fs::write(&configuration, configure(&addresses, &users, &bridge))?;
    let process = start_process(setup, &program, &configuration).await?;
    let version = Invocation::new(&program, &setup.lab).arg("--version").output()?;
    let version = version.trim().trim_start_matches("i2p-socks ").to_owned();
    let bridge = Arc::new(Mutex::new(bridge));
    let router = BridgeSwitch { bridge: Arc::clone(&bridge), runtime: Handle::current() };
    let server = Server {
        address: addresses.default,
        version,
        target: Ok(Target { host: HOST, unknown_host: UNKNOWN, services: Arc::clone(&setup.services) }),
        reach: Reach::I2p,
        limitations: Limitations { client_fin: Some(HOLDS_FIN), ..Limitations::default() },
        with_password: Feature::At(addresses.with_password),
        metrics: Feature::At(addresses.admin),
        peer_to_peer: addresses.peer_to_peer,
        router: Some(Box::new(router)),
        far_router: None,
        lines: Box::new(move || bridge.blocking_lock().commands()),
    };
    Ok(Running { server, processes: vec![process] })
}

/// Three tunnels: one for most rows, one for peers that connect back and for datagrams, and one with a password.
fn configure(addresses: &Addresses, users: &Path, bridge: &TestBridge) -> String {
    let Addresses { default, peer_to_peer, with_password, admin } = addresses;
    let (sam, sam_udp, users) = (bridge.address(), bridge.udp_address(), users.display());
    format!(
        "[router]\nbackend = \"sam\"\nsam = \"{sam}\"\nsam-udp = \"{sam_udp}\"\n\
         [admin]\nlisten = \"{admin}\"\n\
         [[tunnel]]\nlisten = \"{default}\"\n\
         [[tunnel]]\nname = \"peers\"\nlisten = \"{peer_to_peer}\"\nincoming = true\nudp = \"datagram\"\n\
         [[tunnel]]\nname = \"users\"\nlisten = \"{with_password}\"\nauth = \"required\"\nusers-file = \"{users}\"\n"
    )
}

/// The line of a users file.
async fn user_entry(program: &Path) -> Result<Vec<u8>> {
    let mut passwd = Command::new(program)
        .arg("passwd")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start passwd")?;
    let lines = [USER, b"\n", PASSWORD, b"\n"].concat();
    passwd.stdin.take().context("it has no stdin")?.write_all(&lines).await?;
    let output = passwd.wait_with_output().await?;
    ensure!(output.status.success(), "passwd: {}", output.status);
    Ok(output.stdout)
}

/// Starts the proxy and returns once each tunnel is served.
async fn start_process(setup: &Setup, program: &Path, configuration: &Path) -> Result<Child> {
    let mut process = Command::new(program)
        .arg("run")
        .arg("--config")
        .arg(configuration)
        .arg("--state-dir")
        .arg(setup.lab.join("i2p-socks"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(setup.lab.join("i2p-socks.log"))?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let mut stdout = BufReader::new(process.stdout.take().context("it has no stdout")?).lines();
    for _ in 0..3 {
        let line = timeout(START_TIMEOUT, stdout.next_line()).await.context("it is not ready in time")??;
        ensure!(
            line.as_deref().is_some_and(|line| line.starts_with("socks ") && line.ends_with(" ready")),
            "it wrote {line:?} where `socks ADDRESS ready` was expected"
        );
    }
    // The proxy writes nothing more to stdout, so nobody has to read on.
    Ok(process)
}

/// Ends the bridge and starts it again.
struct BridgeSwitch {
    bridge: Arc<Mutex<TestBridge>>,
    runtime: Handle,
}

impl Switch for BridgeSwitch {
    fn off(&self) -> Result<()> {
        self.runtime.block_on(async { self.bridge.lock().await.kill().await });
        Ok(())
    }

    fn on(&self) -> Result<()> {
        self.runtime.block_on(async { self.bridge.lock().await.restart().await });
        Ok(())
    }
}

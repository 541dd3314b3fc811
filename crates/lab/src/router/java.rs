//! A Java I2P router, for recordings that somebody makes by hand.
//!
//! Debian has no Java I2P, so the router runs a build of its sources, see docs/http-conformance.md. It is alone on its network: its
//! tunnels have no hops, and streams from one of its destinations to another stay inside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use i2p_name::Destination;
use tokio::process::{Child, Command};

use super::{NETWORK_ID, address, destination_in};
use crate::{
    ports::free_port,
    wait::{Attempt, until},
};

/// The variable that names the directory with the jars of Java I2P.
pub const JARS: &str = "JAVA_I2P";
/// How long the router may take until it has made keys. It starts its tunnels after some seconds.
const KEYS_TIMEOUT: Duration = Duration::from_secs(90);
/// The file of the services' keys.
const KEYS: &str = "far.dat";
/// Tunnels without hops, which need no other router.
const NO_HOPS: [&str; 8] = [
    "inbound.length=0",
    "outbound.length=0",
    "inbound.lengthVariance=0",
    "outbound.lengthVariance=0",
    "inbound.quantity=1",
    "outbound.quantity=1",
    "inbound.allowZeroHop=true",
    "outbound.allowZeroHop=true",
];
/// Says that the limits of a server are as somebody has set them: it has none then. Otherwise it would refuse the 31st stream of a
/// client within a minute.
const NO_LIMITS: &str = "i2p.streaming.limitsManuallySet=true";

/// A proxy of the router, at a port of 127.0.0.1.
pub struct Client {
    /// What Java I2P calls it, such as `httpclient`.
    pub kind: &'static str,
    /// Its port.
    pub port: u16,
    /// Options beside those of its tunnels.
    pub options: &'static [&'static str],
}

/// A router. Dropping it kills it.
pub struct JavaRouter {
    directory: PathBuf,
    jars: PathBuf,
    process: Option<Child>,
}

impl JavaRouter {
    /// Starts a router, with its files below `lab`, that has these proxies and a destination that leads to these ports of this
    /// machine. Its address book has the destination under the name `host`. Returns once it has keys; its proxies do not listen yet.
    pub async fn start(lab: &Path, clients: &[Client], host: &str, ports: &[u16]) -> Result<Self> {
        let jars = std::env::var_os(JARS)
            .with_context(|| format!("{JARS} names no directory with the jars of Java I2P"))?;
        let directory = lab.join("java-i2p");
        fs::create_dir_all(directory.join("tmp"))?;
        fs::write(directory.join("router.config"), configuration(free_port()?, free_port()?))?;
        fs::write(directory.join("clients.config"), PROGRAMS)?;
        fs::write(directory.join("i2ptunnel.config"), tunnels(clients, ports))?;
        let mut router = Self { directory, jars: jars.into(), process: None };
        router.start_process()?;
        let destination = until("Java I2P has keys", KEYS_TIMEOUT, async || router.try_keys()).await?;
        // The router reads this when somebody asks for a name.
        let names = format!("{host}={}\n", destination.to_base64());
        fs::write(router.directory.join("hosts.txt"), names)?;
        Ok(router)
    }

    /// Starts it after [`Self::kill`].
    pub fn start_process(&mut self) -> Result<()> {
        let directory = &self.directory;
        let output = fs::File::create(directory.join("output.log"))?;
        let mut command = Command::new(programs::find("java").context("java is missing")?);
        command.args(["-Xmx256m", "-Djava.net.preferIPv4Stack=true"]);
        for (property, name) in [
            ("i2p.dir.base", ""),
            ("i2p.dir.config", ""),
            ("i2p.dir.pid", "tmp"),
            ("i2p.dir.temp", "tmp"),
            ("java.io.tmpdir", "tmp"),
            ("loggerFilenameOverride", "log.txt"),
        ] {
            command.arg(format!("-D{property}={}", directory.join(name).display()));
        }
        command.arg("-cp").arg(self.jars.join("*")).arg("net.i2p.router.RouterLaunch");
        command.current_dir(directory).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.process = Some(command.kill_on_drop(true).spawn().context("could not start java")?);
        Ok(())
    }

    /// Kills it, as if it had crashed.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().await.context("could not kill java")?;
        // While this file is new, Java I2P believes that the router still runs.
        match fs::remove_file(self.directory.join("router.ping")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Its version, as it prints it when it starts.
    pub fn version(&self) -> Result<String> {
        let version =
            self.output().lines().find_map(|line| Some(line.strip_prefix("Starting I2P ")?.to_owned()));
        version.context("Java I2P does not print its version")
    }

    fn try_keys(&mut self) -> Result<Attempt<Destination>> {
        if let Some(status) = self.process.as_mut().context("the router does not run")?.try_wait()? {
            bail!("Java I2P has exited ({status}):\n{}", self.output());
        }
        Ok(Attempt::of(destination_in(&self.directory.join(KEYS))))
    }

    fn output(&self) -> String {
        fs::read_to_string(self.directory.join("output.log")).unwrap_or_default()
    }
}

/// Its programs: the tunnels alone.
const PROGRAMS: &str = "\
clientApp.0.main=net.i2p.i2ptunnel.TunnelControllerGroup
clientApp.0.name=Tunnels
clientApp.0.args=i2ptunnel.config
clientApp.0.startOnLoad=true
";

/// NTCP2 at this port and I2CP at that one; no clock, no internet, no updates.
fn configuration(port: u16, i2cp_port: u16) -> String {
    let address = address(0);
    format!(
        "\
router.networkID={NETWORK_ID}
i2np.allowLocal=true
i2np.upnp.enable=false
i2np.udp.enable=false
i2np.ntcp.autoip=false
i2np.ntcp.hostname={address}
i2np.ntcp.port={port}
i2cp.port={i2cp_port}
router.reseedDisable=true
router.updateDisabled=true
time.disabled=true
router.floodfillParticipant=true
router.inboundPool.length=0
router.outboundPool.length=0
router.inboundPool.lengthVariance=0
router.outboundPool.lengthVariance=0
"
    )
}

/// The proxies, and a server whose destination leads to these ports. It dials from an address of its own for each client.
fn tunnels(clients: &[Client], ports: &[u16]) -> String {
    let mut text = String::new();
    for (number, Client { kind, port, options }) in clients.iter().enumerate() {
        text += &format!(
            "tunnel.{number}.name=client-{number}\ntunnel.{number}.type={kind}\ntunnel.{number}.interface=127.0.0.1\n\
             tunnel.{number}.listenPort={port}\ntunnel.{number}.startOnLoad=true\n"
        );
        for option in NO_HOPS.iter().chain(*options) {
            text += &format!("tunnel.{number}.option.{option}\n");
        }
    }
    let number = clients.len();
    let first = ports.first().copied().unwrap_or_default();
    text += &format!(
        "tunnel.{number}.name=far\ntunnel.{number}.type=server\ntunnel.{number}.targetHost=127.0.0.1\n\
         tunnel.{number}.targetPort={first}\ntunnel.{number}.privKeyFile={KEYS}\ntunnel.{number}.startOnLoad=true\n\
         tunnel.{number}.option.enableUniqueLocal=true\ntunnel.{number}.option.{NO_LIMITS}\n"
    );
    for port in ports {
        text += &format!("tunnel.{number}.option.targetForPort.{port}=127.0.0.1:{port}\n");
    }
    for option in NO_HOPS {
        text += &format!("tunnel.{number}.option.{option}\n");
    }
    text
}

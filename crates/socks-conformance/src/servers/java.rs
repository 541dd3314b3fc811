//! Java I2P's own SOCKS proxy, on a router that somebody has built.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use lab::{
    ports::free_port,
    router::java::{Client, JARS, JavaRouter},
};
use tokio::{runtime::Handle, sync::Mutex};

use super::{
    Running, Setup,
    i2pd::wait_until_reached,
    ours::{HOST, UNKNOWN},
};
use crate::server::{Feature, Limitations, Reach, Server, Switch, Target};

/// What Java I2P calls its SOCKS proxy.
const KIND: &str = "sockstunnel";
/// The options with which it requires [`crate::server::USER`] and [`crate::server::PASSWORD`], as its console writes them: the
/// SHA-256 of `USER:I2P SOCKS Proxy:PASSWORD`.
const PASSWORD_OPTIONS: &[&str] = &[
    "proxyAuth=true",
    "proxy.auth.anna.sha256=85a8e3781ee7af11336f1968fe51ad784aa7983ac3a1a0575721f96401053c88",
];
/// Why its reply does not depend on the target.
const ACCEPTS_FIRST: &str =
    "the target is behind a server tunnel of Java I2P, which accepts every stream before it dials";

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let services = Arc::clone(&setup.services);
    let echo = services.echo;
    let (port, with_password) = (free_port()?, free_port()?);
    let clients = [
        Client { kind: KIND, port, options: &[] },
        Client { kind: KIND, port: with_password, options: PASSWORD_OPTIONS },
    ];
    let router = JavaRouter::start(&setup.lab, &clients, HOST, &services.ports()).await?;
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let address = local(port);
    wait_until_reached(address, echo).await?;
    let version = format!("{} (recorded)", router.version()?);
    let switch = Kill { router: Mutex::new(router), address, echo, runtime: Handle::current() };
    let server = Server {
        address,
        version,
        target: Ok(Target { host: HOST, unknown_host: UNKNOWN, services }),
        reach: Reach::I2p,
        limitations: Limitations { target_reply: Some(ACCEPTS_FIRST), ..Limitations::default() },
        with_password: Feature::At(local(with_password)),
        metrics: no_metrics()?,
        peer_to_peer: address,
        router: Some(Box::new(switch)),
        far_router: None,
        lines: Box::new(Vec::new),
    };
    // The switch owns the router.
    Ok(Running { server, processes: Vec::new() })
}

/// Looks for a class that has to do with Prometheus. The names of its classes stand in a jar as they are.
fn no_metrics() -> Result<Feature> {
    const WORD: &[u8] = b"rometheus";
    let jars = PathBuf::from(std::env::var_os(JARS).context("no jars")?);
    for entry in fs::read_dir(&jars).with_context(|| format!("could not read {}", jars.display()))? {
        let path = entry?.path();
        let found = fs::read(&path)?.windows(WORD.len()).any(|part| part == WORD);
        ensure!(!found, "{} has something that the suite does not know", path.display());
    }
    Ok(Feature::Missing("has nothing for that"))
}

/// Kills the router, as a crash would, and starts it again.
struct Kill {
    router: Mutex<JavaRouter>,
    address: SocketAddr,
    echo: u16,
    runtime: Handle,
}

impl Switch for Kill {
    fn off(&self) -> Result<()> {
        self.runtime.block_on(async { self.router.lock().await.kill().await })
    }

    fn on(&self) -> Result<()> {
        self.runtime.block_on(async {
            self.router.lock().await.start_process()?;
            wait_until_reached(self.address, self.echo).await
        })
    }
}

//! Java I2P's own HTTP proxy, on a router that somebody has built.

use anyhow::Result;
use lab::{
    ports::free_port,
    router::java::{Client, JavaRouter},
};

use super::{I2P_NAMES, Running, Setup, local, probe::Probe};

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let [host, _] = I2P_NAMES;
    let probe = Probe::start().await?;
    let ports = [&[probe.port], setup.ports.as_slice()].concat();
    let port = free_port()?;
    let client = Client { kind: "httpclient", port, options: &[] };
    let router = JavaRouter::start(&setup.lab, &[client], host, &ports).await?;
    probe.reached(port, host).await?;
    Ok(Running {
        address: local(port),
        version: format!("{} (recorded)", router.version()?),
        names: I2P_NAMES,
        _parts: vec![Box::new(router)],
    })
}

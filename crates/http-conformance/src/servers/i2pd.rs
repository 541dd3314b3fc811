//! i2pd's own HTTP proxy, on a private network of two routers.

use anyhow::Result;
use lab::{
    formation,
    ports::free_port,
    router::{
        Settings,
        pair::{self, Service},
    },
};

use super::{I2P_NAMES, Kind, Running, Setup, local, probe::Probe};

/// The routers of this network.
pub(crate) const ROUTERS: u16 = 2;

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let [host, _] = I2P_NAMES;
    let probe = Probe::start().await?;
    let ports = [&[probe.port], setup.ports.as_slice()].concat();
    let formed = formation::form("the network of i2pd", &setup.lab, async |directory| {
        let port = free_port()?;
        let client = Settings { http_port: Some(port), ..Settings::default() };
        let routers = pair::start(directory, &client, &[Service { host, ports: &ports }]).await?;
        probe.reached(port, host).await?;
        Ok((local(port), routers))
    });
    let (address, routers) = formed.await?;
    Ok(Running {
        address,
        version: Kind::I2pd.package_version()?,
        names: I2P_NAMES,
        _parts: vec![Box::new(routers)],
    })
}

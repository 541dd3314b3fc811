//! Proxies of the internet, as Debian configures them. They reach the sites by an address.

use std::fs;

use anyhow::{Context, Result};
use lab::{ports::free_port, server::wait_until_listening};

use super::{Kind, OTHER_NAMES, Running, Setup, local};

/// Privoxy with the actions of its Debian package.
pub(crate) async fn privoxy(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let configuration = setup.lab.join("privoxy.conf");
    let log = setup.lab.join("privoxy-log");
    fs::create_dir_all(&log)?;
    fs::write(
        &configuration,
        format!(
            "confdir /etc/privoxy\nlogdir {}\nactionsfile match-all.action\nactionsfile default.action\n\
             actionsfile user.action\nfilterfile default.filter\nlisten-address 127.0.0.1:{port}\n\
             keep-alive-timeout 60\ntolerate-pipelining 1\nsocket-timeout 300\n",
            log.display()
        ),
    )?;
    start(Kind::Privoxy, setup, port, &["--no-daemon", &configuration.to_string_lossy()]).await
}

/// tinyproxy.
pub(crate) async fn tinyproxy(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let configuration = setup.lab.join("tinyproxy.conf");
    fs::write(
        &configuration,
        format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nAllow 127.0.0.1\nViaProxyName \"tinyproxy\"\n"
        ),
    )?;
    start(Kind::Tinyproxy, setup, port, &["-d", "-c", &configuration.to_string_lossy()]).await
}

async fn start(kind: Kind, setup: &Setup, port: u16, arguments: &[&str]) -> Result<Running> {
    let mut process = kind.command(setup)?.args(arguments).spawn().context("could not start it")?;
    let address = local(port);
    wait_until_listening(address, &mut process).await?;
    Ok(Running {
        address,
        version: kind.package_version()?,
        names: OTHER_NAMES,
        _parts: vec![Box::new(process)],
    })
}

//! microsocks: a small SOCKS5 server in C, one thread per client.

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
};

use anyhow::{Context, Result};
use lab::ports::free_port;

use super::{Kind, Running, Setup, wait_until_listening};
use crate::server::{Feature, Limitations, PASSWORD, USER};

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let mut command = Kind::Microsocks.command(setup)?;
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
    let process = command.spawn().context("could not start it")?;
    let socks5_only = Some("speaks SOCKS5 only");
    let limitations = Limitations { socks4: socks5_only, socks4a: socks5_only, ..Limitations::default() };
    let mut running = Running::on_tcp(Kind::Microsocks, setup, port, process, limitations).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let [user, password] = [USER, PASSWORD].map(OsStr::from_bytes);
    let mut command = Kind::Microsocks.command(setup)?;
    command.args(["-i", "127.0.0.1", "-p", &address.port().to_string()]);
    let mut process =
        command.arg("-u").arg(user).arg("-P").arg(password).spawn().context("could not start it")?;
    wait_until_listening(address, &mut process).await?;
    running.server.with_password = Feature::At(address);
    running.processes.push(process);
    Ok(running)
}

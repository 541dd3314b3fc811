//! microsocks: a small SOCKS5 server in C, one thread per client.

use anyhow::{Context, Result};
use lab::ports::free_port;

use super::{Kind, Running, Setup};
use crate::server::Limitations;

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let mut command = Kind::Microsocks.command(setup)?;
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
    let process = command.spawn().context("could not start it")?;
    let socks5_only = Some("speaks SOCKS5 only");
    let limitations = Limitations { socks4: socks5_only, socks4a: socks5_only, ..Limitations::default() };
    Running::on_tcp(Kind::Microsocks, setup, port, process, limitations).await
}

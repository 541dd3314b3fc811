//! microsocks: a small SOCKS5 server in C, one thread per client.

use anyhow::{Context, Result};

use super::{Kind, Running, Setup};
use crate::conformance::{services::free_port, subject::Lacks};

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let mut command = Kind::Microsocks.command(setup)?;
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
    let process = command.spawn().context("could not start it")?;
    let socks5_only = Some("speaks SOCKS5 only");
    let lacks = Lacks { socks4: socks5_only, socks4a: socks5_only, ..Lacks::default() };
    Running::tcp(Kind::Microsocks, setup, port, process, lacks).await
}

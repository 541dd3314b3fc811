//! Dante: the SOCKS server that grew up with the RFCs.

use std::fs;

use anyhow::{Context, Result};
use lab::{dante, ports::free_port};

use super::{Kind, Running, Setup};
use crate::server::Limitations;

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let path = |name: &str| setup.lab.join(name);
    fs::write(path("danted.conf"), dante::configuration(port, &path("dante.log")))?;
    let mut command = Kind::Dante.command(setup)?;
    command.arg("-f").arg(path("danted.conf")).arg("-p").arg(path("danted.pid"));
    let process = command.spawn().context("could not start it")?;
    let no_socks4a = "speaks SOCKS4, but not SOCKS4a: it dials 0.0.0.1";
    let limitations = Limitations { socks4a: Some(no_socks4a), ..Limitations::default() };
    Running::on_tcp(Kind::Dante, setup, port, process, limitations).await
}

//! Dante: the SOCKS server that grew up with the RFCs.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{Kind, Running, Setup};
use crate::conformance::{services::free_port, subject::Lacks};

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let port = free_port()?;
    let path = |name: &str| setup.lab.join(name);
    fs::write(path("danted.conf"), configuration(port, &path("dante.log")))?;
    let mut command = Kind::Dante.command(setup)?;
    command.arg("-f").arg(path("danted.conf")).arg("-p").arg(path("danted.pid"));
    let process = command.spawn().context("could not start it")?;
    let no_socks4a = "speaks SOCKS4, but not SOCKS4a: it dials 0.0.0.1";
    let lacks = Lacks { socks4a: Some(no_socks4a), ..Lacks::default() };
    Running::tcp(Kind::Dante, setup, port, process, lacks).await
}

/// Everything that it can do, for everybody on this machine. Its users are the system's, so there are none.
pub(crate) fn configuration(port: u16, log: &Path) -> String {
    format!(
        "\
logoutput: {log}
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: root
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: bind connect udpassociate }}
socks pass {{ from: 0.0.0.0/0 to: 127.0.0.0/8 command: bindreply udpreply }}
",
        log = log.display()
    )
}

//! Clients of UDP ASSOCIATE that other people wrote.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

use super::ADDRESS;
use crate::checklist::Checklist;

/// Debian's Python, for which PySocks is installed. There may be another one in `PATH`.
pub(super) const PYTHON: &str = "/usr/bin/python3";
/// A file of Debian's package of PySocks.
pub(super) const PYSOCKS: &str = "/usr/lib/python3/dist-packages/socks.py";
/// A file of Debian's package of socks for Node.
pub(super) const NODE_SOCKS: &str = "/usr/share/nodejs/socks/package.json";
const NODE_PATH: &str = "/usr/share/nodejs";
/// Longer than all attempts of a program together.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Sends until an answer comes, for two minutes, since a tunnel on the way may have died; and prints the answer.
const WITH_PYSOCKS: &str = "\
import socket, socks, sys
host, port, echo = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
client.set_proxy(socks.SOCKS5, host, port)
client.settimeout(120)
client.bind(('', 0))
client.settimeout(5)
for attempt in range(24):
    client.sendto(b'from PySocks', (echo, 7))
    try:
        data, sender = client.recvfrom(65535)
    except socket.timeout:
        continue
    print(data.decode(), 'of', sender[0].decode(), sender[1])
    break
";

const WITH_NODE: &str = "\
const { SocksClient } = require('socks');
const dgram = require('dgram');
const [host, port, echo] = process.argv.slice(1);
const client = new SocksClient({
  proxy: { host, port: Number(port), type: 5 },
  command: 'associate',
  destination: { host: '0.0.0.0', port: 0 },
  timeout: 120000,
});
client.on('error', (error) => { console.error(error.message); process.exit(1); });
client.on('established', ({ remoteHost }) => {
  const udp = dgram.createSocket('udp4');
  const frame = SocksClient.createUDPFrame({ remoteHost: { host: echo, port: 7 }, data: Buffer.from('from Node') });
  let attempts = 0;
  const send = () => {
    if (attempts++ === 24) process.exit(1);
    udp.send(frame, remoteHost.port, remoteHost.host);
  };
  udp.on('message', (message) => {
    const { data, remoteHost: sender } = SocksClient.parseUDPFrame(message);
    console.log(data.toString(), 'of', sender.host, sender.port);
    process.exit(0);
  });
  send();
  setInterval(send, 5000);
});
client.connect();
";

pub(super) async fn check(checklist: &mut Checklist, directory: &Path, echo: &str) {
    let python = echoes(PYTHON, "-c", WITH_PYSOCKS, directory, "from PySocks", echo);
    checklist.check("PySocks: an echo over UDP", python).await;
    checklist.check("socks of Node: an echo over UDP", node(directory, echo)).await;
}

async fn node(directory: &Path, echo: &str) -> Result<()> {
    let node = programs::find("node").context("node is missing")?;
    echoes(&node.display().to_string(), "-e", WITH_NODE, directory, "from Node", echo).await
}

async fn echoes(
    program: &str,
    option: &str,
    code: &str,
    directory: &Path,
    data: &str,
    echo: &str,
) -> Result<()> {
    let (host, port) = ADDRESS.rsplit_once(':').context("the proxy's address has no port")?;
    let mut command = Command::new(program);
    command
        .args([option, code, host, port, echo])
        .env_clear()
        .env("NODE_PATH", NODE_PATH)
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(TIMEOUT, command.output()).await.context("it takes too long")??;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(
        printed.trim_end() == format!("{data} of {echo} 7"),
        "{}: it printed {printed:?}; {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

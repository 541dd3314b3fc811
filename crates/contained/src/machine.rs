//! The machine on which programs run, and its cable, on which packets are counted.
//!
//! The SAM bridge is at the other end of the cable, and so is the world outside I2P. A packet counts where it arrives, so it does not
//! matter how it was sent. What the machine sends to itself counts, too: a name server there might send it on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lab::{
    namespace::host::{Cable, Host},
    nftables, shell,
};
use programs::Workspace;
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command as AsyncCommand},
    time::timeout,
};

use crate::far_end::SITE;

/// The address and port of the bridge, as the machine knows them.
const ADDRESS: &str = "192.0.2.1";
const PORT: u16 = 7656;
const CONFIGURATION: &str = "[[tunnel]]\nlisten = ['127.0.0.1:4450']\n";
/// How long the proxy may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Counts what arrives from the machine. Both ends of a cable ask for each other's hardware addresses, which does not count.
const CABLE_RULES: &str = "table netdev cable {\n counter sam {}\n counter elsewhere {}\n chain arrives {\n\
    type filter hook ingress device \"machine\" priority 0; policy accept;\n\
    ether type arp return\n\
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } return\n\
    ip daddr 192.0.2.1 tcp dport 7656-7659 counter name sam return\n\
    counter name elsewhere\n }\n}\n";
/// Counts what the machine sends to itself.
const OWN_RULES: &str = "table inet own { counter elsewhere {}; chain leaves { type filter hook output priority 0; policy accept; \
    oifname \"lo\" counter name elsewhere; }; }";

/// How a program reaches I2P.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By the running proxy.
    Proxy,
    /// By sessions of its own.
    Own,
}

/// The machine, with a proxy that runs on it.
pub(crate) struct Machine {
    host: Host,
    bridge: TestBridge,
    program: PathBuf,
    directory: PathBuf,
    _proxy: Child,
}

/// How many packets have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) to_sam: u64,
    pub(crate) elsewhere: u64,
}

impl Machine {
    /// Connects it, and starts the proxy.
    pub(crate) async fn start(workspace: &Workspace, lab: &Path) -> Result<Self> {
        let bridge = TestBridge::start().await;
        bridge.host(SITE, Endpoint::Sink);
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let host = connect(lab)?;
        publish(&bridge, PORT)?;
        let program = workspace.proxy();
        let directory = lab.to_path_buf();
        fs::write(directory.join("i2p-socks.toml"), CONFIGURATION)?;
        let mut command = i2p_socks(&host, &program, &directory, "run", (Way::Proxy, PORT));
        command.arg("--config").arg(directory.join("i2p-socks.toml"));
        command.stdout(Stdio::piped()).stderr(fs::File::create(directory.join("i2p-socks.log"))?);
        let mut proxy = AsyncCommand::from(command).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(proxy.stdout.take().context("no stdout")?).lines();
        let line = timeout(READY_TIMEOUT, lines.next_line()).await.context("the proxy is not ready")??;
        ensure!(line.as_ref().is_some_and(|line| line.ends_with(" ready")), "the proxy wrote {line:?}");
        Ok(Self { host, bridge, program, directory, _proxy: proxy })
    }

    /// A command of `exec` on the machine, without the program. What is in the directory `shown` is shown to it.
    pub(crate) fn exec(&self, way: Way, shown: &Path) -> Command {
        let mut command = i2p_socks(&self.host, &self.program, &self.directory, "exec", (way, PORT));
        command.arg("--config").arg(self.directory.join("i2p-socks.toml")).arg("--ro-bind").arg(shown);
        command
    }

    /// The same with another bridge, which the machine gets at this port, up to 7659, and another configuration.
    pub(crate) fn exec_on(
        &self,
        (bridge, port): (&TestBridge, u16),
        configuration: &str,
        shown: &Path,
    ) -> Result<Command> {
        publish(bridge, port)?;
        let file = self.directory.join(format!("i2p-socks-{port}.toml"));
        fs::write(&file, configuration)?;
        let mut command = i2p_socks(&self.host, &self.program, &self.directory, "exec", (Way::Own, port));
        command.arg("--config").arg(file).arg("--ro-bind").arg(shown);
        Ok(command)
    }

    /// A command on the machine that `exec` does not contain, with a home directory of its own.
    pub(crate) fn uncontained(&self, program: &str, name: &str) -> Result<Command> {
        let home = self.directory.join(format!("home-{name}"));
        fs::create_dir_all(&home)?;
        let mut command = self.host.command(program);
        command.env("HOME", &home);
        Ok(command)
    }

    /// A command beside the machine, such as one that has another command run there on a terminal.
    pub(crate) fn beside(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// A file for what a program prints.
    pub(crate) fn log(&self, name: &str) -> Result<fs::File> {
        Ok(fs::File::create(self.directory.join(format!("{name}.log")))?)
    }

    /// How many packets have left.
    pub(crate) fn left(&self) -> Result<Left> {
        let own = self.host.run("nft list counter inet own elsewhere")?;
        let own = nftables::packets_in(&String::from_utf8_lossy(&own.stdout))?;
        let elsewhere = nftables::packets("netdev cable elsewhere")? + own;
        Ok(Left { to_sam: nftables::packets("netdev cable sam")?, elsewhere })
    }

    /// How many sessions programs have opened so far.
    pub(crate) fn sessions(&self) -> usize {
        self.bridge.sessions().len()
    }
}

/// Makes the machine and its cable.
fn connect(lab: &Path) -> Result<Host> {
    let cable = Cable {
        port: "machine",
        bridge: None,
        addresses: &["192.0.2.2/24", "2001:db8:1::2/64"],
        routers: &["192.0.2.1", "2001:db8:1::1"],
    };
    let host = Host::new("machine", lab, &cable)?;
    shell::run(
        "ip address add 192.0.2.1/24 dev machine && ip address add 2001:db8:1::1/64 dev machine nodad",
    )?;
    // Bridges listen on the loopback interface.
    shell::run("echo 1 > /proc/sys/net/ipv4/conf/machine/route_localnet")?;
    nftables::load(CABLE_RULES)?;
    host.succeed(&format!("nft '{OWN_RULES}'"))?;
    Ok(host)
}

/// Lets the machine reach a bridge at a port of the other end of its cable.
fn publish(bridge: &TestBridge, port: u16) -> Result<()> {
    nftables::load(&format!(
        "table ip sam{port} {{ chain arrives {{ type nat hook prerouting priority dstnat; \
         ip daddr {ADDRESS} tcp dport {port} dnat to {}; }}; }}",
        bridge.address()
    ))
}

/// A subcommand on the machine, with the options that all have.
fn i2p_socks(
    host: &Host,
    program: &Path,
    directory: &Path,
    subcommand: &str,
    (way, port): (Way, u16),
) -> Command {
    let mut command = host.command(program);
    command.args([subcommand, "--router", "sam", "--sam", &format!("{ADDRESS}:{port}")]);
    command.arg("--state-dir").arg(directory.join(format!("state-{way:?}-{port}")));
    command
}

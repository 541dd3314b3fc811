//! Hosts behind a gateway, which is the namespace of the suite: network namespaces with a cable and an `/etc/resolv.conf` of their own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result};

use super::holder;
use crate::shell;

/// A server that no host can reach: any server will do, since the gateway answers.
const SOME_DNS_SERVER: &str = "nameserver 198.51.100.53\n";

/// A host: a network namespace with its own `/etc/resolv.conf`. It ends with this value.
pub struct Host {
    holder: Child,
    resolv_conf: PathBuf,
    /// What it is called in messages.
    pub name: &'static str,
    /// Its addresses, with prefix lengths.
    pub addresses: &'static [&'static str],
    /// Addresses of the gateway.
    pub routers: &'static [&'static str],
    router_mac: String,
}

/// How a host is connected.
pub struct Cable {
    /// The name of the end at the gateway.
    pub port: &'static str,
    /// The bridge that this end belongs to.
    pub bridge: Option<&'static str>,
    /// Addresses of the host, with prefix lengths.
    pub addresses: &'static [&'static str],
    /// Addresses of the gateway.
    pub routers: &'static [&'static str],
}

impl Host {
    /// Makes a host without a cable.
    pub fn without_cable(name: &'static str, lab: &Path) -> Result<Self> {
        let resolv_conf = lab.join(format!("{name}.resolv.conf"));
        fs::write(&resolv_conf, SOME_DNS_SERVER)?;
        let line = format!("mount --bind {} /etc/resolv.conf && ip link set lo up", resolv_conf.display());
        let holder =
            holder::start(&["--net", "--mount"], &line).with_context(|| format!("no host {name}"))?;
        Ok(Self { holder, resolv_conf, name, addresses: &[], routers: &[], router_mac: String::new() })
    }

    /// Makes a host with a cable to the gateway. The end there is up.
    pub fn new(name: &'static str, lab: &Path, cable: &Cable) -> Result<Self> {
        let mut host = Self::without_cable(name, lab)?;
        (host.addresses, host.routers) = (cable.addresses, cable.routers);
        host.connect(cable.port)?;
        if let Some(bridge) = cable.bridge {
            shell::run(&format!("ip link set {} master {bridge}", cable.port))?;
        }
        let link = shell::run(&format!("ip link show dev {}", cable.bridge.unwrap_or(cable.port)))?;
        let mac = link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
        mac.with_context(|| link.clone())?.clone_into(&mut host.router_mac);
        host.use_addresses(cable.addresses)?;
        Ok(host)
    }

    /// Gives the host these addresses instead of those that it has.
    pub fn use_addresses(&self, addresses: &[&str]) -> Result<()> {
        self.succeed(
            "ip address flush dev eth0 scope global && ip route flush default && ip -6 route flush default",
        )?;
        self.succeed("ip neighbour flush dev eth0 nud all")?;
        for address in addresses {
            self.succeed(&format!("ip address add {address} dev eth0 nodad"))?;
        }
        for router in self.routers {
            self.succeed(&format!("ip route add default via {router} dev eth0 onlink"))?;
            // A gateway does not have to tell a forged sender where it is.
            if addresses != self.addresses {
                self.succeed(&format!("ip neighbour add {router} lladdr {} dev eth0", self.router_mac))?;
            }
        }
        Ok(())
    }

    /// Connects it to the gateway by a cable, whose end there is called `port`. Both ends are up.
    pub fn connect(&self, port: &str) -> Result<()> {
        shell::run(&format!("ip link add {port} type veth peer name eth0 netns {}", self.holder.id()))?;
        shell::run(&format!("ip link set {port} up"))?;
        self.succeed("ip link set eth0 up")
    }

    /// A command that runs a program on the host, with nothing on stdin.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(self.holder.id().to_string()).args(["--net", "--mount", "--"]);
        nsenter.arg(program).stdin(Stdio::null());
        nsenter
    }

    /// Runs a command line of a shell on the host.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.command("sh").args(["-c", line]).output().with_context(|| format!("could not run {line}"))
    }

    /// The same, with other content of `/etc/resolv.conf`.
    pub fn run_with(&self, resolv_conf: &str, line: &str) -> Result<Output> {
        let file = self.resolv_conf.with_extension("other");
        fs::write(&file, resolv_conf)?;
        self.run(&format!("unshare --mount sh -c 'mount --bind {} /etc/resolv.conf; {line}'", file.display()))
    }

    /// Runs a command line that has to succeed.
    pub fn succeed(&self, line: &str) -> Result<()> {
        shell::succeeded(line, &self.run(line)?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing more can be done if these fail: the suite's namespace ends all the same.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

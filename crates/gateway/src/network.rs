//! The network: an uplink that counts, a bridge with two hosts, and a namespace with a cable of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};

/// A server that no host can reach: any server will do, since the gateway answers.
const SOME_DNS_SERVER: &str = "nameserver 198.51.100.53\n";

/// A host: a network namespace with its own `/etc/resolv.conf`. It ends with this value.
pub(crate) struct Host {
    holder: Child,
    resolv_conf: PathBuf,
    pub(crate) name: &'static str,
    pub(crate) addresses: &'static [&'static str],
    pub(crate) routers: &'static [&'static str],
    router_mac: String,
}

/// How a host is connected.
pub(crate) struct Cable {
    /// The name of the end at the gateway.
    pub(crate) port: &'static str,
    /// The bridge that this end belongs to.
    pub(crate) bridge: Option<&'static str>,
    /// Addresses of the host, with prefix lengths.
    pub(crate) addresses: &'static [&'static str],
    /// Addresses of the gateway.
    pub(crate) routers: &'static [&'static str],
}

impl Host {
    fn without_cable(name: &'static str, lab: &Path) -> Result<Self> {
        let resolv_conf = lab.join(format!("{name}.resolv.conf"));
        fs::write(&resolv_conf, SOME_DNS_SERVER)?;
        let script = format!(
            "mount --bind {} /etc/resolv.conf && ip link set lo up && echo ready && exec cat",
            resolv_conf.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start unshare")?;
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        ensure!(line == "ready\n", "no namespace for {name}");
        Ok(Self { holder, resolv_conf, name, addresses: &[], routers: &[], router_mac: String::new() })
    }

    /// A host with a cable to the gateway. The end there is up.
    pub(crate) fn new(name: &'static str, lab: &Path, cable: &Cable) -> Result<Self> {
        let mut host = Self::without_cable(name, lab)?;
        (host.addresses, host.routers) = (cable.addresses, cable.routers);
        host.connect(cable.port)?;
        if let Some(bridge) = cable.bridge {
            gateway(&format!("ip link set {} master {bridge}", cable.port))?;
        }
        let link = gateway(&format!("ip link show dev {}", cable.bridge.unwrap_or(cable.port)))?;
        let mac = link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
        mac.with_context(|| link.clone())?.clone_into(&mut host.router_mac);
        host.use_addresses(cable.addresses)?;
        Ok(host)
    }

    /// Gives the host these addresses instead of those that it has.
    pub(crate) fn use_addresses(&self, addresses: &[&str]) -> Result<()> {
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

    fn connect(&self, port: &str) -> Result<()> {
        gateway(&format!("ip link add {port} type veth peer name eth0 netns {}", self.holder.id()))?;
        gateway(&format!("ip link set {port} up"))?;
        self.succeed("ip link set eth0 up")
    }

    /// Runs a command line of a shell on the host.
    pub(crate) fn run(&self, line: &str) -> Result<Output> {
        let process = self.holder.id().to_string();
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &process, "--net", "--mount", "sh", "-c", line]).stdin(Stdio::null());
        nsenter.output().with_context(|| format!("could not run {line}"))
    }

    /// The same, with other content of `/etc/resolv.conf`.
    pub(crate) fn run_with(&self, resolv_conf: &str, line: &str) -> Result<Output> {
        let file = self.resolv_conf.with_extension("other");
        fs::write(&file, resolv_conf)?;
        self.run(&format!("unshare --mount sh -c 'mount --bind {} /etc/resolv.conf; {line}'", file.display()))
    }

    /// Runs a command line that has to succeed.
    pub(crate) fn succeed(&self, line: &str) -> Result<()> {
        succeed(line, &self.run(line)?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing more can be done if these fail: the suite's namespace ends all the same.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs a command line of a shell on the gateway.
pub(crate) fn gateway(line: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output()?;
    succeed(line, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into())
}

fn succeed(line: &str, output: &Output) -> Result<()> {
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Loads rules of nftables on the gateway.
pub(crate) fn load(rules: &str) -> Result<()> {
    nft(&["-f", "-"], rules)
}

/// Checks that rules could be loaded.
pub(crate) fn check_rules(rules: &str) -> Result<()> {
    nft(&["-c", "-f", "-"], rules)
}

fn nft(arguments: &[&str], rules: &str) -> Result<()> {
    let mut nft = Command::new("nft").args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(rules.as_bytes())?;
    }
    succeed("nft", &nft.wait_with_output()?).with_context(|| rules.to_owned())
}

/// The way to the internet, which counts what leaves. The hosts of IPv6 look for each other on it; that does not count.
pub(crate) struct Uplink {
    _internet: Host,
}

impl Uplink {
    pub(crate) fn new(lab: &Path) -> Result<Self> {
        let internet = Host::without_cable("internet", lab)?;
        internet.connect("up0")?;
        for line in [
            "ip address add 192.0.2.1/24 dev up0",
            "ip address add 2001:db8::1/64 dev up0 nodad",
            // Nobody answers there.
            "ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev up0",
            "ip neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev up0",
            "ip route add default via 192.0.2.2",
            "ip -6 route add default via 2001:db8::2",
            "echo 1 > /proc/sys/net/ipv4/ip_forward",
            // Here, only the rules look at senders.
            "for all in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $all; done",
            "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        ] {
            gateway(line)?;
        }
        load(
            "table inet uplink {\n counter left {}\n chain out {\n\
             type filter hook postrouting priority 300; policy accept;\n\
             oifname != \"up0\" return\n\
             icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } return\n\
             counter name left\n }\n}\n",
        )?;
        Ok(Self { _internet: internet })
    }

    /// How many packets have left.
    pub(crate) fn left(&self) -> Result<u64> {
        let shown = gateway("nft list counter inet uplink left")?;
        let packets = shown.split_whitespace().skip_while(|word| *word != "packets").nth(1);
        packets.context("no count")?.parse().context("not a number")
    }
}

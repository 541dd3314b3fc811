//! The uplink, which counts.

use std::path::Path;

use anyhow::Result;
use lab::{namespace::host::Host, nftables, shell};

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
            shell::run(line)?;
        }
        nftables::load(
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
        nftables::packets("inet uplink left")
    }
}

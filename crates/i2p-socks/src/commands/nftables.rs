//! `generate nftables`: a firewall that sends everything of an interface to a tunnel, and rejects the rest.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use i2p_tunnel::{Interception, ListenAt};

use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelConfig},
};

/// The longest name of an interface (`IFNAMSIZ`, without the final zero).
const MAX_INTERFACE_BYTES: usize = 15;

/// The name of a network interface, of letters that mean nothing else in nftables. A rule for a name that no interface can have would
/// match nothing, and so let everything through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface(String);

impl FromStr for Interface {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = (1..=MAX_INTERFACE_BYTES).contains(&name.len()) && name.bytes().all(plain);
        match is_name && !matches!(name, "." | "..") {
            true if name == "lo" => {
                Err("lo carries this machine's own traffic, which the rules would reject")
            }
            true => Ok(Self(name.to_owned())),
            false => Err(
                "expected the name of a network interface, such as br0 or docker0, without what `ip link` shows after @",
            ),
        }
    }
}

impl Interface {
    /// The name of a table that no other interface has.
    fn table(&self) -> String {
        format!("i2p_socks_{}", self.0)
    }
}

/// A family of addresses, and the listeners that its clients get.
struct FamilyRules {
    /// Its name in nftables.
    name: &'static str,
    is_v4: bool,
    dns: SocketAddr,
    transparent: SocketAddr,
}

/// The file for `nft -f`.
///
/// # Errors
/// The tunnel lacks a listener that clients behind the interface can reach.
pub(crate) fn rules(config: &Config, tunnel: &str, interface: &Interface) -> Result<String, CommandError> {
    let tunnels = config.tunnels();
    let found = tunnels.iter().find(|found| found.name() == tunnel);
    let found = found.ok_or_else(|| no_tunnel(config, tunnel))?;
    let families = families(found)?;
    Ok(file(tunnel, interface, &families))
}

fn no_tunnel(config: &Config, tunnel: &str) -> CommandError {
    let tunnels = config.tunnels();
    let names = tunnels.iter().map(TunnelConfig::name).collect::<Vec<_>>().join(", ");
    match config.file() {
        Some(file) => CommandError::usage(format_args!(
            "there is no [[tunnel]] with the name {tunnel} in {}, only {names}: choose another --tunnel or --config",
            file.display()
        )),
        None => CommandError::usage(format_args!(
            "there is no [[tunnel]] with the name {tunnel}: no configuration file was read, and by default there is only {names}. \
             Name the file with --config FILE"
        )),
    }
}

fn families(tunnel: &TunnelConfig) -> Result<Vec<FamilyRules>, CommandError> {
    let listen = tunnel.listen()?;
    let find = |is_v4: bool, kind: fn(&ListenAt) -> bool| {
        let mut addresses = listen.iter().filter(|at| kind(at)).filter_map(ListenAt::socket_address);
        addresses.find(|address| serves(*address, is_v4))
    };
    let dns = |is_v4| find(is_v4, |at| matches!(at, ListenAt::Dns(_)));
    let transparent =
        |is_v4| find(is_v4, |at| matches!(at, ListenAt::Transparent(Interception::Redirect, _)));
    let complete = [("ip", true), ("ip6", false)].into_iter().filter_map(|(name, is_v4)| {
        Some(FamilyRules { name, is_v4, dns: dns(is_v4)?, transparent: transparent(is_v4)? })
    });
    let complete: Vec<_> = complete.collect();
    if complete.is_empty() {
        return Err(missing(tunnel, dns(true).or(dns(false)), transparent(true).or(transparent(false))));
    }
    Ok(complete)
}

/// Whether clients of this family can be sent to a listener. Packets from another machine never get to loopback.
fn serves(address: SocketAddr, is_v4: bool) -> bool {
    let ip = address.ip().to_canonical();
    let is_any = address.ip().is_ipv6() && ip.is_unspecified();
    !ip.is_loopback() && address.port() != 0 && (is_any || ip.is_ipv4() == is_v4)
}

fn missing(tunnel: &TunnelConfig, dns: Option<SocketAddr>, transparent: Option<SocketAddr>) -> CommandError {
    let add = match (transparent, dns) {
        (None, None) => "redirect:IP:PORT and dns:IP:PORT",
        (None, Some(_)) => "redirect:IP:PORT",
        (Some(_), None) => "dns:IP:PORT",
        (Some(_), Some(_)) => "redirect: and dns: with addresses of the same family",
    };
    CommandError::usage(format_args!(
        "tunnel {} cannot serve an interface: add {add} to its listen, where IP is the address of this machine on that interface, \
         not one of loopback, and PORT is not 0; and set open-to-others = true.{}",
        tunnel.name(),
        if tunnel.requires_password() {
            " These listeners cannot ask for passwords: give them a [[tunnel]] of their own"
        } else {
            ""
        }
    ))
}

fn file(tunnel: &str, interface: &Interface, families: &[FamilyRules]) -> String {
    let (table, name) = (interface.table(), &interface.0);
    let (mut redirected, mut accepted) = (String::new(), String::new());
    for family in families {
        // Writing to a text cannot fail.
        let _ = family.write_redirections(&mut redirected);
        let _ = family.write_accepted(&mut accepted);
    }
    format!(
        "# All that comes in by {name} goes to the tunnel {tunnel} of i2p-socks, or is rejected.\n\
         # Made by i2p-socks generate nftables. To load it: nft -f FILE. To remove it: nft delete table inet {table}\n\
         table inet {table}\n\
         delete table inet {table}\n\
         table inet {table} {{\n\
         \t# An answer to a forged sender would leave for the host that it names. A host without an address sends from none.\n\
         \tchain forged_senders {{\n\
         \t\ttype filter hook prerouting priority raw; policy accept;\n\
         \t\tiifname != \"{name}\" return\n\
         \t\tip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n\
         \t\tip6 saddr :: icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, mld-listener-report, mld2-listener-report }} accept\n\
         \t\tfib saddr . iif oif missing drop\n\
         \t}}\n\n\
         \tchain to_proxy {{\n\
         \t\ttype nat hook prerouting priority dstnat; policy accept;\n\
         \t\tiifname != \"{name}\" return\n\
         {redirected}\
         \t}}\n\n\
         \tchain to_this_machine {{\n\
         \t\ttype filter hook input priority filter; policy accept;\n\
         \t\tiifname != \"{name}\" return\n\
         \t\tct state established,related accept\n\
         {accepted}\
         \t\t# DHCP, and how hosts of IPv6 find each other. Neither leaves the network.\n\
         \t\tudp dport 67 accept\n\
         \t\ticmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report }} accept\n\
         \t\tjump refuse\n\
         \t}}\n\n\
         \tchain through_this_machine {{\n\
         \t\ttype filter hook forward priority filter; policy accept;\n\
         \t\tiifname \"{name}\" jump refuse\n\
         \t\toifname \"{name}\" jump refuse\n\
         \t}}\n\n\
         \tchain refuse {{\n\
         \t\tmeta l4proto tcp reject with tcp reset\n\
         \t\treject with icmpx type admin-prohibited\n\
         \t}}\n\
         }}\n"
    )
}

impl FamilyRules {
    fn write_redirections(&self, to: &mut String) -> std::fmt::Result {
        let family = if self.is_v4 { "ipv4" } else { "ipv6" };
        let (dns, transparent) = (self.translation(self.dns), self.translation(self.transparent));
        writeln!(to, "\t\t# DNS, whatever server a host asks.")?;
        writeln!(to, "\t\tmeta nfproto {family} meta l4proto {{ tcp, udp }} th dport 53 {dns}")?;
        writeln!(to, "\t\t# TCP, except to this machine itself.")?;
        writeln!(to, "\t\tmeta nfproto {family} meta l4proto tcp fib daddr type != local {transparent}")
    }

    fn write_accepted(&self, to: &mut String) -> std::fmt::Result {
        let (dns, transparent) = (self.destination(self.dns), self.destination(self.transparent));
        writeln!(to, "\t\t{dns}meta l4proto {{ tcp, udp }} th dport {} accept", self.dns.port())?;
        writeln!(to, "\t\t{transparent}tcp dport {} ct status dnat accept", self.transparent.port())
    }

    /// How packets get to a listener.
    fn translation(&self, to: SocketAddr) -> String {
        match to.ip().to_canonical() {
            ip if ip.is_unspecified() => format!("redirect to :{}", to.port()),
            ip => format!("dnat {} to {}", self.name, SocketAddr::new(ip, to.port())),
        }
    }

    /// The condition on the address to which packets for a listener are sent.
    fn destination(&self, to: SocketAddr) -> String {
        let ip: IpAddr = to.ip().to_canonical();
        match ip.is_unspecified() {
            true => format!("meta nfproto {} ", if self.is_v4 { "ipv4" } else { "ipv6" }),
            false => format!("{} daddr {ip} ", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listen: &str) -> Result<String, String> {
        let text = format!("[[tunnel]]\nname = 'lan'\nopen-to-others = true\nlisten = {listen}\n");
        let config: Config = toml::from_str(&text).unwrap();
        rules(&config, "lan", &"br-lan".parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_missing_is_named() {
        for (listen, says) in [
            ("'127.0.0.1:4450'", "add redirect:IP:PORT and dns:IP:PORT to its listen"),
            ("'dns:192.168.7.1:53'", "add redirect:IP:PORT to its listen"),
            ("'redirect:192.168.7.1:4451'", "add dns:IP:PORT to its listen"),
            ("['redirect:127.0.0.1:1', 'dns:127.0.0.1:2']", "not one of loopback"),
            ("['tproxy:192.168.7.1:1', 'dns:192.168.7.1:2']", "add redirect:IP:PORT to its listen"),
            ("['redirect:192.168.7.1:1', 'dns:[fd07::1]:2']", "with addresses of the same family"),
        ] {
            let error = of(listen).unwrap_err();
            assert!(error.contains(says), "{listen}: {error}");
        }
        let config = Config::default();
        let error = rules(&config, "lan", &Interface("br0".into())).unwrap_err().to_string();
        let says = "there is no [[tunnel]] with the name lan: no configuration file was read, and by default there is only default.";
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn each_family_goes_to_its_own_listeners_and_a_family_without_them_nowhere() {
        let v4 = of("['redirect:192.168.7.1:4451', 'dns:192.168.7.1:5353']").unwrap();
        assert!(v4.contains("fib daddr type != local dnat ip to 192.168.7.1:4451\n"), "{v4}");
        assert!(v4.contains("th dport 53 dnat ip to 192.168.7.1:5353\n") && !v4.contains("dnat ip6"), "{v4}");
        assert!(
            v4.contains("table inet i2p_socks_br-lan {") && v4.contains("iifname \"br-lan\" jump refuse")
        );
        let v6 = of("['redirect:[fd07::1]:4451', 'dns:[fd07::1]:5353']").unwrap();
        assert!(v6.contains("dnat ip6 to [fd07::1]:4451\n") && !v6.contains("dnat ip to"), "{v6}");
        let any = of("['redirect:[::]:4451', 'dns:[::]:5353']").unwrap();
        assert_eq!(any.matches("redirect to :4451\n").count(), 2, "{any}");
    }

    #[test]
    fn the_name_of_an_interface_cannot_be_more_than_a_name() {
        let refused = [
            "",
            ".",
            "..",
            "lo",
            "a b",
            "a\"",
            "a\n",
            "a/b",
            "*",
            "0123456789abcdef",
            "enp0s31f6.7@if2",
            "eth0:1",
        ];
        for name in refused {
            assert!(name.parse::<Interface>().is_err(), "{name:?}");
        }
        let tables = ["enp0s31f6.7", "br-lan", "br_lan", "br.lan"]
            .map(|name| (name, name.parse::<Interface>().unwrap().table()));
        for (name, table) in tables {
            assert_eq!(
                table,
                format!("i2p_socks_{name}"),
                "the rules of one interface replace those of another"
            );
        }
    }
}

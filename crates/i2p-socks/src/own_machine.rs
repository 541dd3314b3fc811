//! What identifies this machine and its users, for the leak guard: addresses, names, accounts.
//! May import `files`.

use std::{net::IpAddr, path::Path, time::Duration};

use i2p_tunnel::{LeakPatterns, Machine, OwnMachine};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::files;

/// How often to look for new addresses and names. A laptop gets others where it is carried.
const INTERVAL: Duration = Duration::from_secs(60);
/// Most bytes of a file of the system that are read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The users that are persons. Accounts of the system have the same names on many machines.
const USERS: std::ops::Range<u32> = 1000..60_000;
/// Most users that are looked for.
const MAX_USERS: usize = 256;

/// What identifies this machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Identity {
    addresses: Vec<IpAddr>,
    hardware_addresses: Vec<[u8; 6]>,
    host_names: Vec<String>,
    logins: Vec<String>,
    machine_ids: Vec<String>,
}

/// Finds out what identifies this machine, now and again as long as the handle is kept.
pub(crate) fn watch() -> (OwnMachine, AbortOnDropHandle<()>) {
    let machine = OwnMachine::default();
    let mut known = Identity::read();
    known.give_to(&machine);
    let watched = machine.clone();
    let task = tokio::spawn(async move {
        loop {
            sleep(INTERVAL).await;
            let Ok(now) = tokio::task::spawn_blocking(Identity::read).await else { continue };
            if now != known {
                now.give_to(&watched);
                known = now;
            }
        }
    });
    (machine, AbortOnDropHandle::new(task))
}

impl Identity {
    fn read() -> Self {
        let text = |path: &str| files::read_text(Path::new(path), MAX_FILE_BYTES).unwrap_or_default();
        let (addresses, hardware_addresses) = interfaces();
        let host_name = host_name();
        Self {
            addresses,
            hardware_addresses,
            host_names: names_of_host(&host_name, &text("/etc/hosts")),
            logins: persons(&text("/etc/passwd")),
            machine_ids: ["/etc/machine-id", "/var/lib/dbus/machine-id"].map(text).into(),
        }
    }

    fn give_to(&self, machine: &OwnMachine) {
        fn texts(texts: &[String]) -> Vec<&str> {
            texts.iter().map(String::as_str).collect()
        }
        let own = Machine {
            addresses: &self.addresses,
            hardware_addresses: &self.hardware_addresses,
            host_names: &texts(&self.host_names),
            logins: &texts(&self.logins),
            machine_ids: &texts(&self.machine_ids),
        };
        match LeakPatterns::new(&own) {
            Ok(patterns) => machine.set(patterns),
            Err(error) => tracing::warn!("the leak guard does not work: {error}"),
        }
    }
}

/// The addresses and hardware addresses of all interfaces.
#[cfg(unix)]
fn interfaces() -> (Vec<IpAddr>, Vec<[u8; 6]>) {
    let (mut addresses, mut hardware) = (Vec::new(), Vec::new());
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return (addresses, hardware) };
    for address in all.filter_map(|interface| interface.address) {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let v6 = address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
        addresses.extend(v4.or(v6));
        let own = address.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr);
        hardware.extend(own.filter(|own| *own != [0; 6]));
    }
    addresses.sort_unstable();
    addresses.dedup();
    (addresses, hardware)
}

/// They are not looked for there.
#[cfg(not(unix))]
fn interfaces() -> (Vec<IpAddr>, Vec<[u8; 6]>) {
    (Vec::new(), Vec::new())
}

#[cfg(unix)]
fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// The name of this machine, and the names with a domain that a hosts file gives it.
fn names_of_host(name: &str, hosts: &str) -> Vec<String> {
    let first = name.split('.').next().unwrap_or_default();
    if first.is_empty() {
        return Vec::new();
    }
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split_whitespace().skip(1));
    let in_domain = words.filter(|word| word.split('.').next() == Some(first)).map(str::to_owned);
    let mut names: Vec<_> = [name.to_owned(), first.to_owned()].into_iter().chain(in_domain).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The accounts of persons in a file such as `/etc/passwd`.
fn persons(passwd: &str) -> Vec<String> {
    let person = |line: &str| {
        let mut fields = line.split(':');
        let (name, user) = (fields.next()?, fields.nth(1)?.parse().ok()?);
        USERS.contains(&user).then(|| name.to_owned())
    };
    passwd.lines().filter_map(person).take(MAX_USERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_accounts_are_found_in_the_files_of_the_system() {
        let hosts =
            "127.0.0.1 localhost\n127.0.1.1 laptop.example.net laptop # me\n192.0.2.9 other.example\n";
        assert_eq!(names_of_host("laptop", hosts), ["laptop", "laptop.example.net"]);
        assert_eq!(names_of_host("laptop.lan", ""), ["laptop", "laptop.lan"]);
        assert!(names_of_host("", hosts).is_empty());
        let passwd = "root:x:0:0::/root:/bin/sh\nmargaret:x:1000:1000::/home/m:/bin/sh\nbroken\n\
                      nobody:x:65534:65534::/:/bin/false\n";
        assert_eq!(persons(passwd), ["margaret"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_addresses() {
        let identity = Identity::read();
        assert!(identity.addresses.iter().any(IpAddr::is_loopback), "{identity:?}");
    }
}

use alloc::{format, string::String, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Leak;
use crate::local_name::{is_local, is_of_every_machine};

/// What identifies a machine and its user.
#[derive(Default, Clone, Copy)]
pub struct Machine<'a> {
    /// The addresses of its interfaces, and the one that the world sees. Those that every machine has are left out.
    pub addresses: &'a [IpAddr],
    /// The hardware addresses of its interfaces.
    pub hardware_addresses: &'a [[u8; 6]],
    /// Its names, with a public domain and without. Of a name in a local domain, such as `.lan`, the first word is looked for, too. Names
    /// of fewer than 4 characters are left out, since they appear by chance, and so are those that every machine has.
    pub host_names: &'a [&'a str],
    /// The names of accounts. Names of fewer than 5 characters are left out, for the same reason.
    pub logins: &'a [&'a str],
    /// The contents of `/etc/machine-id`: 32 hexadecimal digits.
    pub machine_ids: &'a [&'a str],
}

/// The fewest characters of a host name.
const MIN_HOST_NAME: usize = 4;
/// The fewest characters of a login.
const MIN_LOGIN: usize = 5;

/// All written forms, with what they are. They are compared without regard to case.
pub(super) fn literals(machine: &Machine<'_>) -> Vec<(Leak, String)> {
    let mut all = Vec::new();
    let mut add = |leak, forms: Vec<String>| all.extend(forms.into_iter().map(|form| (leak, form)));
    for address in machine.addresses {
        // Some systems name an IPv4 address by its IPv6 form.
        match address.to_canonical() {
            address if address.is_unspecified() || address.is_loopback() => {}
            IpAddr::V4(address) => add(Leak::Address, ipv4(address)),
            IpAddr::V6(address) => add(Leak::Address, ipv6(address)),
        }
    }
    for address in machine.hardware_addresses {
        add(Leak::HardwareAddress, hardware(*address));
    }
    for name in machine.host_names {
        let name = name.trim_end_matches('.');
        let first = name.split('.').next().filter(|_| is_local(name.as_bytes()));
        let names = [Some(name), first].into_iter().flatten();
        let telling = names.filter(|name| name.len() >= MIN_HOST_NAME && !is_of_every_machine(name));
        add(Leak::HostName, telling.map(String::from).collect());
    }
    for name in machine.logins {
        if name.len() >= MIN_LOGIN {
            add(Leak::Login, [(*name).into()].into());
        }
    }
    for id in machine.machine_ids {
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).collect();
        if digits.len() == 32 {
            add(Leak::MachineId, [with_marks(&digits, &[8, 12, 16, 20], '-'), digits].into());
        }
    }
    all
}

fn joined<T>(parts: impl IntoIterator<Item = T>, mark: &str, form: impl Fn(T) -> String) -> String {
    parts.into_iter().map(form).collect::<Vec<_>>().join(mark)
}

/// A mark before the characters at these positions.
fn with_marks(text: &str, positions: &[usize], mark: char) -> String {
    text.chars()
        .enumerate()
        .flat_map(|(at, character)| [positions.contains(&at).then_some(mark), Some(character)])
        .flatten()
        .collect()
}

fn ipv4(address: Ipv4Addr) -> Vec<String> {
    let octets = address.octets();
    let plain = |octet: u8| format!("{octet}");
    let [a, b, c, d] = octets;
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        format!("{address}"),
        joined(octets, ".", |octet| format!("{octet:03}")),
        // FTP's PORT, and names that providers and clouds give to machines.
        joined(octets, ",", plain),
        joined(octets, "-", plain),
        joined(octets, "_", plain),
        // A name in the DNS.
        joined(octets.into_iter().rev(), ".", plain) + ".in-addr.arpa",
        // DCC.
        format!("{}", address.to_bits()),
        format!("{:08x}", address.to_bits()),
        format!("0x{:08x}", address.to_bits()),
        joined(octets, ".", |octet| format!("0x{octet:x}")),
        // Mapped to IPv6; the dotted form is found anyway.
        format!("ffff:{high:x}:{low:x}"),
        format!("ffff:{high:04x}:{low:04x}"),
    ]
    .into()
}

fn ipv6(address: Ipv6Addr) -> Vec<String> {
    let digits = format!("{:032x}", address.to_bits());
    let nibbles = joined(digits.chars().rev(), ".", String::from);
    [
        format!("{address}"),
        joined(address.segments(), ":", |segment| format!("{segment:x}")),
        joined(address.segments(), ":", |segment| format!("{segment:04x}")),
        joined(address.segments(), "-", |segment| format!("{segment:x}")),
        nibbles + ".ip6.arpa",
        digits,
    ]
    .into()
}

fn hardware(address: [u8; 6]) -> Vec<String> {
    let pair = |octet: u8| format!("{octet:02x}");
    let digits = joined(address, "", pair);
    let [a, b, c, d, e, f] = address;
    let [one, two, three, four] =
        [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(|[high, low]| u16::from_be_bytes([high, low]));
    [
        joined(address, ":", pair),
        joined(address, "-", pair),
        joined(address, ":", |octet| format!("{octet:x}")),
        with_marks(&digits, &[4, 8], '.'),
        digits,
        // The end of an IPv6 address that is made from it (RFC 4291, appendix A).
        format!("{one:x}:{two:x}:{three:x}:{four:x}"),
    ]
    .into()
}

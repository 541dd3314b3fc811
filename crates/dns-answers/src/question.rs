use std::net::IpAddr;

use hickory_proto::{
    op,
    rr::{DNSClass, Name, RecordType},
};

/// Names by which programs ask whether they may use a resolver of their own, or a relay: Firefox (DNS over HTTPS) and Apple's
/// systems (Private Relay). They keep to the system's resolver if the name does not exist.
const OTHER_RESOLVER_PROBES: [&[u8]; 3] =
    [b"use-application-dns.net", b"mask.icloud.com", b"mask-h2.icloud.com"];

/// What a client asks. It holds what the client is looking for, so it does not belong in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// An address of a name: types A and AAAA.
    Address {
        /// The name in the client's spelling, without the final dot. Bytes, because any may occur; a dot only separates labels.
        name: Vec<u8>,
        /// The kind of address.
        family: Family,
    },
    /// The name of an address: type PTR.
    Pointer(IpAddr),
    /// Another type of a name, such as MX, HTTPS or ANY. The answer is [`Answer::NoData`](crate::Answer::NoData) if the name exists.
    Other {
        /// The name, as in [`Question::Address`].
        name: Vec<u8>,
    },
    /// A name that must not exist. The answer is [`Answer::NoSuchName`](crate::Answer::NoSuchName).
    Nothing,
}

/// A family of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4: type A.
    V4,
    /// IPv6: type AAAA.
    V6,
}

impl Family {
    pub(crate) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

impl Question {
    /// `None` if it is of another class than the internet's.
    pub(crate) fn of(query: &op::Query) -> Option<Self> {
        if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
            return None;
        }
        Some(match (query.query_type(), text_of(query.name())) {
            (RecordType::PTR, _) => pointer(query.name()).map_or(Self::Nothing, Self::Pointer),
            (_, None) => Self::Nothing,
            (RecordType::A, Some(name)) => Self::Address { name, family: Family::V4 },
            (RecordType::AAAA, Some(name)) => Self::Address { name, family: Family::V6 },
            (_, Some(name)) => Self::Other { name },
        })
    }
}

/// The name as text. `None` if it stands for nothing: the root, a name below `arpa`, a probe, a label with a dot in it.
fn text_of(name: &Name) -> Option<Vec<u8>> {
    let labels: Vec<&[u8]> = name.iter().collect();
    let is_arpa = labels.last().is_none_or(|last| last.eq_ignore_ascii_case(b"arpa"));
    if is_arpa || labels.iter().any(|label| label.contains(&b'.')) {
        return None;
    }
    let name = labels.join(&b'.');
    let is_probe = OTHER_RESOLVER_PROBES.iter().any(|probe| name.eq_ignore_ascii_case(probe));
    (!is_probe).then_some(name)
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for; `None` for a part of one.
fn pointer(name: &Name) -> Option<IpAddr> {
    let network = name.parse_arpa_name().ok()?;
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}

//! Where a tunnel listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use i2p_tunnel::BoundAddress;

/// Where a tunnel listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Place {
    /// The tunnel's name.
    pub(crate) tunnel: String,
    /// The address, with the port that the system chose where any would do.
    #[serde(serialize_with = "as_text")]
    pub(crate) address: BoundAddress,
}

fn as_text<S: serde::Serializer>(address: &BoundAddress, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(address)
}

/// What listens on every address is reached by the one of this machine.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

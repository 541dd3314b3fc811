//! A listener of a tunnel: its address, as `ports.json` has it.
//! Imports nothing of this crate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use i2p_tunnel::BoundAddress;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A listener of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listener {
    /// The name of the tunnel.
    pub(crate) tunnel: String,
    /// Its address, with the actual port if the system chose it.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub(crate) address: BoundAddress,
}

fn as_text<S: Serializer>(address: &BoundAddress, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(address)
}

fn from_text<'de, D: Deserializer<'de>>(from: D) -> Result<BoundAddress, D::Error> {
    let text = String::deserialize(from)?;
    match text.strip_prefix("unix:") {
        Some(path) => Ok(BoundAddress::Unix(path.to_owned())),
        None => text.parse().map(BoundAddress::Tcp).map_err(D::Error::custom),
    }
}

/// The address to connect to from this machine: a listener on all addresses is reached on loopback.
pub(crate) fn connectable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

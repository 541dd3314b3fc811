//! A listener of a tunnel: its address, as `ports.json` has it.
//! Imports nothing of this crate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use i2p_tunnel::{BoundAddress, ListenAt};
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
        None => match text.parse() {
            Ok(ListenAt::Tcp(address)) => Ok(BoundAddress::Tcp(address)),
            Ok(ListenAt::Transparent(how, address)) => Ok(BoundAddress::Transparent(how, address)),
            Ok(ListenAt::Dns(address)) => Ok(BoundAddress::Dns(address)),
            Ok(_) => Err(D::Error::custom("not the address of a listener")),
            Err(error) => Err(D::Error::custom(error)),
        },
    }
}

impl Listener {
    /// Whether its clients speak SOCKS or HTTP.
    pub(crate) fn is_proxy(&self) -> bool {
        matches!(self.address, BoundAddress::Tcp(_) | BoundAddress::Unix(_))
    }

    /// The line that says that it is ready: what it is and where.
    pub(crate) fn ready_line(&self) -> String {
        match self.is_proxy() {
            true => format!("socks {} ready\n", self.address),
            // `dns:IP:PORT` and the like begin with what they are.
            false => format!("{} ready\n", self.address.to_string().replacen(':', " ", 1)),
        }
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

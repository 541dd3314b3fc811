//! The addresses inside the namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::flow::FlowId;

/// How many ports of an address flows use: all but 0.
const PORTS: u32 = 65_535;
/// How many flow numbers there are: those ports of 65,536 addresses.
pub(super) const FLOW_NUMBERS: u32 = PORTS << 16;

/// The addresses inside the namespace. All contained programs of all users have the same, so none tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// The listener of IPv4, on the address that programs have. Its port is the namespace's choice.
    pub listener_v4: SocketAddrV4,
    /// That of IPv6; `None` if the kernel has no IPv6.
    pub listener_v6: Option<SocketAddrV6>,
}

impl Addresses {
    /// The address that programs have.
    pub const PROGRAM_V4: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
    /// The IPv6 address that programs have.
    pub const PROGRAM_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
    /// The first of 65,536 addresses from which flows come to the listener.
    const FLOWS_V4: u32 = Ipv4Addr::new(10, 65, 0, 0).to_bits();
    /// Those of IPv6.
    const FLOWS_V6: u128 = Ipv6Addr::new(0xfd00, 0x65, 0, 0, 0, 0, 0, 0).to_bits();

    /// The addresses, with the ports of the listeners.
    #[must_use]
    pub fn new(port_v4: u16, port_v6: Option<u16>) -> Self {
        Self {
            listener_v4: SocketAddrV4::new(Self::PROGRAM_V4, port_v4),
            listener_v6: port_v6.map(|port| SocketAddrV6::new(Self::PROGRAM_V6, port, 0, 0)),
        }
    }

    /// The listener for connections of the version of this address.
    #[must_use]
    pub fn listener(&self, like: SocketAddr) -> Option<SocketAddr> {
        match like {
            SocketAddr::V4(_) => Some(self.listener_v4.into()),
            SocketAddr::V6(_) => self.listener_v6.map(Into::into),
        }
    }

    /// Where a flow comes from in the eyes of the listener, in the version of this address. Each flow number has an address and port
    /// of its own.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below 65,535")]
    pub fn of_flow(&self, flow: FlowId, like: SocketAddr) -> SocketAddr {
        let (host, port) = (flow.0 / PORTS, (flow.0 % PORTS) as u16 + 1);
        let address = match like {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::from_bits(Self::FLOWS_V4 + host)),
            SocketAddr::V6(_) => Ipv6Addr::from_bits(Self::FLOWS_V6 + u128::from(host)).into(),
        };
        SocketAddr::new(address, port)
    }

    /// The number of the flow that has this address and port; `None` if no flow can have it.
    #[must_use]
    pub fn flow_of(&self, address: SocketAddr) -> Option<FlowId> {
        let host = Self::host(address.ip())?;
        let port = u32::from(address.port()).checked_sub(1)?;
        Some(FlowId(u32::from(host) * PORTS + port))
    }

    /// Checks whether this is an address of flows. No program may name one as its target.
    #[must_use]
    pub fn is_of_flows(&self, address: IpAddr) -> bool {
        Self::host(address).is_some()
    }

    /// Which of the addresses of flows this is.
    fn host(address: IpAddr) -> Option<u16> {
        match address {
            IpAddr::V4(address) => u16::try_from(address.to_bits().checked_sub(Self::FLOWS_V4)?).ok(),
            IpAddr::V6(address) => u16::try_from(address.to_bits().checked_sub(Self::FLOWS_V6)?).ok(),
        }
    }

    /// Checks whether both are single hosts beyond this machine's loopback. Others are never answered (RFC 1122 section 3.2.2).
    pub(super) fn may_talk(source: IpAddr, destination: IpAddr) -> bool {
        [source, destination].into_iter().all(|address| match address {
            IpAddr::V4(address) => {
                let is_group = address.is_multicast() || address.is_broadcast();
                !is_group && !address.is_unspecified() && !address.is_loopback()
            }
            IpAddr::V6(address) => {
                let is_group = address.is_multicast() || address.is_unicast_link_local();
                !is_group && !address.is_unspecified() && !address.is_loopback()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_number_has_an_address_of_its_own() {
        let of = |text: &str| text.parse::<SocketAddr>().unwrap();
        let addresses = Addresses::new(4_000, None);
        let last = FLOW_NUMBERS - 1;
        for like in [of("1.2.3.4:5"), of("[::5]:5")] {
            for number in [0, 1, 65_534, 65_535, 65_536, 1_000_000, last] {
                let source = addresses.of_flow(FlowId(number), like);
                assert_ne!(source.port(), 0);
                assert_eq!(addresses.flow_of(source), Some(FlowId(number)), "{source}");
            }
            assert_ne!(addresses.of_flow(FlowId(65_534), like), addresses.of_flow(FlowId(65_535), like));
        }
        for other in ["10.65.0.0:0", "10.64.255.255:9", "10.66.0.0:9", "[fd00:65::1:0]:9", "[fd00:64::1]:9"] {
            assert_eq!(addresses.flow_of(of(other)), None, "{other}");
        }
        assert_eq!(addresses.of_flow(FlowId(last), of("1.2.3.4:5")), of("10.65.255.255:65535"));
    }
}

use crate::Failure;

impl Failure {
    /// What a person can do about it: one sentence or more, in plain words, for whoever uses the proxy. It names no target.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::MalformedName => {
                "Check the address: names end in .i2p, base32 addresses in .b32.i2p, destinations are base64."
            }
            Self::NameUnknown => {
                "Check the spelling, use the site's .b32.i2p address, or add the name to the router's address book."
            }
            Self::Unreachable | Self::TimedOut => {
                "The site may be offline, or the router new to the network; try again in a minute."
            }
            Self::Refused => "The site is there, and has nothing at this port. Check the port.",
            Self::NotAllowed => {
                "This proxy leads to I2P. Use an .i2p name, or have a route to the outside configured."
            }
            Self::RouterUnavailable => "Start the I2P router, or wait until it is back; then try again.",
            Self::NoTunnels => "The router is building its tunnels; try again in a minute or two.",
            Self::SessionRefused | Self::RouterError => {
                "Try again; if it stays like this, the router's own log says more."
            }
            Self::TooManySessions => {
                "Try again later, or have max-sessions raised in the proxy's configuration."
            }
            Self::CommandNotSupported => {
                "Use a program that only needs to connect: CONNECT is what there is."
            }
            Self::VirtualAddressUnknown => "Ask for the name again: addresses are forgotten after some time.",
            Self::NoVirtualAddress => "Use the name itself, or have more virtual addresses configured.",
            Self::AddressTypeNotSupported => "Use the name of the site.",
            Self::ClientKeyMissing => {
                "Ask whoever runs the site for a key and give it to the router; if it has one, the site may be offline."
            }
            Self::OutproxiesFailed => "Try again later, or have another outproxy configured.",
            Self::TooManyConnections => "Close other connections, try again later, or have [limits] raised.",
            Self::ProtocolNotAllowed => {
                "Use another proxy protocol, such as SOCKS5, or have this one allowed in the tunnel's protocols."
            }
        }
    }
}

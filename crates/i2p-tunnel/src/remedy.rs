use crate::Failure;

impl Failure {
    /// What whoever runs the proxy can do about it. It names no target.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MalformedName => {
                "A program asked for something that cannot be a host. See that it sends names, and not whole addresses of \
                 pages."
            }
            Self::NameUnknown => {
                "Check the spelling. A name that is new has to come into an address book first: the router's, or \
                 [names.static]. A .b32.i2p address needs none."
            }
            Self::Unreachable => {
                "The service is offline, or its lease set is not found yet: try again in a minute. If nothing at all can be \
                 reached, see that the router has tunnels."
            }
            Self::TimedOut => {
                "The service is slow or overloaded, or so are the tunnels on the way: try again."
            }
            Self::Refused => {
                "The service runs and does not take the stream: check the port, or ask who runs it."
            }
            Self::NotAllowed => {
                "Only .i2p goes to I2P. For anything else add an [[outproxy]] and a [[route]]; without one it is refused, \
                 and never sent."
            }
            Self::RouterUnavailable => {
                "The router does not run, or its SAM bridge is off: start it, switch the bridge on, and see that [router] \
                 sam is right."
            }
            Self::NoTunnels => {
                "The router builds tunnels; one that has just started needs minutes. If it lasts, see whether it is \
                 connected to the network."
            }
            Self::SessionRefused => "See the router's log: it says why it gives no session.",
            Self::TooManySessions => "Raise max-sessions under [session], or isolate by less.",
            Self::RouterError => "See the router's log at this time; if it goes on, restart the router.",
            Self::CommandNotSupported => {
                "A program asked for BIND or UDP ASSOCIATE. Set it up for connections over TCP alone."
            }
            Self::VirtualAddressUnknown => {
                "A program kept an address for longer than it holds: restart it, or raise expire-after under \
                 [virtual-addresses]."
            }
            Self::NoVirtualAddress => "Raise max, or give a range, under [virtual-addresses].",
            Self::AddressTypeNotSupported => {
                "A program sent an address where only a name can be, or the other way round; SOCKS4 has no form for IPv6. \
                 Set it to SOCKS5."
            }
            Self::ClientKeyMissing => {
                "The service takes only clients with a key: ask who runs it for one, and enter it in the router."
            }
            Self::OutproxiesFailed => {
                "None of the route's outproxies connected: see below whether they are there, or add another one to via."
            }
            Self::TooManyConnections => "Raise what [limits] allows, or see which program opens so many.",
            Self::ProtocolNotAllowed => {
                "Allow the protocol in the tunnel's protocols, or set the program to another."
            }
        }
    }
}

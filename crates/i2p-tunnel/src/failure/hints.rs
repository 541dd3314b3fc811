use super::Failure;

impl Failure {
    /// What whoever runs the proxy can do about it. It names no target.
    #[must_use]
    pub fn operator_hint(self) -> &'static str {
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
                "A program asked for BIND or UDP ASSOCIATE. Allow them with udp and incoming of the tunnel, or set the program \
                 up for connections over TCP alone."
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
                "None of the route's outproxies connected: see Outproxies for how each does, or add another one to via."
            }
            Self::TooManyConnections => "Raise what [limits] allows, or see which program opens so many.",
            Self::ProtocolNotAllowed => {
                "Allow the protocol in the tunnel's protocols, or set the program to another."
            }
            Self::NoSocket => "Raise the limit of open files (ulimit -n, LimitNOFILE of systemd).",
        }
    }

    /// What whoever uses the proxy can do about it: a sentence or two, in plain words. It names no target.
    #[must_use]
    pub fn client_hint(self) -> &'static str {
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
                "Use a program that only needs to connect, or have the tunnel's udp or incoming switched on."
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
            Self::NoSocket => "Close other connections, or try again later.",
        }
    }
}

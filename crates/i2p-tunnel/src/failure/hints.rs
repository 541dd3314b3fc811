use super::Failure;

impl Failure {
    /// What happened, in a few words: the title of a page, and the reason phrase of an answer. It has no full stop.
    #[must_use]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::NameUnknown => "No address book knows this name",
            Self::NameReserved => "This name is no site in I2P",
            Self::MalformedName => "This is not an address",
            Self::Unreachable | Self::ClientKeyMissing => "The site cannot be reached",
            Self::TimedOut => "The site did not answer in time",
            Self::Refused => "The site refused the connection",
            Self::BadAnswer => "The site did not answer properly",
            Self::AnswerBrokeOff => "The site did not answer to the end",
            Self::LeakGuard => "The proxy has ended this request",
            Self::PasswordAsked => "The site asks for the proxy's password",
            Self::NotAllowed => "This address is outside I2P",
            Self::LocalHost => "This host is on your machine or network",
            Self::RouteRejects => "The proxy refuses this host",
            Self::NoTunnels => "I2P tunnels are being built",
            Self::RouterUnavailable => "The I2P router cannot be reached",
            Self::OutproxiesFailed => "No way out of I2P works",
            Self::OutproxiesUnknown => "The proxy's way out of I2P is unknown",
            Self::Stopping => "The proxy is stopping",
            Self::TooManySessions | Self::SessionShare | Self::TooManyConnections => "The proxy is busy",
            _ => "The proxy could not open this site",
        }
    }

    /// Tells the operator of the proxy what to do about this failure. The text never names the target.
    #[must_use]
    pub fn operator_hint(self) -> &'static str {
        match self {
            Self::MalformedName => {
                "A program asked for something that is not a host: a name with other characters than letters, digits, hyphens and \
                dots, a mistyped base32 address, or a whole URL."
            }
            Self::NameUnknown => {
                "Check the spelling. A new name has to be in an address book first: the router's, or the proxy's own if it has one (i2p-socks \
                names add). A .b32.i2p address needs none."
            }
            Self::NameReserved => {
                "router.i2p, console.i2p, mail.i2p, proxy.i2p and the names below them are reserved, so no address book accepts them. \
                Open the router's console at its own address, without the proxy; the proxy's pages are at http://proxy.i2p/."
            }
            Self::Unreachable => {
                "The service is offline, or in I2P its lease set was not found yet: try again in a minute. If no service in I2P \
                can be reached, check that the router has tunnels."
            }
            Self::TimedOut => "The service or a tunnel on the way to it is slow or overloaded: try again.",
            Self::Refused => {
                "The service is online and refused the connection: check the port, or ask the service's operator."
            }
            Self::NotAllowed => {
                "Only .i2p goes to I2P. To reach other hosts, add an [[outproxy]] and a [[route]] for the host and its port; requests \
                without a route are refused and never sent anywhere. i2p-socks explain HOST PORT shows which routes apply."
            }
            Self::LocalHost => {
                "A program sends hosts of this machine or of a local network to the proxy. Let it connect to them itself, for \
                example with no_proxy=localhost,127.0.0.1,::1. A route leads there only if its host names them."
            }
            Self::RouteRejects => {
                "A [[route]] with via = \"reject\" decides about this host. i2p-socks explain HOST PORT says which one."
            }
            Self::RouterUnavailable => {
                "The router is not running, or its SAM bridge is off or refuses the login: start the router, enable the bridge, and \
                check sam, user and password-file under [router]."
            }
            Self::NoTunnels => {
                "The router is building tunnels, which takes minutes after a start. If this lasts, check that the router is \
                connected to the network."
            }
            Self::SessionRefused => {
                "The log has the router's words in a line that begins with: no I2P session. The router's own log may say more. \
                 If its SAM bridge wants a login, set user and password-file under [router]."
            }
            Self::TooManySessions => "Raise max-sessions under [session], or isolate by fewer properties.",
            Self::SessionShare => {
                "One client uses many credentials at once, or new ones all the time. If it should, raise max-sessions under \
                [session]."
            }
            Self::RouterError => {
                "See the router's log at this time. If it happens again, restart the router."
            }
            Self::WrongDestination => {
                "Whatever answers at the address of the SAM bridge lies, or does not know this kind of address. Check that it \
                is your router, and not another program that has taken its port."
            }
            Self::CommandNotSupported => {
                "A program sent BIND or UDP ASSOCIATE. Allow them with incoming and udp under [[tunnel]], or configure the \
                program to make outgoing TCP connections only."
            }
            Self::VirtualAddressUnknown => {
                "A program kept an address after it expired: restart the program, or raise expire-after under \
                [virtual-addresses]."
            }
            Self::NoVirtualAddress => "Raise max or set a range under [virtual-addresses].",
            Self::AddressTypeNotSupported => {
                "A program sent an address where a name is needed, a name where an address is needed, or IPv6 in SOCKS4. \
                Set it to SOCKS5."
            }
            Self::ClientKeyMissing => {
                "The service accepts only clients with a key: ask its operator for one, and enter it in the router."
            }
            Self::OutproxiesFailed => {
                "The status shows the state of each outproxy. Add another one to via of the route."
            }
            Self::OutproxiesUnknown => {
                "Set at under [[outproxy]] to the .b32.i2p address of the outproxy, or add its name with i2p-socks names add."
            }
            Self::TooManyConnections => {
                "Raise the limit under [limits], or find the program that opens so many connections."
            }
            Self::ProtocolNotAllowed => {
                "Allow the protocol with protocols under [[tunnel]], or set the program to another one."
            }
            Self::NoSocket => "Raise the limit of open files (ulimit -n, or LimitNOFILE= in systemd).",
            Self::BadAnswer => {
                "The service does not speak HTTP: check the port. Use SOCKS or CONNECT for other protocols."
            }
            Self::AnswerBrokeOff => {
                "The service ended the connection, as one does that fails, restarts, or expects another protocol at this port: try \
                again, then ask its operator."
            }
            Self::LeakGuard => {
                "Find the program, and what it sends: docs/filters.md says how. leak-guard = \"warn\" under [[tunnel]] lets such requests pass."
            }
            Self::PasswordAsked => {
                "The service answered with status 407, as only a proxy may. A program would have sent it the password of i2p-socks, \
                so the answer was not passed on."
            }
            Self::ProxyItself => {
                "A program asked for proxy.i2p by SOCKS or CONNECT. Set it to use the port as an HTTP proxy."
            }
            Self::Stopping => {
                "The proxy was told to stop before the request could be served. Raise grace under [shutdown] to give requests more time."
            }
        }
    }

    /// Tells the user of the proxy what to do about this failure, in one or two plain sentences. The text never names the target.
    #[must_use]
    pub fn client_hint(self) -> &'static str {
        match self {
            Self::MalformedName => {
                "Check the address. Names have letters, digits, hyphens and dots, and end in .i2p. Base32 addresses have 52 or more \
                of the characters a to z and 2 to 7 before .b32.i2p."
            }
            Self::NameUnknown => {
                "Check the spelling, or use the site's .b32.i2p address. If the proxy has an address book, its user can add the name with \
                i2p-socks names add."
            }
            Self::NameReserved => {
                "It is reserved for the router and the proxy. Open the router's console at its own address, without the proxy. The \
                proxy's pages are at http://proxy.i2p/."
            }
            Self::Unreachable | Self::TimedOut => {
                "The site may be offline, or, if it is in I2P, the router may have just started. Try again in a minute."
            }
            Self::Refused => "The site is online and refused the connection. Check the port.",
            Self::NotAllowed => {
                "This proxy leads to I2P. Use an .i2p name, or ask the operator to configure a route to the outside."
            }
            Self::LocalHost => {
                "Set your program to connect to this host without the proxy: add it to no_proxy, which should have \
                localhost,127.0.0.1,::1 in any case. If you mean a site in I2P, write its whole name, which ends in .i2p."
            }
            Self::RouteRejects => "The operator of the proxy has excluded this host.",
            Self::RouterUnavailable => "Start the I2P router, or wait until it is back, and try again.",
            Self::NoTunnels => "The router is building its tunnels. Try again in a minute or two.",
            Self::SessionRefused | Self::RouterError => {
                "Try again. If it keeps failing, see the router's log."
            }
            Self::WrongDestination => "Ask the operator to check which program answers as the router.",
            Self::SessionShare => {
                "Close other connections, use fewer different credentials, or try again in a minute."
            }
            Self::TooManySessions => "Try again later, or ask the operator to raise max-sessions.",
            Self::CommandNotSupported => {
                "Use a program that makes outgoing TCP connections only, or ask the operator to enable udp or incoming."
            }
            Self::VirtualAddressUnknown => "Look the name up again: its address has expired.",
            Self::NoVirtualAddress => {
                "Use the name itself, or ask the operator to configure more virtual addresses."
            }
            Self::AddressTypeNotSupported => "Use the site's name.",
            Self::ClientKeyMissing => {
                "Ask the site's operator for a key and enter it in the router. If the router has one, the site may be offline."
            }
            Self::OutproxiesFailed => "Try again later, or ask the operator to configure another outproxy.",
            Self::TooManyConnections => {
                "Close other connections, try again later, or ask the operator to raise [limits]."
            }
            Self::ProtocolNotAllowed => {
                "Use another proxy protocol such as SOCKS5, or ask the operator to allow this one."
            }
            Self::NoSocket => "Close other connections, or try again later.",
            Self::BadAnswer => {
                "No web site is at this address and port, or the site has a problem. Check the port."
            }
            Self::AnswerBrokeOff => {
                "Try again. If it stays like this, the site has a problem, or no web site is at this address and port."
            }
            Self::LeakGuard => {
                "Your program was about to send an address or a name of this machine, which would show who you are. The site got nothing of it. \
                 Do not try again before you know what the program sends."
            }
            Self::PasswordAsked => {
                "Do not give it to the site. The proxy did not pass this answer on, because your program would have sent the password."
            }
            Self::ProxyItself => {
                "Set your program to use the proxy as an HTTP proxy, not by SOCKS or CONNECT, and open http://proxy.i2p/, not https. \
                With curl: curl -x http://HOST:PORT http://proxy.i2p/"
            }
            Self::OutproxiesUnknown => {
                "Ask the operator of the proxy to write the .b32.i2p address of the outproxy in the configuration, or to add its name to \
                 the address book."
            }
            Self::Stopping => "Try again once the proxy runs again.",
        }
    }
}

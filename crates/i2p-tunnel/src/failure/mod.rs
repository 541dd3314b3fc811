//! The failure table: for each way a request can fail, its reply codes, HTTP status, error of connect(2), metric label, log text and hints.
//!
//! Imports nothing from this crate.

mod hints;

use socks_wire::{v4, v5};

/// Why a request failed. [`Failure::row`] gives what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The host is neither a valid name nor an address.
    MalformedName,
    /// The name is in no address book.
    NameUnknown,
    /// The same for a name that no address book may have, since it stands for the router or the proxy.
    NameReserved,
    /// The destination's lease set was not found, or the destination does not answer.
    Unreachable,
    /// The destination did not answer in time.
    TimedOut,
    /// The destination was reached and refused the stream.
    Refused,
    /// The host is outside I2P and no route leads to it: a clear-net name, or an IP address that is not a virtual one.
    NotAllowed,
    /// The same for a host of this machine or of a local network, which programs should reach without the proxy.
    LocalHost,
    /// The host is outside I2P, and a route refuses it.
    RouteRejects,
    /// The router cannot be reached, or the session with it was lost.
    RouterUnavailable,
    /// The router did not finish building tunnels within the limit.
    NoTunnels,
    /// The router answered and refused to open a session.
    SessionRefused,
    /// All sessions are in use by clients that are isolated from this one.
    TooManySessions,
    /// The client has its share of the sessions, or has asked for new ones too quickly.
    SessionShare,
    /// The router reported an error without a reason.
    RouterError,
    /// The router answered a lookup with a destination that does not belong to the base32 address. Nothing is sent there.
    WrongDestination,
    /// An unknown command, or one that the tunnel does not allow (BIND, UDP ASSOCIATE).
    CommandNotSupported,
    /// A virtual address that was not given to this client, or has expired.
    VirtualAddressUnknown,
    /// No virtual address is left for a name: all are in use, or there is no range that the client's protocol can express.
    NoVirtualAddress,
    /// The command does not support this type of address: it requires an address and got a name, or it is SOCKS4, which cannot
    /// express IPv6.
    AddressTypeNotSupported,
    /// The destination cannot be reached, and its address says that it accepts only clients with a key. The router does not tell
    /// whether it has that key.
    ClientKeyMissing,
    /// A route leads to the host, and none of the route's outproxies connected.
    OutproxiesFailed,
    /// A limit of connections is reached.
    TooManyConnections,
    /// The tunnel does not serve the client's protocol: see [`Protocols`](crate::Protocols).
    ProtocolNotAllowed,
    /// The operating system provided no socket for the client's datagrams.
    NoSocket,
    /// The site's answer to a plain HTTP request is not HTTP, or is malformed or ambiguous.
    BadAnswer,
    /// The site closed the stream before the head of its answer to a plain HTTP request was complete, or before any of it.
    AnswerBrokeOff,
    /// The leak guard has ended a plain HTTP request, because the client was about to send what identifies this machine.
    LeakGuard,
    /// The site asks for the proxy's password, which the client would send it.
    PasswordAsked,
    /// The host is the proxy itself (`proxy.i2p`), which answers plain HTTP only. The name never reaches I2P.
    ProxyItself,
    /// The proxy stopped while the request was waiting.
    Stopping,
    /// A route leads to the host, and the names of its outproxies are in no address book.
    OutproxiesUnknown,
}

/// What connect(2) reports to a program whose connections are intercepted, as those of a contained program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// `ECONNREFUSED`.
    Refused,
    /// `EHOSTUNREACH`.
    HostUnreachable,
    /// Forbidden: `EACCES`, or `EHOSTUNREACH` where the system knows no better.
    Denied,
    /// `ETIMEDOUT`.
    TimedOut,
}

/// A row of the failure table: how one failure is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRow {
    /// REP of a SOCKS5 reply (RFC 1928 section 6).
    pub socks5: v5::ReplyCode,
    /// REP for SOCKS5 clients that understand Tor's extended codes (proposal 304); the same as `socks5` where none fits.
    pub extended: v5::ReplyCode,
    /// CD of a SOCKS4 or SOCKS4a reply.
    pub socks4: v4::ReplyCode,
    /// Status of the response to an HTTP request (RFC 9110 section 15).
    pub http: u16,
    /// What connect(2) of an intercepted connection reports.
    pub connect: ConnectError,
    /// Label in metrics: lower-case letters and underscores.
    pub label: &'static str,
    /// Text for logs and the status page. It never names the target.
    pub log: &'static str,
}

impl Failure {
    /// All variants, for tables and tests.
    pub const ALL: [Self; 32] = [
        Self::MalformedName,
        Self::NameUnknown,
        Self::NameReserved,
        Self::Unreachable,
        Self::TimedOut,
        Self::Refused,
        Self::NotAllowed,
        Self::LocalHost,
        Self::RouteRejects,
        Self::RouterUnavailable,
        Self::NoTunnels,
        Self::SessionRefused,
        Self::TooManySessions,
        Self::SessionShare,
        Self::RouterError,
        Self::WrongDestination,
        Self::CommandNotSupported,
        Self::VirtualAddressUnknown,
        Self::NoVirtualAddress,
        Self::AddressTypeNotSupported,
        Self::ClientKeyMissing,
        Self::OutproxiesFailed,
        Self::TooManyConnections,
        Self::ProtocolNotAllowed,
        Self::NoSocket,
        Self::BadAnswer,
        Self::AnswerBrokeOff,
        Self::LeakGuard,
        Self::PasswordAsked,
        Self::ProxyItself,
        Self::Stopping,
        Self::OutproxiesUnknown,
    ];

    /// Returns how this failure is reported.
    #[must_use]
    pub fn row(self) -> FailureRow {
        use v5::ReplyCode as Code;
        // SOCKS5, Tor's extended code if one fits, HTTP, label, log.
        let (socks5, extended, http, label, log) = match self {
            Self::MalformedName => (
                Code::GENERAL_FAILURE,
                Some(Code::INVALID_ADDRESS),
                400,
                "malformed_name",
                "the host name is malformed",
            ),
            Self::NameUnknown => (
                Code::HOST_UNREACHABLE,
                Some(Code::DESCRIPTOR_NOT_FOUND),
                404,
                "name_unknown",
                "the name is in no address book",
            ),
            Self::NameReserved => (
                Code::HOST_UNREACHABLE,
                Some(Code::DESCRIPTOR_NOT_FOUND),
                404,
                "name_reserved",
                "the name stands for the router or the proxy, and is no site in I2P",
            ),
            Self::Unreachable => (
                Code::HOST_UNREACHABLE,
                Some(Code::DESCRIPTOR_NOT_FOUND),
                502,
                "unreachable",
                "the destination cannot be reached",
            ),
            Self::TimedOut => (
                Code::TTL_EXPIRED,
                Some(Code::INTRODUCTION_TIMED_OUT),
                504,
                "timed_out",
                "the destination did not answer in time",
            ),
            Self::Refused => (
                Code::CONNECTION_REFUSED,
                Some(Code::INTRODUCTION_FAILED),
                502,
                "refused",
                "the destination refused the stream",
            ),
            Self::NotAllowed => {
                (Code::NOT_ALLOWED, None, 403, "not_allowed", "not an I2P name, and no route leads there")
            }
            Self::LocalHost => (
                Code::NOT_ALLOWED,
                None,
                403,
                "local_host",
                "a host of this machine or of a local network, and no route leads there",
            ),
            Self::RouteRejects => {
                (Code::NOT_ALLOWED, None, 403, "route_rejects", "not an I2P name, and a route refuses it")
            }
            Self::RouterUnavailable => {
                (Code::GENERAL_FAILURE, None, 503, "router_unavailable", "the I2P router is not available")
            }
            Self::NoTunnels => (
                Code::NETWORK_UNREACHABLE,
                None,
                503,
                "no_tunnels",
                "the I2P router has not built tunnels yet",
            ),
            Self::SessionRefused => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "session_refused",
                "the I2P router refused to open a session",
            ),
            Self::TooManySessions => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "too_many_sessions",
                "all I2P sessions are in use by other clients: raise max-sessions, or isolate by fewer properties",
            ),
            Self::SessionShare => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "session_share",
                "the client has its share of the I2P sessions, or has asked for new ones too quickly: raise max-sessions, or \
                 isolate by fewer properties",
            ),
            Self::RouterError => (
                Code::GENERAL_FAILURE,
                None,
                502,
                "router_error",
                "the I2P router failed and did not say why",
            ),
            Self::WrongDestination => (
                Code::GENERAL_FAILURE,
                None,
                502,
                "wrong_destination",
                "the router's answer does not belong to the base32 address that was looked up, so nothing was sent",
            ),
            Self::CommandNotSupported => (
                Code::COMMAND_NOT_SUPPORTED,
                None,
                501,
                "command_not_supported",
                "the command is unknown, or the tunnel does not allow it: see udp and incoming in the configuration",
            ),
            Self::VirtualAddressUnknown => (
                Code::HOST_UNREACHABLE,
                None,
                404,
                "virtual_address_unknown",
                "the virtual address was not given to this client, or has expired",
            ),
            Self::NoVirtualAddress => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "no_virtual_address",
                "no virtual address is left for the name: raise max or set a range under [virtual-addresses]",
            ),
            Self::AddressTypeNotSupported => (
                Code::ADDRESS_TYPE_NOT_SUPPORTED,
                None,
                400,
                "address_type_not_supported",
                "the command does not support this type of address",
            ),
            Self::ClientKeyMissing => (
                Code::HOST_UNREACHABLE,
                Some(Code::MISSING_AUTHORIZATION),
                502,
                "client_key_missing",
                "the destination cannot be reached; it accepts only clients with a key, which the router may not have",
            ),
            Self::OutproxiesFailed => {
                (Code::HOST_UNREACHABLE, None, 502, "outproxies_failed", "no outproxy of the route connected")
            }
            Self::TooManyConnections => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "too_many_connections",
                "the limit of connections under [limits] is reached",
            ),
            Self::ProtocolNotAllowed => (
                Code::NOT_ALLOWED,
                None,
                403,
                "protocol_not_allowed",
                "the tunnel does not serve this protocol: see protocols in the configuration",
            ),
            Self::NoSocket => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "no_socket",
                "the system has no socket left for datagrams: raise the limit of open files",
            ),
            Self::BadAnswer => (
                Code::GENERAL_FAILURE,
                None,
                502,
                "bad_answer",
                "the destination's answer is not HTTP, or malformed",
            ),
            Self::AnswerBrokeOff => (
                Code::GENERAL_FAILURE,
                None,
                502,
                "answer_broke_off",
                "the destination closed the stream before it had answered",
            ),
            Self::LeakGuard => (
                Code::NOT_ALLOWED,
                None,
                403,
                "leak_guard",
                "the request was about to send what identifies this machine, and the leak guard has ended it",
            ),
            Self::PasswordAsked => (
                Code::GENERAL_FAILURE,
                None,
                502,
                "password_asked",
                "the destination asks for the password of the proxy, which it must not get",
            ),
            Self::ProxyItself => (
                Code::NOT_ALLOWED,
                None,
                403,
                "proxy_itself",
                "proxy.i2p is the proxy itself: its pages are for programs that use it as an HTTP proxy, over http:// without a tunnel",
            ),
            Self::OutproxiesUnknown => (
                Code::HOST_UNREACHABLE,
                None,
                502,
                "outproxies_unknown",
                "the names of the route's outproxies are in no address book: see at under [[outproxy]]",
            ),
            Self::Stopping => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "stopping",
                "the proxy stopped while the request was waiting",
            ),
        };
        let extended = extended.unwrap_or(socks5);
        FailureRow {
            socks5,
            extended,
            socks4: v4::ReplyCode::REJECTED,
            http,
            connect: self.connect_error(),
            label,
            log,
        }
    }

    /// What connect(2) reports: a refusal or silence of the far end, a rule of this side, or that nothing leads there now.
    fn connect_error(self) -> ConnectError {
        match self {
            Self::Refused => ConnectError::Refused,
            Self::TimedOut => ConnectError::TimedOut,
            Self::NotAllowed
            | Self::LocalHost
            | Self::RouteRejects
            | Self::CommandNotSupported
            | Self::ProtocolNotAllowed
            | Self::LeakGuard
            | Self::ProxyItself => ConnectError::Denied,
            Self::MalformedName
            | Self::NameUnknown
            | Self::NameReserved
            | Self::Unreachable
            | Self::RouterUnavailable
            | Self::NoTunnels
            | Self::SessionRefused
            | Self::TooManySessions
            | Self::SessionShare
            | Self::RouterError
            | Self::WrongDestination
            | Self::VirtualAddressUnknown
            | Self::NoVirtualAddress
            | Self::AddressTypeNotSupported
            | Self::ClientKeyMissing
            | Self::OutproxiesFailed
            | Self::TooManyConnections
            | Self::NoSocket
            | Self::BadAnswer
            | Self::AnswerBrokeOff
            | Self::PasswordAsked
            | Self::Stopping
            | Self::OutproxiesUnknown => ConnectError::HostUnreachable,
        }
    }
}

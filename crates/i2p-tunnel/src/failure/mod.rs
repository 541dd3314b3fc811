//! What can fail, and what that is called: reply codes, statuses, words for the log, labels, advice.
//!
//! Imports nothing of this crate.

mod hints;

use socks_wire::{v4, v5};

/// Why a request failed: what happened, not what the client is told. [`Failure::row`] says the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The host is no name and no address.
    MalformedName,
    /// The name is in no address book that was asked.
    NameUnknown,
    /// The destination's lease set was not found, or nothing answers there.
    Unreachable,
    /// The destination did not answer in time.
    TimedOut,
    /// The destination was reached and did not take the stream.
    Refused,
    /// Not I2P: a clear-net host, or an IP address that stands for no name.
    NotAllowed,
    /// No router, or no session at it.
    RouterUnavailable,
    /// The router builds tunnels, and has not come to an end within the limit.
    NoTunnels,
    /// The router is there and does not give us a session.
    SessionRefused,
    /// All sessions are in use by clients that this one must not share with.
    TooManySessions,
    /// The router failed at it and did not say more.
    RouterError,
    /// A command that nobody knows, or that the tunnel does not allow: BIND, UDP ASSOCIATE.
    CommandNotSupported,
    /// A virtual address that this client was not given, or that has expired.
    VirtualAddressUnknown,
    /// A name has no virtual address and gets none: all are in use, or there is no range that the client's protocol can use.
    NoVirtualAddress,
    /// A name where only an address can be, or an IPv6 address that SOCKS4 has no form for.
    AddressTypeNotSupported,
    /// The destination cannot be reached, and its address says that it takes only clients with a key. Whether the router has
    /// one it does not say.
    ClientKeyMissing,
    /// A way out of I2P is configured for it, and none of its outproxies connected.
    OutproxiesFailed,
    /// There are as many connections as there may be.
    TooManyConnections,
    /// The tunnel does not serve the client's protocol.
    ProtocolNotAllowed,
    /// The system gives no socket for the client's datagrams.
    NoSocket,
}

/// What a failure becomes: a row of the failure table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRow {
    /// REP of SOCKS5.
    pub socks5: v5::ReplyCode,
    /// REP of SOCKS5 for clients that understand more than RFC 1928: a code of Tor's (proposal 304) where one fits.
    pub extended: v5::ReplyCode,
    /// CD of SOCKS4 and 4a.
    pub socks4: v4::ReplyCode,
    /// The status of an answer to HTTP CONNECT (RFC 9110 section 15).
    pub http: u16,
    /// What it is called where it is counted: letters and underscores.
    pub label: &'static str,
    /// The log's words. They name no target.
    pub log: &'static str,
}

impl Failure {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 20] = [
        Self::MalformedName,
        Self::NameUnknown,
        Self::Unreachable,
        Self::TimedOut,
        Self::Refused,
        Self::NotAllowed,
        Self::RouterUnavailable,
        Self::NoTunnels,
        Self::SessionRefused,
        Self::TooManySessions,
        Self::RouterError,
        Self::CommandNotSupported,
        Self::VirtualAddressUnknown,
        Self::NoVirtualAddress,
        Self::AddressTypeNotSupported,
        Self::ClientKeyMissing,
        Self::OutproxiesFailed,
        Self::TooManyConnections,
        Self::ProtocolNotAllowed,
        Self::NoSocket,
    ];

    /// The failure table.
    #[must_use]
    pub fn row(self) -> FailureRow {
        use v5::ReplyCode as Code;
        // SOCKS5, Tor's extension of it where there is one, HTTP, the label, the log.
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
            Self::RouterUnavailable => {
                (Code::GENERAL_FAILURE, None, 503, "router_unavailable", "the I2P router is not available")
            }
            Self::NoTunnels => (
                Code::NETWORK_UNREACHABLE,
                None,
                503,
                "no_tunnels",
                "the I2P router has no tunnels for us yet",
            ),
            Self::SessionRefused => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "session_refused",
                "the I2P router does not give us a session",
            ),
            Self::TooManySessions => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "too_many_sessions",
                "all I2P sessions are in use by clients that are kept apart: raise max-sessions, or isolate by less",
            ),
            Self::RouterError => (
                Code::GENERAL_FAILURE,
                None,
                502,
                "router_error",
                "the I2P router failed and did not say why",
            ),
            Self::CommandNotSupported => (
                Code::COMMAND_NOT_SUPPORTED,
                None,
                501,
                "command_not_supported",
                "the command is none that there is, or the tunnel does not allow it: see its udp and incoming",
            ),
            Self::VirtualAddressUnknown => (
                Code::HOST_UNREACHABLE,
                None,
                404,
                "virtual_address_unknown",
                "a virtual address that this client was not given, or that has expired",
            ),
            Self::NoVirtualAddress => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "no_virtual_address",
                "no virtual address is left for a name: raise max, or give a range, under [virtual-addresses]",
            ),
            Self::AddressTypeNotSupported => (
                Code::ADDRESS_TYPE_NOT_SUPPORTED,
                None,
                400,
                "address_type_not_supported",
                "the command is not for addresses of this kind",
            ),
            Self::ClientKeyMissing => (
                Code::HOST_UNREACHABLE,
                Some(Code::MISSING_AUTHORIZATION),
                502,
                "client_key_missing",
                "the destination cannot be reached; it takes only clients with a key, which the router may not have",
            ),
            Self::OutproxiesFailed => {
                (Code::HOST_UNREACHABLE, None, 502, "outproxies_failed", "no outproxy of the route connected")
            }
            Self::TooManyConnections => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "too_many_connections",
                "there are as many connections as [limits] allows",
            ),
            Self::ProtocolNotAllowed => (
                Code::NOT_ALLOWED,
                None,
                403,
                "protocol_not_allowed",
                "the tunnel does not serve this protocol: see its protocols",
            ),
            Self::NoSocket => (
                Code::GENERAL_FAILURE,
                None,
                503,
                "no_socket",
                "the system gives no socket for datagrams: see the limit of open files",
            ),
        };
        let extended = extended.unwrap_or(socks5);
        FailureRow { socks5, extended, socks4: v4::ReplyCode::REJECTED, http, label, log }
    }
}

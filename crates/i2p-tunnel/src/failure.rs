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
    /// A command other than CONNECT, RESOLVE and RESOLVE_PTR.
    CommandNotSupported,
    /// A virtual address that this client was not given, or that has expired.
    VirtualAddressUnknown,
    /// A name has no virtual address and gets none: all are in use, or there is no range that the client's protocol can use.
    NoVirtualAddress,
    /// A name where only an address can be, or an IPv6 address that SOCKS4 has no form for.
    AddressTypeNotSupported,
}

/// What a failure becomes: a row of the failure table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// REP of SOCKS5.
    pub socks5: v5::ReplyCode,
    /// CD of SOCKS4 and 4a.
    pub socks4: v4::ReplyCode,
    /// The log's words. They name no target.
    pub log: &'static str,
}

impl Failure {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 15] = [
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
    ];

    /// The failure table.
    #[must_use]
    pub fn row(self) -> Row {
        let (socks5, log) = match self {
            Self::MalformedName => (v5::ReplyCode::GENERAL_FAILURE, "the host name is malformed"),
            Self::NameUnknown => (v5::ReplyCode::HOST_UNREACHABLE, "the name is in no address book"),
            Self::Unreachable => (v5::ReplyCode::HOST_UNREACHABLE, "the destination cannot be reached"),
            Self::TimedOut => (v5::ReplyCode::TTL_EXPIRED, "the destination did not answer in time"),
            Self::Refused => (v5::ReplyCode::CONNECTION_REFUSED, "the destination refused the stream"),
            Self::NotAllowed => {
                (v5::ReplyCode::NOT_ALLOWED, "not an I2P name, and there is no other way out")
            }
            Self::RouterUnavailable => (v5::ReplyCode::GENERAL_FAILURE, "the I2P router is not available"),
            Self::NoTunnels => {
                (v5::ReplyCode::NETWORK_UNREACHABLE, "the I2P router has no tunnels for us yet")
            }
            Self::SessionRefused => {
                (v5::ReplyCode::GENERAL_FAILURE, "the I2P router does not give us a session")
            }
            Self::TooManySessions => (
                v5::ReplyCode::GENERAL_FAILURE,
                "all I2P sessions are in use by clients that are kept apart: raise max-sessions, or isolate by less",
            ),
            Self::RouterError => {
                (v5::ReplyCode::GENERAL_FAILURE, "the I2P router failed and did not say why")
            }
            Self::CommandNotSupported => {
                (v5::ReplyCode::COMMAND_NOT_SUPPORTED, "only CONNECT, RESOLVE and RESOLVE_PTR are supported")
            }
            Self::VirtualAddressUnknown => (
                v5::ReplyCode::HOST_UNREACHABLE,
                "a virtual address that this client was not given, or that has expired",
            ),
            Self::NoVirtualAddress => (
                v5::ReplyCode::GENERAL_FAILURE,
                "no virtual address is left for a name: raise max, or give a range, under [virtual-addresses]",
            ),
            Self::AddressTypeNotSupported => {
                (v5::ReplyCode::ADDRESS_TYPE_NOT_SUPPORTED, "the command is not for addresses of this kind")
            }
        };
        Row { socks5, socks4: v4::ReplyCode::REJECTED, log }
    }
}

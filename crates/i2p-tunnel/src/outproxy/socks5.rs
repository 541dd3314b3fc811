//! Connecting through an outproxy that speaks SOCKS5.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use socks_wire::{
    Address, ClientError, ClientRequest, Command, Protocol,
    auth::Credentials,
    stream::{self, ConnectError, Connected},
    v5::ReplyCode,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::fault::{OutproxyFailure, OutproxyFault};
use crate::{failure::Failure, route::OutsideHost};

/// Sends CONNECT and waits for the reply. Returns the data that follows the reply. A host name is sent as a name: the outproxy
/// resolves it.
pub(super) async fn connect(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    (host, port): (OutsideHost<'_>, u16),
    credentials: Option<(&str, &str)>,
) -> Result<Vec<u8>, OutproxyFailure> {
    let address = address(host).ok_or(OutproxyFailure::Declined)?;
    let request = request(Command::CONNECT, address, port, credentials);
    // The caller has a limit for the whole attempt.
    match stream::connect(socket, request, Duration::MAX).await {
        Ok(connected) => Ok(connected.early_data),
        Err(error) => Err(failure_of(&error)),
    }
}

/// Asks for a relay for datagrams. The request does not say where the datagrams will come from: servers handle this form best,
/// and it works behind NAT.
pub(super) async fn udp_associate(
    outproxy: TcpStream,
    by_ipv4: bool,
    credentials: Option<(&str, &str)>,
) -> Result<Connected<TcpStream>, ConnectError> {
    let anywhere: IpAddr = if by_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let request = request(Command::UDP_ASSOCIATE, Address::Ip(anywhere), 0, credentials);
    // The caller has a limit for the whole attempt.
    stream::connect(outproxy, request, Duration::MAX).await
}

/// Converts a host to a SOCKS5 address.
pub(super) fn address(host: OutsideHost<'_>) -> Option<Address<'_>> {
    host.name().map(|name| Address::Domain(name.as_bytes())).or(host.address().map(Address::Ip))
}

fn request<'a>(
    command: Command,
    address: Address<'a>,
    port: u16,
    credentials: Option<(&'a str, &'a str)>,
) -> ClientRequest<'a> {
    let credentials = credentials.map(|(username, password)| Credentials {
        username: username.as_bytes(),
        password: password.as_bytes(),
    });
    ClientRequest { protocol: Protocol::Socks5, command, address, port, credentials }
}

pub(super) fn failure_of(error: &ConnectError) -> OutproxyFailure {
    use OutproxyFault as Fault;
    match error {
        ConnectError::Handshake(ClientError::Refused(code)) => failure_of_code(*code),
        ConnectError::Handshake(ClientError::CredentialsRefused | ClientError::NoAcceptableMethod) => {
            OutproxyFailure::Outproxy(Fault::Credentials)
        }
        ConnectError::Handshake(ClientError::Malformed(_) | ClientError::MethodNotOffered(_)) => {
            OutproxyFailure::Outproxy(Fault::Malformed)
        }
        ConnectError::Timeout => OutproxyFailure::Outproxy(Fault::TimedOut),
        ConnectError::Io(_) => OutproxyFailure::Outproxy(Fault::Closed),
        _ => OutproxyFailure::Declined,
    }
}

/// What a reply code means. Some codes do not tell whose fault it is: microsocks sends 01 for a name that does not resolve, and
/// Tor for a failed circuit; 02 is a rule of the outproxy; 03 and 08 are sent by an outproxy without IPv6.
fn failure_of_code(code: ReplyCode) -> OutproxyFailure {
    match code {
        ReplyCode::HOST_UNREACHABLE
        | ReplyCode::DESCRIPTOR_NOT_FOUND
        | ReplyCode::DESCRIPTOR_INVALID
        | ReplyCode::RENDEZVOUS_FAILED => OutproxyFailure::Target(Failure::Unreachable),
        ReplyCode::CONNECTION_REFUSED | ReplyCode::INTRODUCTION_FAILED => {
            OutproxyFailure::Target(Failure::Refused)
        }
        ReplyCode::TTL_EXPIRED | ReplyCode::INTRODUCTION_TIMED_OUT => {
            OutproxyFailure::Target(Failure::TimedOut)
        }
        ReplyCode::MISSING_AUTHORIZATION | ReplyCode::WRONG_AUTHORIZATION => {
            OutproxyFailure::Target(Failure::ClientKeyMissing)
        }
        ReplyCode::INVALID_ADDRESS => OutproxyFailure::Target(Failure::MalformedName),
        // It is probably no proxy for CONNECT.
        ReplyCode::COMMAND_NOT_SUPPORTED => OutproxyFailure::Request(OutproxyFault::Malformed),
        _ => OutproxyFailure::Declined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_code_has_its_failure() {
        for (code, expected) in [
            (1, OutproxyFailure::Declined),
            (2, OutproxyFailure::Declined),
            (3, OutproxyFailure::Declined),
            (4, OutproxyFailure::Target(Failure::Unreachable)),
            (5, OutproxyFailure::Target(Failure::Refused)),
            (6, OutproxyFailure::Target(Failure::TimedOut)),
            (7, OutproxyFailure::Request(OutproxyFault::Malformed)),
            (8, OutproxyFailure::Declined),
            (0x5b, OutproxyFailure::Declined),
            (0xf0, OutproxyFailure::Target(Failure::Unreachable)),
            (0xf1, OutproxyFailure::Target(Failure::Unreachable)),
            (0xf2, OutproxyFailure::Target(Failure::Refused)),
            (0xf3, OutproxyFailure::Target(Failure::Unreachable)),
            (0xf4, OutproxyFailure::Target(Failure::ClientKeyMissing)),
            (0xf5, OutproxyFailure::Target(Failure::ClientKeyMissing)),
            (0xf6, OutproxyFailure::Target(Failure::MalformedName)),
            (0xf7, OutproxyFailure::Target(Failure::TimedOut)),
        ] {
            assert_eq!(failure_of_code(ReplyCode(code)), expected, "{code:#x}");
        }
    }
}

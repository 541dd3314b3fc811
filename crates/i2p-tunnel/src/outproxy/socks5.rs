//! An outproxy that speaks SOCKS5.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use socks_wire::{
    Address, ClientError, ClientRequest, Command, Protocol,
    auth::Credentials,
    stream::{ConnectError, Connected, connect},
    v5::ReplyCode,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::fault::{Fault, OutproxyTrouble};
use crate::{failure::Failure, route::OutsideHost};

/// Asks for a host; gives what came behind the reply. A name is sent as a name: the far end resolves it.
pub(super) async fn ask(
    line: impl AsyncRead + AsyncWrite + Unpin,
    (host, port): (OutsideHost<'_>, u16),
    credentials: Option<(&str, &str)>,
) -> Result<Vec<u8>, Fault> {
    let address = address(host).ok_or(Fault::Declined)?;
    let request = request(Command::CONNECT, address, port, credentials);
    // The caller's limit is for all of it.
    match connect(line, request, Duration::MAX).await {
        Ok(connected) => Ok(connected.early_data),
        Err(error) => Err(fault(&error)),
    }
}

/// Asks for a relay for datagrams. That nothing is said of where they will come from is what most servers know best, and
/// right behind an address translator too.
pub(super) async fn ask_for_relay(
    outproxy: TcpStream,
    by_ipv4: bool,
    credentials: Option<(&str, &str)>,
) -> Result<Connected<TcpStream>, ConnectError> {
    let anywhere: IpAddr = if by_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let request = request(Command::UDP_ASSOCIATE, Address::Ip(anywhere), 0, credentials);
    // The caller's limit is for all of it.
    connect(outproxy, request, Duration::MAX).await
}

/// A host as SOCKS5 has it.
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

pub(super) fn fault(error: &ConnectError) -> Fault {
    use OutproxyTrouble as Trouble;
    match error {
        ConnectError::Handshake(ClientError::Refused(code)) => refused(*code),
        ConnectError::Handshake(ClientError::CredentialsRefused | ClientError::NoAcceptableMethod) => {
            Fault::Outproxy(Trouble::Credentials)
        }
        ConnectError::Handshake(ClientError::Malformed(_) | ClientError::MethodNotOffered(_)) => {
            Fault::Outproxy(Trouble::Malformed)
        }
        ConnectError::Timeout => Fault::Outproxy(Trouble::TimedOut),
        ConnectError::Io(_) => Fault::Outproxy(Trouble::Closed),
        _ => Fault::Declined,
    }
}

/// What a reply means. Not known to be the target's doing are those that servers also give for troubles of their own: 01,
/// which microsocks says for a name that does not resolve and Tor for circuits that fail; 02, a rule of the outproxy's; 03 and
/// 08, what an outproxy without IPv6 says of it.
fn refused(code: ReplyCode) -> Fault {
    match code {
        ReplyCode::HOST_UNREACHABLE
        | ReplyCode::DESCRIPTOR_NOT_FOUND
        | ReplyCode::DESCRIPTOR_INVALID
        | ReplyCode::RENDEZVOUS_FAILED => Fault::Target(Failure::Unreachable),
        ReplyCode::CONNECTION_REFUSED | ReplyCode::INTRODUCTION_FAILED => Fault::Target(Failure::Refused),
        ReplyCode::TTL_EXPIRED | ReplyCode::INTRODUCTION_TIMED_OUT => Fault::Target(Failure::TimedOut),
        ReplyCode::MISSING_AUTHORIZATION | ReplyCode::WRONG_AUTHORIZATION => {
            Fault::Target(Failure::ClientKeyMissing)
        }
        ReplyCode::INVALID_ADDRESS => Fault::Target(Failure::MalformedName),
        // It does not do what it is there for.
        ReplyCode::COMMAND_NOT_SUPPORTED => Fault::Outproxy(OutproxyTrouble::Malformed),
        _ => Fault::Declined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_has_its_fault() {
        for (code, expected) in [
            (1, Fault::Declined),
            (2, Fault::Declined),
            (3, Fault::Declined),
            (4, Fault::Target(Failure::Unreachable)),
            (5, Fault::Target(Failure::Refused)),
            (6, Fault::Target(Failure::TimedOut)),
            (7, Fault::Outproxy(OutproxyTrouble::Malformed)),
            (8, Fault::Declined),
            (0x5b, Fault::Declined),
            (0xf0, Fault::Target(Failure::Unreachable)),
            (0xf1, Fault::Target(Failure::Unreachable)),
            (0xf2, Fault::Target(Failure::Refused)),
            (0xf3, Fault::Target(Failure::Unreachable)),
            (0xf4, Fault::Target(Failure::ClientKeyMissing)),
            (0xf5, Fault::Target(Failure::ClientKeyMissing)),
            (0xf6, Fault::Target(Failure::MalformedName)),
            (0xf7, Fault::Target(Failure::TimedOut)),
        ] {
            assert_eq!(refused(ReplyCode(code)), expected, "{code:#x}");
        }
    }
}

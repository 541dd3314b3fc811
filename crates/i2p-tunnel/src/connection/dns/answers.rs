//! The answers to queries, without sockets.

use std::net::IpAddr;

use dns_answers::{Answer, Family, Query, Question, Rejected};
use i2p_name::{AddressError, I2pName, NamedTarget, Target};
use socks_wire::stream::OwnedAddress;
use tokio::time::timeout;

use crate::{
    account::HandshakeFailure,
    client::{Client, ClientAddress, ClientCredentials, ClientProtocol},
    connection::service::Service,
    dial::Dial,
    failure::Failure,
    limits::Limit,
    names::{name_of, parse_target},
    stream::Stop,
};

/// What a query is answered with.
pub(super) enum Reply {
    /// Nothing.
    Nothing,
    /// These bytes.
    Now(Vec<u8>),
    /// An address, once it is known whether the name exists.
    AfterLookup(Lookup),
}

/// A name of I2P that is to be looked up.
pub(super) struct Lookup {
    query: Query,
    name: I2pName,
    family: Family,
}

/// What becomes of a question.
enum Outcome {
    Address(IpAddr),
    Name(String),
    NoData,
    /// The name does not exist. Every system asks for such names by itself, so they are no failures to report.
    Unknown(Failure),
    Failed(Failure),
}

/// Answers a message of a client, as far as nothing has to be looked up.
pub(super) fn reply<D: Dial>(message: &[u8], client: &Client, service: &Service<D>) -> Reply {
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(rejected) => {
            service.account.handshake_failed(HandshakeFailure::Refused);
            return match rejected {
                Rejected::Ignored => Reply::Nothing,
                Rejected::Answered(bytes) => Reply::Now(bytes),
            };
        }
    };
    let outcome = match query.question() {
        Question::Address { name, family } => match target(name, service) {
            Ok(_) if !has_family(client, *family) => Outcome::NoData,
            Ok(NamedTarget::I2p(name)) => {
                let family = *family;
                return Reply::AfterLookup(Lookup { query, name, family });
            }
            Ok(target) => address(&target, *family, client, service),
            Err(failure) => Outcome::Unknown(failure),
        },
        Question::Other { name } => match target(name, service) {
            Ok(_) => Outcome::NoData,
            Err(failure) => Outcome::Unknown(failure),
        },
        Question::Pointer(address) => pointer(*address, client, service),
        _ => Outcome::Unknown(Failure::NotAllowed),
    };
    Reply::Now(encode(&query, &outcome, service))
}

impl Lookup {
    /// Looks the name up as the client, and answers. If the proxy stops meanwhile, the answer is a failure.
    pub(super) async fn finish<D: Dial>(self, client: &Client, service: &Service<D>, stop: &Stop) -> Vec<u8> {
        let target = NamedTarget::I2p(self.name.clone());
        // The port is not known yet. A client that is isolated by it looks names up with an identity of their own.
        let key = service.sessions.key(client, &target.clone().into(), 0);
        let found = tokio::select! {
            found = timeout(service.limits.dial, service.dialler.lookup(&key, &self.name)) => {
                found.unwrap_or_else(|_| {
                    service.account.limit(Limit::Dial);
                    Err(Failure::TimedOut)
                })
            }
            () = stop.until_refusing() => Err(Failure::Stopping),
        };
        let outcome = match found {
            Ok(()) => address(&target, self.family, client, service),
            Err(failure) => Outcome::Failed(failure),
        };
        encode(&self.query, &outcome, service)
    }
}

/// The client of a query. A client is isolated in the same way when it connects, so that it finds there what it has looked up.
pub(super) fn client_of<D>(address: ClientAddress, service: &Service<D>) -> Client {
    let (address, listener) = service.gateway_client(address);
    Client { address, listener, protocol: ClientProtocol::Transparent, credentials: ClientCredentials::None }
}

/// What a name stands for, if requests for it can be granted.
fn target<D>(name: &[u8], service: &Service<D>) -> Result<NamedTarget, Failure> {
    let target = parse_target(&OwnedAddress::Domain(name.to_vec()))?;
    if !matches!(target, Target::I2p(_)) {
        service.routing.check_outside(&target)?;
    }
    match target {
        Target::I2p(name) => Ok(NamedTarget::I2p(name)),
        Target::ClearNet(host) => Ok(NamedTarget::ClearNet(host)),
        // The text of an address is no name.
        _ => Err(Failure::NotAllowed),
    }
}

/// Whether a client can use addresses of this family. It has to connect from the address that it asks from, since nothing else
/// identifies it, and so only to addresses of the same family. A user of this machine is identified by the kernel.
fn has_family(client: &Client, family: Family) -> bool {
    match client.address {
        ClientAddress::User(_) | ClientAddress::Contained(_) => true,
        ClientAddress::Ip(ip) | ClientAddress::Local { ip, .. } => ip.is_ipv4() == (family == Family::V4),
    }
}

fn address<D>(target: &NamedTarget, family: Family, client: &Client, service: &Service<D>) -> Outcome {
    let family = match family {
        Family::V4 => i2p_name::Family::V4,
        Family::V6 => i2p_name::Family::V6,
    };
    match service.addresses.address_of(&service.address_owner(client), target, family) {
        Ok(address) => Outcome::Address(address),
        Err(AddressError::NoRange) => Outcome::NoData,
        Err(_) => Outcome::Failed(Failure::NoVirtualAddress),
    }
}

fn pointer<D>(address: IpAddr, client: &Client, service: &Service<D>) -> Outcome {
    let name = name_of(address, &service.address_owner(client), &service.addresses);
    name.map_or_else(Outcome::Unknown, Outcome::Name)
}

/// Encodes an answer, and counts it.
fn encode<D>(query: &Query, outcome: &Outcome, service: &Service<D>) -> Vec<u8> {
    let account = &service.account;
    let ttl_seconds = u32::try_from(service.addresses.first_use_within().as_secs()).unwrap_or_default();
    match outcome {
        Outcome::Address(_) | Outcome::Name(_) | Outcome::NoData => account.succeeded(ClientProtocol::Dns),
        Outcome::Unknown(failure) => account.declined(ClientProtocol::Dns, *failure),
        Outcome::Failed(failure) => account.failed(ClientProtocol::Dns, *failure),
    }
    query.answer(match outcome {
        Outcome::Address(address) => Answer::Address { address: *address, ttl_seconds },
        Outcome::Name(name) => Answer::Name { name, ttl_seconds },
        Outcome::NoData => Answer::NoData,
        Outcome::Unknown(_)
        | Outcome::Failed(Failure::NameUnknown | Failure::NameReserved | Failure::MalformedName) => {
            Answer::NoSuchName
        }
        Outcome::Failed(_) => Answer::Failure,
    })
}

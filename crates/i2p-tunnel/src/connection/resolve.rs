//! RESOLVE and RESOLVE_PTR of Tor's SOCKS extensions (section 2), with virtual addresses instead of real ones.

use std::net::{IpAddr, Ipv4Addr};

use i2p_name::{Family, NamedTarget, Target};
use socks_wire::{
    Command, Protocol,
    stream::{OwnedAddress, OwnedRequest},
};

use super::service::Service;
use crate::{
    client::{Client, ClientAddress},
    dial::Dial,
    failure::Failure,
    names::{AddressOwner, AddressPool, name_of, parse_target},
};

/// Whether a command is one of these two.
pub(crate) fn is_resolve_command(command: Command) -> bool {
    matches!(command, Command::RESOLVE | Command::RESOLVE_PTR)
}

/// Returns the address or name for the reply.
pub(crate) async fn resolve<D: Dial>(
    request: &OwnedRequest,
    client: &Client,
    service: &Service<D>,
) -> Result<OwnedAddress, Failure> {
    match request.command {
        Command::RESOLVE => resolve_name(request, client, service).await.map(OwnedAddress::Ip),
        // SOCKS4 replies cannot hold a name.
        Command::RESOLVE_PTR if request.protocol == Protocol::Socks5 => {
            resolve_pointer(request, &service.address_owner(client), &service.addresses)
                .map(|name| OwnedAddress::Domain(name.into_bytes()))
        }
        _ => Err(Failure::CommandNotSupported),
    }
}

/// Handles RESOLVE. A name of I2P is looked up, so that a client gets an address only for a name that exists, as far as this can be
/// known without a connection. A host outside I2P gets one if a route leads there at some port: the outproxy looks it up.
async fn resolve_name<D: Dial>(
    request: &OwnedRequest,
    client: &Client,
    service: &Service<D>,
) -> Result<IpAddr, Failure> {
    let v4_only = request.protocol != Protocol::Socks5;
    let target = parse_target(&request.address)?;
    let key = service.sessions.key(client, &target, request.port);
    match target {
        Target::Ip(IpAddr::V6(_)) if v4_only => Err(Failure::AddressTypeNotSupported),
        Target::Ip(address) => Ok(address),
        Target::I2p(name) => {
            service.dialler.lookup(&key, &name).await?;
            virtual_address(&NamedTarget::I2p(name), v4_only, client, service)
        }
        Target::ClearNet(ref host) => {
            service.routing.check_outside(&target)?;
            virtual_address(&NamedTarget::ClearNet(host.clone()), v4_only, client, service)
        }
        _ => Err(Failure::NotAllowed),
    }
}

/// The address that stands for a name. Contained programs have addresses of their run, which are not kept here: they get one without a
/// meaning.
fn virtual_address<D>(
    target: &NamedTarget,
    v4_only: bool,
    client: &Client,
    service: &Service<D>,
) -> Result<IpAddr, Failure> {
    if matches!(client.address, ClientAddress::Contained(_)) {
        return Ok(Ipv4Addr::UNSPECIFIED.into());
    }
    let owner = service.address_owner(client);
    let of = |family| service.addresses.address_of(&owner, target, family);
    let address = match of(Family::V4) {
        Err(_) if !v4_only => of(Family::V6),
        address => address,
    };
    address.map_err(|_| Failure::NoVirtualAddress)
}

/// Handles RESOLVE_PTR. The address may also be given as text.
fn resolve_pointer(
    request: &OwnedRequest,
    owner: &AddressOwner,
    addresses: &AddressPool,
) -> Result<String, Failure> {
    let Target::Ip(address) = parse_target(&request.address)? else {
        return Err(Failure::AddressTypeNotSupported);
    };
    name_of(address, owner, addresses)
}

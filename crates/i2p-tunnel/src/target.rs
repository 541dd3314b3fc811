//! What a request is about, and whether there is a way to it. All that decides where a client gets is here.

use std::net::IpAddr;

use i2p_name::{I2pName, NameError, Target};
use socks_wire::stream::{OwnedAddress, OwnedRequest};

use crate::{AddressLease, AddressPool, Client, Failure};

/// What the request names: bytes of an address, or text of any kind.
pub(crate) fn named(request: &OwnedRequest) -> Result<Target, Failure> {
    let target = match &request.address {
        OwnedAddress::Ip(address) => Ok(Target::from_ip(*address)),
        OwnedAddress::Domain(name) => Target::parse(name),
    };
    target.map_err(|error| match error {
        // A number in disguise is an address as far as policy goes.
        NameError::NumericHost => Failure::NotAllowed,
        _ => Failure::MalformedName,
    })
}

/// What is to be dialled, if anything: I2P names, those behind virtual addresses among them, and nothing else. The lease
/// keeps the address what it is for as long as the stream lives.
pub(crate) fn dialled(
    request: &OwnedRequest,
    client: &Client,
    addresses: &AddressPool,
) -> Result<(I2pName, Option<AddressLease>), Failure> {
    match named(request)? {
        Target::I2p(name) => Ok((name, None)),
        Target::Ip(address) => {
            let (name, lease) =
                addresses.lease(client, address).ok_or_else(|| meaningless(address, addresses))?;
            Ok((name, Some(lease)))
        }
        _ => Err(Failure::NotAllowed),
    }
}

/// Why an address that means no name leads nowhere. One of ours has expired, or is another client's; whatever else becomes of
/// addresses, it is not for the network.
pub(crate) fn meaningless(address: IpAddr, addresses: &AddressPool) -> Failure {
    if addresses.is_virtual(address) { Failure::VirtualAddressUnknown } else { Failure::NotAllowed }
}

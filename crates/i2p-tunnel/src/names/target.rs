//! What a request is about, and whether there is a way to it. All that decides where a client gets is here.

use std::{fmt, net::IpAddr};

use i2p_name::{NameError, Target};
use socks_wire::stream::OwnedAddress;

use super::addresses::{AddressLease, AddressPool};
use crate::{client::Client, failure::Failure};

/// A target as people write it. Whoever shows it has to say that it is [`Sensitive`](crate::Sensitive).
pub(crate) struct Shown<'a>(pub(crate) &'a Target);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::I2p(name) => name.fmt(f),
            Target::ClearNet(host) => f.write_str(host.as_str()),
            Target::Ip(address) => address.fmt(f),
            _ => f.write_str("?"),
        }
    }
}

/// What the request names: bytes of an address, or text of any kind.
pub(crate) fn named(address: &OwnedAddress) -> Result<Target, Failure> {
    let target = match address {
        OwnedAddress::Ip(address) => Ok(Target::from_ip(*address)),
        OwnedAddress::Domain(name) => Target::parse(name),
    };
    target.map_err(|error| match error {
        // A number in disguise is an address as far as policy goes.
        NameError::NumericHost => Failure::NotAllowed,
        _ => Failure::MalformedName,
    })
}

/// What is to be dialled: what the request names, with the name in the place of a virtual address that stands for it. The
/// lease keeps the address what it is for as long as the stream lives.
///
/// No address of the virtual ranges comes out of here, whatever it means: none is ever sent to the internet.
pub(crate) fn dialled(
    address: &OwnedAddress,
    client: &Client,
    addresses: &AddressPool,
) -> Result<(Target, Option<AddressLease>), Failure> {
    let target = named(address)?;
    let Target::Ip(address) = target else { return Ok((target, None)) };
    match addresses.lease(client, address) {
        Some((target, lease)) => Ok((target.into(), Some(lease))),
        None if addresses.is_virtual(address) => Err(Failure::VirtualAddressUnknown),
        None => Ok((target, None)),
    }
}

/// Why an address means no name. One of ours has expired, or is another client's; of others nobody here knows a name.
pub(crate) fn meaningless(address: IpAddr, addresses: &AddressPool) -> Failure {
    if addresses.is_virtual(address) { Failure::VirtualAddressUnknown } else { Failure::NotAllowed }
}

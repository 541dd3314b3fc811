//! The target of a request: parsing, and virtual addresses.

use std::{fmt, net::IpAddr};

use i2p_name::{I2pName, NameError, NamedTarget, Target};
use socks_wire::stream::OwnedAddress;

use super::addresses::{AddressLease, AddressOwner, AddressPool};
use crate::failure::Failure;

/// The name of the proxy itself. Address books must not contain it, so nobody else can have it.
pub(crate) const OWN_HOST: &str = "proxy.i2p";

/// Whether a host is the proxy itself, `proxy.i2p`, in any spelling. It is never looked up.
#[must_use]
pub fn is_own_host(host: &[u8]) -> bool {
    Target::parse(host).is_ok_and(|target| is_own(&target))
}

fn is_own(target: &Target) -> bool {
    matches!(target, Target::I2p(I2pName::Host(host)) if host.as_str() == OWN_HOST)
}

/// Displays a target as people write it. Wrap it in [`Sensitive`](crate::sensitive::Sensitive) before logging it.
pub(crate) struct DisplayTarget<'a>(pub(crate) &'a Target);

impl fmt::Display for DisplayTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::I2p(name) => name.fmt(f),
            Target::ClearNet(host) => f.write_str(host.as_str()),
            Target::Ip(address) => address.fmt(f),
            _ => f.write_str("?"),
        }
    }
}

/// Parses the address of a SOCKS request: the bytes of an IP address, or text of any kind.
pub(crate) fn parse_target(address: &OwnedAddress) -> Result<Target, Failure> {
    let target = match address {
        OwnedAddress::Ip(address) => Ok(Target::from_ip(*address)),
        OwnedAddress::Domain(name) => Target::parse(name),
    };
    if target.as_ref().is_ok_and(is_own) {
        return Err(Failure::ProxyItself);
    }
    target.map_err(|error| match error {
        // A numeric host, such as 2130706433, is an IP address in disguise.
        NameError::NumericHost => Failure::NotAllowed,
        _ => Failure::MalformedName,
    })
}

/// Parses the address of a request and replaces a virtual address by the target that it stands for. The lease keeps the virtual
/// address from expiring; hold it while the stream is open.
///
/// Never returns an address of the virtual ranges, so none can leave for the internet.
///
/// # Errors
/// The host is malformed or the proxy itself, or a virtual address stands for nothing of this owner's.
pub fn target_to_dial(
    address: &OwnedAddress,
    owner: &AddressOwner,
    addresses: &AddressPool,
) -> Result<(Target, Option<AddressLease>), Failure> {
    let target = parse_target(address)?;
    let Target::Ip(address) = target else { return Ok((target, None)) };
    match addresses.lease(owner, address) {
        Some((target, lease)) => Ok((target.into(), Some(lease))),
        None if addresses.is_virtual(address) => Err(Failure::VirtualAddressUnknown),
        None => Ok((target, None)),
    }
}

/// Returns the name that an address of this owner stands for, as an answer of DNS or SOCKS can hold it: of a destination, its hash.
///
/// # Errors
/// The address stands for nothing of this owner's.
pub fn name_of(address: IpAddr, owner: &AddressOwner, addresses: &AddressPool) -> Result<String, Failure> {
    match addresses.target_of(owner, address) {
        // A destination in base64 would not fit.
        Some(NamedTarget::I2p(I2pName::Destination(destination))) => Ok(destination.b32().to_string()),
        Some(target) => Ok(target.to_string()),
        // It has expired or belongs to another client.
        None if addresses.is_virtual(address) => Err(Failure::VirtualAddressUnknown),
        None => Err(Failure::NotAllowed),
    }
}

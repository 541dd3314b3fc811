use alloc::boxed::Box;
use core::{fmt, net::IpAddr};

use crate::{
    b32::{B32, SUFFIX},
    blinded::{self, BlindedName},
    destination::{Destination, MAX_BASE64_LENGTH, MIN_BASE64_LENGTH},
    error::NameError,
    host::{ClearNetHost, HostName},
    international, ip,
};

/// Bytes of the longest host that is not a destination: the DOMAIN of SOCKS5 (RFC 1928 section 5).
const MAX_NAME_BYTES: usize = 255;

/// The host that a client asked for, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Target {
    /// A destination on the I2P network.
    I2p(I2pName),
    /// A host name outside I2P.
    ClearNet(ClearNetHost),
    /// An IP address.
    Ip(IpAddr),
}

impl Target {
    /// Parses the host that a client sent: the bytes as received, without a port.
    ///
    /// International names become ASCII (feature `idna`). Upper case becomes lower case; one trailing dot and `.alt` after
    /// `.i2p` (RFC 9476) are removed. IPv6 addresses may have brackets. After that, a host that ends in `.i2p` is
    /// [`Target::I2p`] or an error, and a host that ends in a number is [`Target::Ip`] or an error: neither is ever
    /// [`Target::ClearNet`]. Nor is a host that only looks as if it ended in `.i2p`: it is an error.
    ///
    /// # Errors
    /// [`NameError`] when the host is none of the three.
    pub fn parse(host: &[u8]) -> Result<Self, NameError> {
        let text = printable(host)?;
        if text.len() >= MIN_BASE64_LENGTH && text.is_ascii() && !text.contains('.') {
            return text.parse().map(|destination| Self::I2p(I2pName::Destination(Box::new(destination))));
        }
        within_limit(text)?;
        // From here on, an international name is treated like its ASCII form.
        let ascii = international::to_ascii(text)?;
        let text = within_limit(&ascii)?;
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let name = match name.strip_suffix(".alt") {
            Some(rest) if is_i2p(rest) => rest,
            _ => name,
        };
        if is_i2p(name) {
            return I2pName::from_canonical(name).map(Self::I2p);
        }
        if let Some(address) = ip::parse(name)? {
            return Ok(Self::Ip(address));
        }
        ClearNetHost::from_canonical(name).map(Self::ClearNet)
    }

    /// Makes the target of a binary address. An IPv4 address embedded in an IPv6 address becomes IPv4.
    #[must_use]
    pub fn from_ip(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ip(address),
            IpAddr::V6(v6) => Self::Ip(ip::unmap(v6)),
        }
    }
}

/// Whether a name is in the I2P pseudo top-level domain. `i2p` and `.i2p` are in it too, as malformed names.
fn is_i2p(name: &str) -> bool {
    name == "i2p" || name.ends_with(".i2p")
}

/// Checks that the text is not empty and not too long for a host that is not a destination.
fn within_limit(text: &str) -> Result<&str, NameError> {
    match text.len() {
        // Empty once invisible characters, such as soft hyphens, are removed.
        0 => Err(NameError::Empty),
        length if length > MAX_NAME_BYTES => Err(NameError::TooLong { length, limit: MAX_NAME_BYTES }),
        _ => Ok(text),
    }
}

/// Checks that the host is UTF-8 without blanks, control characters, quotes and other bytes that no host contains.
fn printable(host: &[u8]) -> Result<&str, NameError> {
    if host.is_empty() {
        return Err(NameError::Empty);
    }
    if host.len() > MAX_BASE64_LENGTH {
        return Err(NameError::TooLong { length: host.len(), limit: MAX_BASE64_LENGTH });
    }
    for (position, &byte) in host.iter().enumerate() {
        if matches!(byte, b'"' | b'\\' | b'/' | b'@' | b'\'' | ..=0x20 | 0x7f) {
            return Err(NameError::ForbiddenByte { byte, position });
        }
    }
    core::str::from_utf8(host).map_err(|error| NameError::NotUtf8 { position: error.valid_up_to() })
}

/// A target with a name: any [`Target`] that is not an IP address. It is what a
/// [virtual address](crate::VirtualAddresses) stands for.
///
/// `Debug` never shows the name; `Display` does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamedTarget {
    /// A destination on the I2P network.
    I2p(I2pName),
    /// A host name outside I2P.
    ClearNet(ClearNetHost),
}

impl fmt::Display for NamedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I2p(name) => name.fmt(f),
            Self::ClearNet(host) => f.write_str(host.as_str()),
        }
    }
}

impl From<I2pName> for NamedTarget {
    fn from(name: I2pName) -> Self {
        Self::I2p(name)
    }
}

impl From<ClearNetHost> for NamedTarget {
    fn from(host: ClearNetHost) -> Self {
        Self::ClearNet(host)
    }
}

impl From<NamedTarget> for Target {
    fn from(target: NamedTarget) -> Self {
        match target {
            NamedTarget::I2p(name) => Self::I2p(name),
            NamedTarget::ClearNet(host) => Self::ClearNet(host),
        }
    }
}

/// A name of a destination. Routers understand its text form, which cannot break out of a SAM line.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum I2pName {
    /// A host name, which an address book resolves.
    Host(HostName),
    /// The hash of the destination.
    B32(B32),
    /// The public key of an encrypted lease set.
    Blinded(BlindedName),
    /// The destination itself.
    Destination(Box<Destination>),
}

impl I2pName {
    /// Parses every spelling that [`Target::parse`] accepts.
    ///
    /// # Errors
    /// [`NameError`] when the name is malformed or not in I2P.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match Target::parse(text.as_bytes())? {
            Target::I2p(name) => Ok(name),
            _ => Err(NameError::MalformedHost("it does not end in .i2p")),
        }
    }

    /// Checks that a destination which was looked up by this name can be the one that the name stands for: its hash, its signing
    /// key or all of it is in the name. A host name says nothing of its destination, so any destination passes.
    #[must_use]
    pub fn allows(&self, destination: &Destination) -> bool {
        match self {
            Self::Host(_) => true,
            Self::B32(b32) => *b32 == destination.b32(),
            Self::Blinded(name) => name.is_of(destination),
            Self::Destination(own) => **own == *destination,
        }
    }

    fn from_canonical(name: &str) -> Result<Self, NameError> {
        match name.strip_suffix(SUFFIX) {
            Some(label) if label.contains('.') => {
                Err(NameError::MalformedHost("a base32 address has no subdomains"))
            }
            Some(label) if label.len() == blinded::LABEL_LENGTH => {
                BlindedName::from_label(label).map(Self::Blinded)
            }
            Some(label) => B32::from_label(label).map(Self::B32),
            None if !name.contains('.') => Err(NameError::MalformedHost("i2p alone is not a host")),
            None => HostName::from_canonical(name).map(Self::Host),
        }
    }
}

impl fmt::Display for I2pName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => f.write_str(host.as_str()),
            Self::B32(b32) => b32.fmt(f),
            Self::Blinded(name) => name.fmt(f),
            Self::Destination(destination) => f.write_str(&destination.to_base64()),
        }
    }
}

/// Shows the kind only: names do not belong in logs.
impl fmt::Debug for I2pName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host(_) => "I2pName::Host(..)",
            Self::B32(_) => "I2pName::B32(..)",
            Self::Blinded(_) => "I2pName::Blinded(..)",
            Self::Destination(_) => "I2pName::Destination(..)",
        })
    }
}

impl From<Destination> for I2pName {
    fn from(destination: Destination) -> Self {
        Self::Destination(Box::new(destination))
    }
}

impl From<HostName> for I2pName {
    fn from(host: HostName) -> Self {
        Self::Host(host)
    }
}

impl From<B32> for I2pName {
    fn from(b32: B32) -> Self {
        Self::B32(b32)
    }
}

use alloc::string::String;
use core::{fmt, str::FromStr};

use crate::{B32, I2pName, NameError, Target, b32::SUFFIX};

/// Longest host name of the I2P address book, `.i2p` included.
const MAX_I2P: usize = 67;
/// Longest DNS name.
const MAX_CLEAR_NET: usize = 253;

/// Labels before `.i2p` that no subscription may give away.
const RESERVED: [&str; 4] = ["proxy", "router", "console", "mail"];

/// The name of an I2P destination in an address book, such as `example.i2p`.
///
/// Lower case; letters, digits, dots and hyphens; the rules of the I2P naming document: no empty label, no
/// hyphen at either end of a label, `--` only in `xn--` labels, at most 67 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// The name, with `.i2p`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an address book may take this name from somebody else: the rules of the naming document that hold for
    /// import and not for lookup.
    ///
    /// # Errors
    /// [`ImportRefusal`] when it may not.
    pub fn may_be_imported(&self) -> Result<(), ImportRefusal> {
        let name = self.0.strip_suffix(".i2p").unwrap_or(&self.0);
        let last = name.rsplit('.').next().unwrap_or(name);
        if RESERVED.contains(&last) {
            return Err(ImportRefusal::Reserved);
        }
        // The whole name and no subdomain of it, as Java I2P has it.
        if name.parse::<B32>().is_ok() {
            return Err(ImportRefusal::LooksLikeBase32);
        }
        Ok(())
    }

    /// From text in lower case that ends in `.i2p` and not in `.b32.i2p`.
    pub(crate) fn from_canonical(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_I2P {
            return Err(NameError::TooLong { length: text.len(), limit: MAX_I2P });
        }
        for label in text.split('.') {
            check_label(label, false)?;
        }
        // Routers look for these letters anywhere in a name, ended by a dot or not, and would take what stands before
        // them for a hash.
        if text.contains(SUFFIX) || text.starts_with("b32.i2p.") || text == "b32.i2p" {
            return Err(NameError::MalformedHost("b32.i2p stands within the name"));
        }
        Ok(Self(text.into()))
    }
}

/// Why an address book must not take a name from somebody else (naming document, "Naming Rules";
/// `addressbook/AddressBook.isValidKey` of Java I2P).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportRefusal {
    /// `proxy.i2p`, `router.i2p`, `console.i2p`, `mail.i2p` and names below them belong to the router itself.
    #[error("the name is reserved for the router itself")]
    Reserved,
    /// `<52 characters of base32>.i2p`, which a hurried reader takes for an address by hash.
    #[error("the name looks like a base32 address without being one")]
    LooksLikeBase32,
}

impl FromStr for HostName {
    type Err = NameError;

    /// From text in any spelling that [`Target::parse`] understands.
    fn from_str(text: &str) -> Result<Self, NameError> {
        match Target::parse(text.as_bytes())? {
            Target::I2p(I2pName::Host(host)) => Ok(host),
            _ => Err(NameError::MalformedHost("it is not a name of the form example.i2p")),
        }
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostName(..)")
    }
}

/// A host name outside I2P, in lower case and without a trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClearNetHost(String);

impl ClearNetHost {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From text in lower case. Underscores are allowed: they exist in the DNS.
    pub(crate) fn from_canonical(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_CLEAR_NET {
            return Err(NameError::TooLong { length: text.len(), limit: MAX_CLEAR_NET });
        }
        for label in text.split('.') {
            check_label(label, true)?;
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for ClearNetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearNetHost(..)")
    }
}

fn check_label(label: &str, clear_net: bool) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::MalformedHost("a label is empty"));
    }
    if label.len() > 63 {
        return Err(NameError::MalformedHost("a label is longer than 63 characters"));
    }
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (clear_net && c == '_');
    if !label.chars().all(known) {
        return Err(NameError::MalformedHost("a character is not a letter, a digit or a hyphen"));
    }
    if clear_net {
        return Ok(());
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::MalformedHost("a label starts or ends with a hyphen"));
    }
    if label.contains("--") && !label.starts_with("xn--") {
        return Err(NameError::MalformedHost("two hyphens in a row outside an xn-- label"));
    }
    Ok(())
}

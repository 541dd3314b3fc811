use alloc::string::String;
use core::{fmt, str::FromStr};

use crate::{
    b32::{B32, SUFFIX},
    disguise::refuse_disguised,
    error::NameError,
    target::{I2pName, Target},
};

/// Bytes of the longest host name in an I2P address book, `.i2p` included.
const MAX_I2P_HOST_BYTES: usize = 67;
/// Bytes of the longest DNS name.
const MAX_DNS_NAME_BYTES: usize = 253;
/// Bytes of the longest label.
const MAX_LABEL_BYTES: usize = 63;

/// Labels before `.i2p` that belong to the router: address books must not import them.
const RESERVED_LABELS: [&str; 4] = ["proxy", "router", "console", "mail"];

/// The name of an I2P destination in an address book, such as `example.i2p`.
///
/// It consists of lower-case letters, digits, dots and hyphens and follows the rules of the I2P naming document: no empty
/// label, no hyphen at either end of a label, `--` only in `xn--` labels, at most 67 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// The name, with `.i2p`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks whether an address book may import this name: the rules of the naming document that hold for import and not
    /// for lookup.
    ///
    /// # Errors
    /// [`ImportRefusal`]: the rule that forbids it.
    pub fn check_importable(&self) -> Result<(), ImportRefusal> {
        let name = self.0.strip_suffix(".i2p").unwrap_or(&self.0);
        let last = name.rsplit('.').next().unwrap_or(name);
        if RESERVED_LABELS.contains(&last) {
            return Err(ImportRefusal::Reserved);
        }
        // Only the whole name counts, not a label of it, as in Java I2P.
        if name.parse::<B32>().is_ok() {
            return Err(ImportRefusal::LooksLikeBase32);
        }
        Ok(())
    }

    /// Parses text in lower case that ends in `.i2p` and not in `.b32.i2p`.
    pub(crate) fn from_canonical(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_I2P_HOST_BYTES {
            return Err(NameError::TooLong { length: text.len(), limit: MAX_I2P_HOST_BYTES });
        }
        for label in text.split('.') {
            check_i2p_label(label)?;
        }
        // Routers search for `.b32.i2p` anywhere in a name, even without a dot after it, and would read the text before it
        // as a hash.
        if text.contains(SUFFIX) || text.starts_with("b32.i2p.") || text == "b32.i2p" {
            return Err(NameError::MalformedHost("b32.i2p stands within the name"));
        }
        Ok(Self(text.into()))
    }
}

/// Why an address book must not import a name (naming document, "Naming Rules";
/// `addressbook/AddressBook.isValidKey` of Java I2P).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportRefusal {
    /// `proxy.i2p`, `router.i2p`, `console.i2p`, `mail.i2p` and their subdomains belong to the router itself.
    #[error(
        "the name is reserved: proxy.i2p, router.i2p, console.i2p, mail.i2p and the names below them stand for the router or the proxy"
    )]
    Reserved,
    /// `<52 characters of base32>.i2p`, which a reader may mistake for a base32 address.
    #[error("the name looks like a base32 address but is not one")]
    LooksLikeBase32,
}

impl FromStr for HostName {
    type Err = NameError;

    /// Accepts every spelling that [`Target::parse`] accepts.
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
///
/// It neither ends in `.i2p` nor looks like a name that does: `example.i2p_`, `example.l2p` and `example.xn--i2p-` are errors
/// ([`NameError::LooksLikeI2p`] and [`NameError::International`]).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClearNetHost(String);

impl ClearNetHost {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses text in lower case. Underscores are allowed, as in the DNS.
    pub(crate) fn from_canonical(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_DNS_NAME_BYTES {
            return Err(NameError::TooLong { length: text.len(), limit: MAX_DNS_NAME_BYTES });
        }
        for label in text.split('.') {
            check_dns_label(label)?;
        }
        refuse_disguised(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for ClearNetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearNetHost(..)")
    }
}

/// Checks the rules of all labels: length and characters.
fn check_label(label: &str, is_allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::MalformedHost("a label is empty"));
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err(NameError::MalformedHost("a label is longer than 63 characters"));
    }
    if !label.chars().all(is_allowed) {
        return Err(NameError::MalformedHost("a character is not a letter, a digit or a hyphen"));
    }
    Ok(())
}

fn is_letter_digit_or_hyphen(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

/// Checks a label of a host outside I2P.
fn check_dns_label(label: &str) -> Result<(), NameError> {
    check_label(label, |c| is_letter_digit_or_hyphen(c) || c == '_')
}

/// Checks a label of a name in I2P.
fn check_i2p_label(label: &str) -> Result<(), NameError> {
    check_label(label, is_letter_digit_or_hyphen)?;
    if label.starts_with('-') || label.ends_with('-') {
        return Err(NameError::MalformedHost("a label starts or ends with a hyphen"));
    }
    if label.contains("--") && !label.starts_with("xn--") {
        return Err(NameError::MalformedHost("two hyphens in a row outside an xn-- label"));
    }
    Ok(())
}

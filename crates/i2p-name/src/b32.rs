use alloc::string::String;
use core::{fmt, str::FromStr};

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};

use crate::{destination::Destination, error::NameError};

/// The end of every base32 address.
pub(crate) const SUFFIX: &str = ".b32.i2p";
/// Characters of a plain base32 address before the suffix: 256 bits, five in each.
const LABEL_LENGTH: usize = 52;

/// RFC 4648 base32 in lower case, without padding. It checks trailing bits, which catches most typing errors in the last
/// character.
pub(crate) fn base32() -> Encoding {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    // The specification above is well-formed, so the fallback is never used.
    spec.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
}

/// A base32 address: the SHA-256 of a destination.
///
/// Prints as 52 lower-case characters and `.b32.i2p`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct B32([u8; 32]);

impl B32 {
    /// Computes the address of a destination.
    #[must_use]
    pub fn of(destination: &Destination) -> Self {
        Self(Sha256::digest(destination.as_bytes()).into())
    }

    /// Makes the address from the hash.
    #[must_use]
    pub const fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The SHA-256 of the destination.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 52 characters, without `.b32.i2p`.
    #[must_use]
    pub fn label(&self) -> String {
        base32().encode(&self.0)
    }

    /// Parses the text before `.b32.i2p`, which must be in lower case.
    pub(crate) fn from_label(label: &str) -> Result<Self, NameError> {
        if label.len() != LABEL_LENGTH {
            return Err(NameError::Base32Length(label.len()));
        }
        let bytes = base32().decode(label.as_bytes()).map_err(|_| NameError::Base32)?;
        bytes.try_into().map(Self).map_err(|_| NameError::Base32)
    }
}

impl fmt::Display for B32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.label())
    }
}

impl fmt::Debug for B32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("B32(..)")
    }
}

impl FromStr for B32 {
    type Err = NameError;

    /// Accepts upper and lower case, with or without `.b32.i2p`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.to_ascii_lowercase();
        Self::from_label(text.strip_suffix(SUFFIX).unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_and_hash_give_the_same_address() {
        let address = B32::from_hash([7; 32]);
        let text = address.to_string();
        assert_eq!(text.len(), 60);
        assert_eq!(text.parse::<B32>().unwrap(), address);
        assert_eq!(text.to_uppercase().parse::<B32>().unwrap(), address);
        assert_eq!(address.label().parse::<B32>().unwrap(), address);
    }

    #[test]
    fn the_last_character_is_a_or_q() {
        let zero = "a".repeat(52);
        assert_eq!(zero.parse::<B32>().unwrap(), B32::from_hash([0; 32]));
        let typo = alloc::format!("{}b", "a".repeat(51));
        assert_eq!(typo.parse::<B32>(), Err(NameError::Base32));
    }

    #[test]
    fn other_lengths_are_refused() {
        for length in [0, 1, 51, 53, 55, 56] {
            assert_eq!("a".repeat(length).parse::<B32>(), Err(NameError::Base32Length(length)));
        }
    }
}

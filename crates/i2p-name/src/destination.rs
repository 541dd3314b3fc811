use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use crate::{B32, NameError, base64};

/// 256 bytes of encryption key, 128 of signing key, and a certificate of three bytes and more.
const MIN_BYTES: usize = 387;
/// The shortest secret keys: 32 bytes of X25519, 20 of DSA.
const MIN_SECRET: usize = 52;
/// The longest that fits into one SAM line of 4,095 bytes, commands and keys around it included.
const MAX_BYTES: usize = 2_900;
/// Text shorter than this is never a destination.
pub(crate) const MIN_TEXT: usize = 516;
/// Text longer than this is not looked at.
pub(crate) const MAX_TEXT: usize = MAX_BYTES.div_ceil(3) * 4;

/// An I2P destination: the public keys of an endpoint and their certificate.
///
/// Holds the binary form (common structures, "Destination"): 387 bytes and more, ended by a certificate whose
/// length field matches. Keys inside are not checked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Vec<u8>);

impl Destination {
    /// From the binary form.
    ///
    /// # Errors
    /// [`NameError::DestinationLength`] when the certificate does not end where the bytes end.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NameError> {
        let length = bytes.len();
        let error = NameError::DestinationLength { length };
        let Some(&[high, low]) = bytes.get(MIN_BYTES - 2..MIN_BYTES) else { return Err(error) };
        let certificate = usize::from(u16::from_be_bytes([high, low]));
        if length != MIN_BYTES + certificate || length > MAX_BYTES {
            return Err(error);
        }
        Ok(Self(bytes))
    }

    /// The binary form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// I2P's base64, with padding, as routers write it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::encode(&self.0)
    }

    /// Its base32 address.
    #[must_use]
    pub fn b32(&self) -> B32 {
        B32::of(self)
    }

    /// The destination at the front of a SAM private key, which is a destination followed by secret keys
    /// (SAM v3, "Destination key generation").
    ///
    /// # Errors
    /// [`NameError::Base64`] or [`NameError::DestinationLength`].
    pub fn from_private_key(text: &str) -> Result<Self, NameError> {
        let mut bytes = decode(text)?;
        let error = NameError::DestinationLength { length: bytes.len() };
        let Some(&[high, low]) = bytes.get(MIN_BYTES - 2..MIN_BYTES) else { return Err(error) };
        let end = MIN_BYTES + usize::from(u16::from_be_bytes([high, low]));
        if bytes.len() < end + MIN_SECRET {
            return Err(error);
        }
        bytes.truncate(end);
        Self::from_bytes(bytes)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, NameError> {
    if text.len() > MAX_TEXT {
        return Err(NameError::TooLong { length: text.len(), limit: MAX_TEXT });
    }
    base64::decode(text)
}

impl FromStr for Destination {
    type Err = NameError;

    /// From I2P's base64, with or without padding.
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::from_bytes(decode(text)?)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// An Ed25519 destination in shape: key certificate of four bytes.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0x5a; 384];
        bytes.extend([5, 0, 4, 0, 7, 0, 4]);
        bytes
    }

    #[test]
    fn base64_round_trip_with_and_without_padding() {
        let destination = Destination::from_bytes(sample()).unwrap();
        let text = destination.to_base64();
        assert_eq!(text.len(), 524);
        assert_eq!(text.parse::<Destination>().unwrap(), destination);
        assert_eq!(text.trim_end_matches('=').parse::<Destination>().unwrap(), destination);
    }

    #[test]
    fn a_certificate_that_ends_elsewhere_is_refused() {
        let mut long = sample();
        long.push(0);
        assert_eq!(Destination::from_bytes(long), Err(NameError::DestinationLength { length: 392 }));
        let mut short = sample();
        short.pop();
        assert_eq!(Destination::from_bytes(short), Err(NameError::DestinationLength { length: 390 }));
        assert_eq!(Destination::from_bytes(vec![]), Err(NameError::DestinationLength { length: 0 }));
    }

    #[test]
    fn the_private_key_starts_with_the_destination() {
        let mut key = sample();
        key.extend([9; 256 + 32]);
        let text = base64::encode(&key);
        assert_eq!(Destination::from_private_key(&text).unwrap().as_bytes(), sample());
        let no_secret = base64::encode(&sample());
        assert!(Destination::from_private_key(&no_secret).is_err());
    }

    #[test]
    fn other_alphabets_are_refused() {
        let text = Destination::from_bytes(vec![0xff; 384].into_iter().chain([0, 0, 0]).collect()).unwrap();
        let standard = text.to_base64().replace('~', "/");
        assert_eq!(standard.parse::<Destination>(), Err(NameError::Base64));
    }
}

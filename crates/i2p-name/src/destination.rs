use alloc::{borrow::Cow, string::String, vec::Vec};
use core::{fmt, str::FromStr};

use zeroize::Zeroizing;

use crate::{
    b32::B32,
    base64,
    certificate::{Certificate, ENCRYPTION_FIELD_BYTES, SIGNING_FIELD_BYTES},
    error::NameError,
    key_type::{EncryptionType, SignatureType},
};

/// Bytes of keys and padding before the certificate.
const KEY_FIELDS_BYTES: usize = ENCRYPTION_FIELD_BYTES + SIGNING_FIELD_BYTES;
/// The length of the shortest secret keys: 32 bytes of X25519 and 20 of DSA.
const MIN_SECRET_BYTES: usize = 52;
/// The length of the longest destination that fits into one SAM line of 4,095 bytes with the command around it. Every key
/// type that exists or is proposed fits: the longest, ML-DSA-87, makes destinations of 2,855 bytes.
const MAX_BYTES: usize = 2_900;
/// Characters of the shortest destination in base64.
pub(crate) const MIN_BASE64_LENGTH: usize = 516;
/// Characters of the longest destination in base64. Longer text is not decoded.
pub(crate) const MAX_BASE64_LENGTH: usize = MAX_BYTES.div_ceil(3) * 4;

/// An I2P destination: the public keys of an endpoint and their certificate.
///
/// Holds the binary form (common structures, "Destination"): 387 to 2,900 bytes, which end with a certificate of the length
/// that its type and its key types require. Unknown types are kept as numbers. Whether the keys are points on their curves is
/// not checked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Vec<u8>);

impl Destination {
    /// Makes a destination from its binary form.
    ///
    /// # Errors
    /// [`NameError::DestinationLength`] when the certificate does not end where the bytes end,
    /// [`NameError::CertificateLength`] when the certificate's type does not allow its length.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NameError> {
        let length = bytes.len();
        match split(&bytes) {
            Some((certificate, end)) if end == length && length <= MAX_BYTES => certificate.check()?,
            _ => return Err(NameError::DestinationLength { length }),
        }
        Ok(Self(bytes))
    }

    /// The type of its signing key. Without a key certificate it is DSA.
    #[must_use]
    pub fn signature_type(&self) -> SignatureType {
        self.certificate().map_or(SignatureType::DSA_SHA1, |certificate| certificate.signature_type())
    }

    /// The type of its encryption key, which is unused. Without a key certificate it is ElGamal.
    #[must_use]
    pub fn encryption_type(&self) -> EncryptionType {
        self.certificate().map_or(EncryptionType::ELGAMAL, |certificate| certificate.encryption_type())
    }

    /// The key that its signatures are verified with; `None` if its type, and with it the key's length, is unknown here. A
    /// key of more than 128 bytes continues in the certificate and is returned as an owned copy.
    #[must_use]
    pub fn signing_public_key(&self) -> Option<Cow<'_, [u8]>> {
        let certificate = self.certificate()?;
        let length = certificate.signature_type().public_key_length()?;
        // The key stands at the end of its field, with padding before it.
        let field = self.0.get(ENCRYPTION_FIELD_BYTES..KEY_FIELDS_BYTES)?;
        let Some(excess) = length.checked_sub(SIGNING_FIELD_BYTES).filter(|&excess| excess > 0) else {
            return field.get(SIGNING_FIELD_BYTES.checked_sub(length)?..).map(Cow::Borrowed);
        };
        Some(Cow::Owned([field, certificate.excess().get(..excess)?].concat()))
    }

    /// Its certificate. Never `None`: [`from_bytes`](Self::from_bytes) has found it.
    fn certificate(&self) -> Option<Certificate<'_>> {
        split(&self.0).map(|(certificate, _)| certificate)
    }

    /// The binary form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Encodes it in I2P's base64, with padding, as routers do.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::encode(&self.0)
    }

    /// Its base32 address.
    #[must_use]
    pub fn b32(&self) -> B32 {
        B32::of(self)
    }

    /// Returns the destination at the front of a SAM private key, which is a destination followed by its secret keys
    /// (SAM v3, "Destination key generation").
    ///
    /// # Errors
    /// [`NameError::Base64`]; [`NameError::DestinationLength`] when the rest is too short for secret keys; the errors of
    /// [`Self::from_bytes`].
    pub fn from_private_key(text: &str) -> Result<Self, NameError> {
        // Wiped when dropped: the destination must not keep the secret keys behind it in memory.
        let bytes = Zeroizing::new(decode(text)?);
        let length = bytes.len();
        match split(&bytes) {
            Some((_, end)) if length >= end + MIN_SECRET_BYTES => {
                Self::from_bytes(bytes.get(..end).unwrap_or_default().to_vec())
            }
            _ => Err(NameError::DestinationLength { length }),
        }
    }
}

/// Finds the certificate of the destination at the front of `bytes`, and where it ends.
fn split(bytes: &[u8]) -> Option<(Certificate<'_>, usize)> {
    let (certificate, length) = Certificate::split(bytes.get(KEY_FIELDS_BYTES..)?)?;
    Some((certificate, KEY_FIELDS_BYTES + length))
}

fn decode(text: &str) -> Result<Vec<u8>, NameError> {
    if text.len() > MAX_BASE64_LENGTH {
        return Err(NameError::TooLong { length: text.len(), limit: MAX_BASE64_LENGTH });
    }
    base64::decode(text)
}

impl FromStr for Destination {
    type Err = NameError;

    /// Decodes I2P's base64, with or without padding.
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

    /// Bytes with the layout of an Ed25519 destination: a key certificate with a payload of four bytes.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0x5a; 384];
        bytes.extend([5, 0, 4, 0, 7, 0, 4]);
        bytes
    }

    #[test]
    fn base64_round_trips_with_and_without_padding() {
        let destination = Destination::from_bytes(sample()).unwrap();
        let text = destination.to_base64();
        assert_eq!(text.len(), 524);
        assert_eq!(text.parse::<Destination>().unwrap(), destination);
        assert_eq!(text.trim_end_matches('=').parse::<Destination>().unwrap(), destination);
    }

    #[test]
    fn a_certificate_that_does_not_end_with_the_bytes_is_refused() {
        let mut long = sample();
        long.push(0);
        assert_eq!(Destination::from_bytes(long), Err(NameError::DestinationLength { length: 392 }));
        let mut short = sample();
        short.pop();
        assert_eq!(Destination::from_bytes(short), Err(NameError::DestinationLength { length: 390 }));
        assert_eq!(Destination::from_bytes(vec![]), Err(NameError::DestinationLength { length: 0 }));
    }

    /// Makes a destination of 384 bytes and this certificate.
    fn with_certificate(kind: u8, payload: &[u8]) -> Result<Destination, NameError> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        Destination::from_bytes([&[1; 384], &[kind][..], &length, payload].concat())
    }

    #[test]
    fn certificates_have_a_length_that_their_type_allows() {
        for (kind, length) in [(0, 0), (1, 0), (1, 30), (2, 0), (3, 40), (3, 72), (4, 10), (6, 0), (255, 100)]
        {
            let destination = with_certificate(kind, &vec![0; length]).unwrap();
            assert_eq!(destination.as_bytes()[384], kind);
            assert_eq!(destination.signature_type(), SignatureType::DSA_SHA1);
            assert_eq!(destination.signing_public_key().unwrap(), vec![1; 128]);
        }
        for (kind, length) in [(0, 1), (2, 1), (3, 0), (3, 41), (5, 0), (5, 3)] {
            let refused = with_certificate(kind, &vec![0; length]);
            assert_eq!(refused, Err(NameError::CertificateLength { kind, length }));
        }
    }

    #[test]
    fn key_certificates_hold_the_excess_of_the_keys_and_nothing_else() {
        // Signature type, encryption type, bytes of the keys that do not fit before the certificate.
        for (signature, encryption, excess) in [
            (0, 0, 0),
            (1, 0, 0),
            (3, 0, 4),
            (3, 4, 4),
            (4, 0, 128),
            (5, 0, 256),
            (6, 0, 384),
            (7, 4, 0),
            (10, 0, 0),
        ] {
            let payload = |excess| [&[0, signature, 0, encryption][..], &vec![2; excess]].concat();
            let destination = with_certificate(5, &payload(excess)).unwrap();
            assert_eq!(destination.signature_type().number(), u16::from(signature));
            assert_eq!(destination.encryption_type().number(), u16::from(encryption));
            let key = destination.signing_public_key().unwrap();
            assert_eq!(Some(key.len()), destination.signature_type().public_key_length());
            assert_eq!(key.iter().filter(|&&byte| byte == 2).count(), excess);
            let long = with_certificate(5, &payload(excess + 1));
            assert_eq!(long, Err(NameError::CertificateLength { kind: 5, length: excess + 5 }));
            if let Some(less) = excess.checked_sub(1) {
                assert!(with_certificate(5, &payload(less)).is_err());
            }
        }
    }

    #[test]
    fn unknown_types_are_kept() {
        // ML-DSA-44 as proposed: a key of 1,312 bytes.
        let destination = with_certificate(5, &[&[0, 12, 0, 6][..], &vec![0; 1_184]].concat()).unwrap();
        assert_eq!((destination.signature_type().number(), destination.encryption_type().number()), (12, 6));
        assert_eq!(destination.signing_public_key(), None);
        // An encryption key of unknown length may follow the excess of a known signing key, which must be complete.
        let rest = with_certificate(5, &[0, 3, 0, 99, 2, 2, 2, 2, 3]).unwrap();
        assert_eq!(rest.signing_public_key().unwrap(), [&[1; 128][..], &[2; 4]].concat());
        assert!(with_certificate(5, &[0, 3, 0, 99, 2, 2, 2]).is_err());
    }

    #[test]
    fn the_longest_destination_fits_into_a_sam_line() {
        let length = MAX_BYTES - 387;
        assert!(with_certificate(6, &vec![0; length]).is_ok());
        let error = NameError::DestinationLength { length: MAX_BYTES + 1 };
        assert_eq!(with_certificate(6, &vec![0; length + 1]), Err(error));
    }

    #[test]
    fn a_private_key_starts_with_the_destination() {
        let mut key = sample();
        key.extend([9; 256 + 32]);
        let text = base64::encode(&key);
        assert_eq!(Destination::from_private_key(&text).unwrap().as_bytes(), sample());
        let no_secret = base64::encode(&sample());
        assert!(Destination::from_private_key(&no_secret).is_err());
    }

    #[test]
    fn the_standard_base64_alphabet_is_refused() {
        let text = Destination::from_bytes(vec![0xff; 384].into_iter().chain([0, 0, 0]).collect()).unwrap();
        let standard = text.to_base64().replace('~', "/");
        assert_eq!(standard.parse::<Destination>(), Err(NameError::Base64));
    }
}

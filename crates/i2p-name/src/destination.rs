use alloc::{borrow::Cow, string::String, vec::Vec};
use core::{fmt, str::FromStr};

use crate::{
    B32, CertificateType, EncryptionType, NameError, SignatureType, base64,
    certificate::{Certificate, ENCRYPTION_FIELD, SIGNING_FIELD},
};

/// Keys, parts of keys and padding in front of the certificate.
const KEYS: usize = ENCRYPTION_FIELD + SIGNING_FIELD;
/// The shortest secret keys: 32 bytes of X25519, 20 of DSA.
const MIN_SECRET: usize = 52;
/// The longest that fits into one SAM line of 4,095 bytes, commands and keys around it included. Room for every key
/// type that exists or is proposed: the longest, ML-DSA-87, makes 2,855.
const MAX_BYTES: usize = 2_900;
/// Text shorter than this is never a destination.
pub(crate) const MIN_TEXT: usize = 516;
/// Text longer than this is not looked at.
pub(crate) const MAX_TEXT: usize = MAX_BYTES.div_ceil(3) * 4;

/// An I2P destination: the public keys of an endpoint and their certificate.
///
/// Holds the binary form (common structures, "Destination"): 387 to 2,900 bytes, ended by a certificate that is as long
/// as its type and the key types in it ask for. Types that are not known survive as numbers. Whether the keys are points
/// on their curves is not checked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Vec<u8>);

impl Destination {
    /// From the binary form.
    ///
    /// # Errors
    /// [`NameError::DestinationLength`] when the certificate does not end where the bytes end,
    /// [`NameError::CertificateLength`] when the certificate cannot be that long.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NameError> {
        let length = bytes.len();
        match split(&bytes) {
            Some((certificate, end)) if end == length && length <= MAX_BYTES => certificate.check()?,
            _ => return Err(NameError::DestinationLength { length }),
        }
        Ok(Self(bytes))
    }

    /// Which certificate it has.
    #[must_use]
    pub fn certificate_type(&self) -> CertificateType {
        self.certificate().map_or(CertificateType::NULL, |certificate| certificate.kind())
    }

    /// The type of its signing key: DSA without a key certificate.
    #[must_use]
    pub fn signature_type(&self) -> SignatureType {
        self.certificate().map_or(SignatureType::DSA_SHA1, |certificate| certificate.signature_type())
    }

    /// The type of its encryption key, which nobody uses: ElGamal without a key certificate.
    #[must_use]
    pub fn encryption_type(&self) -> EncryptionType {
        self.certificate().map_or(EncryptionType::ELGAMAL, |certificate| certificate.encryption_type())
    }

    /// The key that its signatures are verified with, or nothing when the type, and with it the key's length, is not
    /// known here. Owned when the key goes on in the certificate: one longer than 128 bytes.
    #[must_use]
    pub fn signing_public_key(&self) -> Option<Cow<'_, [u8]>> {
        let certificate = self.certificate()?;
        let length = certificate.signature_type().public_key_length()?;
        // At the end of its field, with padding before it.
        let field = self.0.get(ENCRYPTION_FIELD..KEYS)?;
        let Some(excess) = length.checked_sub(SIGNING_FIELD).filter(|&excess| excess > 0) else {
            return field.get(SIGNING_FIELD.checked_sub(length)?..).map(Cow::Borrowed);
        };
        Some(Cow::Owned([field, certificate.excess().get(..excess)?].concat()))
    }

    /// Always there: its end was looked for when the destination was made.
    fn certificate(&self) -> Option<Certificate<'_>> {
        split(&self.0).map(|(certificate, _)| certificate)
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
    /// [`NameError::Base64`], or [`NameError::DestinationLength`] when what follows is too short for keys, or as
    /// [`Self::from_bytes`].
    pub fn from_private_key(text: &str) -> Result<Self, NameError> {
        let mut bytes = decode(text)?;
        let length = bytes.len();
        match split(&bytes) {
            Some((_, end)) if length >= end + MIN_SECRET => bytes.truncate(end),
            _ => return Err(NameError::DestinationLength { length }),
        }
        Self::from_bytes(bytes)
    }
}

/// The certificate of the destination at the front of these bytes, and where it ends.
fn split(bytes: &[u8]) -> Option<(Certificate<'_>, usize)> {
    let (certificate, length) = Certificate::split(bytes.get(KEYS..)?)?;
    Some((certificate, KEYS + length))
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

    /// 384 bytes and this certificate.
    fn with_certificate(kind: u8, payload: &[u8]) -> Result<Destination, NameError> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        Destination::from_bytes([&[1; 384], &[kind][..], &length, payload].concat())
    }

    #[test]
    fn certificates_are_as_long_as_they_say_and_can_be() {
        for (kind, length) in [(0, 0), (1, 0), (1, 30), (2, 0), (3, 40), (3, 72), (4, 10), (6, 0), (255, 100)]
        {
            let destination = with_certificate(kind, &vec![0; length]).unwrap();
            assert_eq!(destination.certificate_type().number(), kind);
            assert_eq!(destination.signature_type(), SignatureType::DSA_SHA1);
            assert_eq!(destination.signing_public_key().unwrap(), vec![1; 128]);
        }
        for (kind, length) in [(0, 1), (2, 1), (3, 0), (3, 41), (5, 0), (5, 3)] {
            let refused = with_certificate(kind, &vec![0; length]);
            assert_eq!(refused, Err(NameError::CertificateLength { kind, length }));
        }
    }

    #[test]
    fn key_certificates_hold_the_rest_of_the_keys_and_nothing_else() {
        // Signature type, encryption type, bytes that do not fit before the certificate.
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
    fn types_that_are_not_known_survive() {
        // ML-DSA-44 as proposed: 1,312 bytes of key.
        let destination = with_certificate(5, &[&[0, 12, 0, 6][..], &vec![0; 1_184]].concat()).unwrap();
        assert_eq!((destination.signature_type().number(), destination.encryption_type().number()), (12, 6));
        assert_eq!(destination.signing_public_key(), None);
        // An unknown encryption key may follow the rest of a known signing key, which must be there.
        let rest = with_certificate(5, &[0, 3, 0, 99, 2, 2, 2, 2, 3]).unwrap();
        assert_eq!(rest.signing_public_key().unwrap(), [&[1; 128][..], &[2; 4]].concat());
        assert!(with_certificate(5, &[0, 3, 0, 99, 2, 2, 2]).is_err());
    }

    #[test]
    fn the_longest_fits_into_a_sam_line() {
        let length = MAX_BYTES - 387;
        assert!(with_certificate(6, &vec![0; length]).is_ok());
        let error = NameError::DestinationLength { length: MAX_BYTES + 1 };
        assert_eq!(with_certificate(6, &vec![0; length + 1]), Err(error));
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

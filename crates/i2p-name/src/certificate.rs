use crate::{
    error::NameError,
    key_type::{EncryptionType, SignatureType},
};

/// Bytes of the type and length fields before a certificate's payload.
const HEADER_BYTES: usize = 3;
/// Bytes for the signing key before the certificate.
pub(crate) const SIGNING_FIELD_BYTES: usize = 128;
/// Bytes for the encryption key before the certificate.
pub(crate) const ENCRYPTION_FIELD_BYTES: usize = 256;

// Types of certificates (common structures, "Certificate"). Types 1 (hashcash) and 4 (several certificates) exist too, but
// have no fixed length.
/// Nothing certified: ElGamal and DSA keys.
const NULL: u8 = 0;
/// For a hidden router. Never used in destinations.
const HIDDEN: u8 = 2;
/// Signed by another destination. Never used.
const SIGNED: u8 = 3;
/// Holds the key types, and the bytes of the keys that do not fit before the certificate.
const KEY: u8 = 5;

/// A certificate as it stands at the end of a destination.
#[derive(Clone, Copy)]
pub(crate) struct Certificate<'a> {
    kind: u8,
    payload: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Splits the certificate off the front of `bytes`. Returns it with its length, type and length fields included; `None`
    /// if the bytes end within the certificate.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (&[kind, high, low], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let payload = rest.get(..length)?;
        Some((Self { kind, payload }, HEADER_BYTES + length))
    }

    /// Checks that the payload has a length that its type allows. "Implementers are cautioned to prohibit excess data", says
    /// the document: with excess data, one destination would have two spellings and two hashes.
    pub(crate) fn check(&self) -> Result<(), NameError> {
        let length = self.payload.len();
        let possible = match self.kind {
            NULL | HIDDEN => length == 0,
            SIGNED => length == 40 || length == 72,
            KEY => self.key_lengths_match(),
            // Types of any length, and types that are unknown here.
            _ => true,
        };
        if possible { Ok(()) } else { Err(NameError::CertificateLength { kind: self.kind, length }) }
    }

    /// Checks that a key certificate is as long as its key types require, or at least long enough if one of them is unknown.
    fn key_lengths_match(&self) -> bool {
        let Some((signature, encryption, excess)) = self.key_types() else { return false };
        let beyond = |length: Option<usize>, field| length.map(|length| length.saturating_sub(field));
        let signing = beyond(signature.public_key_length(), SIGNING_FIELD_BYTES);
        let encrypting = beyond(encryption.public_key_length(), ENCRYPTION_FIELD_BYTES);
        match (signing, encrypting) {
            (Some(signing), Some(encrypting)) => excess.len() == signing + encrypting,
            _ => excess.len() >= signing.or(encrypting).unwrap_or(0),
        }
    }

    /// The key types and the excess bytes of the keys; `None` for other certificates.
    fn key_types(&self) -> Option<(SignatureType, EncryptionType, &'a [u8])> {
        let (&[s0, s1, e0, e1], excess) = self.payload.split_first_chunk::<4>()?;
        (self.kind == KEY).then(|| {
            let number = |high, low| u16::from_be_bytes([high, low]);
            let signature = SignatureType::from_number(number(s0, s1));
            (signature, EncryptionType::from_number(number(e0, e1)), excess)
        })
    }

    /// The signature type. Without a key certificate it is DSA.
    pub(crate) fn signature_type(&self) -> SignatureType {
        self.key_types().map_or(SignatureType::DSA_SHA1, |(signature, ..)| signature)
    }

    /// The encryption type. Without a key certificate it is ElGamal.
    pub(crate) fn encryption_type(&self) -> EncryptionType {
        self.key_types().map_or(EncryptionType::ELGAMAL, |(_, encryption, _)| encryption)
    }

    /// The bytes of the keys that do not fit before the certificate, those of the signing key first.
    pub(crate) fn excess(&self) -> &'a [u8] {
        self.key_types().map_or(&[], |(.., excess)| excess)
    }
}

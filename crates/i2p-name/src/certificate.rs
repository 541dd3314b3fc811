use crate::{EncryptionType, NameError, SignatureType};

/// The kind of a destination's certificate (common structures, "Certificate").
///
/// Numbers without a name here are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateType(u8);

impl CertificateType {
    /// Nothing certified: ElGamal and DSA keys.
    pub const NULL: Self = Self(0);
    /// A proof of work. Never used.
    pub const HASHCASH: Self = Self(1);
    /// Of a router that hides. Never used.
    pub const HIDDEN: Self = Self(2);
    /// A signature of another destination. Never used.
    pub const SIGNED: Self = Self(3);
    /// Several certificates. Never used.
    pub const MULTIPLE: Self = Self(4);
    /// The key types, and what of the keys does not fit before the certificate.
    pub const KEY: Self = Self(5);

    /// The number in the certificate's first byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Bytes of type and length before a certificate's payload.
const HEADER: usize = 3;
/// Room for the signing key before the certificate.
pub(crate) const SIGNING_FIELD: usize = 128;
/// Room for the encryption key before the certificate.
pub(crate) const ENCRYPTION_FIELD: usize = 256;

/// A certificate as it stands at the end of a destination.
#[derive(Clone, Copy)]
pub(crate) struct Certificate<'a> {
    kind: CertificateType,
    payload: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// The certificate at the front of these bytes, and its length with type and length field. `None` when it
    /// does not end there.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (&[kind, high, low], rest) = bytes.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let payload = rest.get(..length)?;
        Some((Self { kind: CertificateType(kind), payload }, HEADER + length))
    }

    /// That the payload has a length which its type can have. "Implementers are cautioned to prohibit excess data",
    /// says the document: two spellings of one destination would have two hashes.
    pub(crate) fn check(&self) -> Result<(), NameError> {
        let length = self.payload.len();
        let possible = match self.kind {
            CertificateType::NULL | CertificateType::HIDDEN => length == 0,
            CertificateType::SIGNED => length == 40 || length == 72,
            CertificateType::KEY => self.holds_its_keys(),
            // Hashcash and several certificates vary; of later types nothing is known.
            _ => true,
        };
        if possible { Ok(()) } else { Err(NameError::CertificateLength { kind: self.kind.0, length }) }
    }

    /// That a key certificate is as long as its types say, or long enough where one of them is not known.
    fn holds_its_keys(&self) -> bool {
        let Some((signature, encryption, excess)) = self.key_types() else { return false };
        let beyond = |length: Option<usize>, field| length.map(|length| length.saturating_sub(field));
        let signing = beyond(signature.public_key_length(), SIGNING_FIELD);
        let encrypting = beyond(encryption.public_key_length(), ENCRYPTION_FIELD);
        match (signing, encrypting) {
            (Some(signing), Some(encrypting)) => excess.len() == signing + encrypting,
            _ => excess.len() >= signing.or(encrypting).unwrap_or(0),
        }
    }

    /// Key types and the keys' excess bytes, if this is a key certificate.
    fn key_types(&self) -> Option<(SignatureType, EncryptionType, &'a [u8])> {
        let (&[s0, s1, e0, e1], excess) = self.payload.split_first_chunk::<4>()?;
        (self.kind == CertificateType::KEY).then(|| {
            let number = |high, low| u16::from_be_bytes([high, low]);
            let signature = SignatureType::from_number(number(s0, s1));
            (signature, EncryptionType::from_number(number(e0, e1)), excess)
        })
    }

    pub(crate) fn kind(&self) -> CertificateType {
        self.kind
    }

    /// Every certificate but a key certificate stands for DSA.
    pub(crate) fn signature_type(&self) -> SignatureType {
        self.key_types().map_or(SignatureType::DSA_SHA1, |(signature, ..)| signature)
    }

    /// Every certificate but a key certificate stands for ElGamal.
    pub(crate) fn encryption_type(&self) -> EncryptionType {
        self.key_types().map_or(EncryptionType::ELGAMAL, |(_, encryption, _)| encryption)
    }

    /// What of the keys does not fit before the certificate: first of the signing key.
    pub(crate) fn excess(&self) -> &'a [u8] {
        self.key_types().map_or(&[], |(.., excess)| excess)
    }
}

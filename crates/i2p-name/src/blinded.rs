use alloc::string::String;
use core::{fmt, str::FromStr};

use crate::{
    b32::{SUFFIX, base32},
    destination::Destination,
    error::NameError,
    key_type::SignatureType,
};

/// Bytes of flags and key types before the key.
const HEADER_BYTES: usize = 3;
/// Bytes of an Ed25519 public key. All keys that can be blinded have this length.
const KEY_BYTES: usize = 32;
/// Characters of an address before the suffix: 35 bytes, eight characters for five bytes. No key type that exists makes a
/// longer address.
pub(crate) const LABEL_LENGTH: usize = (HEADER_BYTES + KEY_BYTES) / 5 * 8;

const SECRET_FLAG: u8 = 0b010;
const CLIENT_KEY_FLAG: u8 = 0b100;

/// The base32 address of an encrypted lease set, also known as b33: `<56 characters>.b32.i2p` ("B32 for Encrypted
/// Leasesets").
///
/// It holds the public key itself. Flags and key types are masked with a checksum of the key, so nearly every typing error
/// is detected at once. The format cannot detect a wrong character that changes only the flags for secret and client key, or
/// only the key type from Ed25519 to RedDSA or back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlindedName {
    public_key: [u8; KEY_BYTES],
    signature_type: SignatureType,
    flags: u8,
}

impl BlindedName {
    /// Makes the address of a destination whose encrypted lease set needs no secret and no client key. Returns `None` if
    /// keys of its type cannot be blinded.
    #[must_use]
    pub fn of(destination: &Destination) -> Option<Self> {
        let signature_type = destination.signature_type();
        if !can_be_blinded(signature_type) {
            return None;
        }
        let public_key = destination.signing_public_key()?.as_ref().try_into().ok()?;
        Some(Self { public_key, signature_type, flags: 0 })
    }

    /// Whether this is an address of the destination: both have the same signing key. The flags are not compared, since a
    /// destination does not contain them.
    #[must_use]
    pub fn is_of(&self, destination: &Destination) -> bool {
        Self::of(destination).is_some_and(|own| Self { flags: self.flags, ..own } == *self)
    }

    /// Sets the flag that says whether clients need a secret.
    #[must_use]
    pub fn with_secret(self, needed: bool) -> Self {
        self.with_flag(SECRET_FLAG, needed)
    }

    /// Sets the flag that says whether clients need a key of their own.
    #[must_use]
    pub fn with_client_key(self, needed: bool) -> Self {
        self.with_flag(CLIENT_KEY_FLAG, needed)
    }

    fn with_flag(self, flag: u8, set: bool) -> Self {
        Self { flags: if set { self.flags | flag } else { self.flags & !flag }, ..self }
    }

    /// Whether a client needs a secret to find the lease set. The router must have the secret: SAM and SOCKS have no field
    /// for it.
    #[must_use]
    pub const fn needs_secret(&self) -> bool {
        self.flags & SECRET_FLAG != 0
    }

    /// Whether a client needs a key that the destination has authorised to read the lease set.
    #[must_use]
    pub const fn needs_client_key(&self) -> bool {
        self.flags & CLIENT_KEY_FLAG != 0
    }

    /// The type of the public key: Ed25519 or RedDSA.
    #[must_use]
    pub const fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The type of the blinded keys: RedDSA, the only one that exists.
    #[must_use]
    pub const fn blinded_signature_type(&self) -> SignatureType {
        SignatureType::REDDSA_SHA512_ED25519
    }

    /// The destination's signing public key before blinding.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; KEY_BYTES] {
        &self.public_key
    }

    /// The 56 characters, without `.b32.i2p`.
    #[must_use]
    pub fn label(&self) -> String {
        let [flags, public, blinded] = mask(&self.public_key);
        // The numbers of types that can be blinded fit into one byte.
        let [_, signature_type] = self.signature_type.number().to_be_bytes();
        let [_, blinded_type] = self.blinded_signature_type().number().to_be_bytes();
        let mut bytes = [0; HEADER_BYTES + KEY_BYTES];
        let header = [flags ^ self.flags, public ^ signature_type, blinded ^ blinded_type];
        for (place, byte) in bytes.iter_mut().zip(header.iter().chain(&self.public_key)) {
            *place = *byte;
        }
        base32().encode(&bytes)
    }

    /// Parses the text before `.b32.i2p`, which must be in lower case.
    pub(crate) fn from_label(label: &str) -> Result<Self, NameError> {
        if label.len() != LABEL_LENGTH {
            return Err(NameError::Base32Length(label.len()));
        }
        let bytes = base32().decode(label.as_bytes()).map_err(|_| NameError::Base32)?;
        let Some((&header, key)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(NameError::Base32);
        };
        let public_key = key.try_into().map_err(|_| NameError::Base32)?;
        let [flags, public, blinded] = mask(&public_key);
        let flags = flags ^ header[0];
        // Bit 0 means key types of two bytes. None exists, and their keys would have another length.
        if flags & !(SECRET_FLAG | CLIENT_KEY_FLAG) != 0 {
            return Err(NameError::BlindedFlags { flags });
        }
        let (public, blinded) = (public ^ header[1], blinded ^ header[2]);
        let signature_type = SignatureType::from_number(public.into());
        let blinded_type = SignatureType::from_number(blinded.into());
        if !can_be_blinded(signature_type) || blinded_type != SignatureType::REDDSA_SHA512_ED25519 {
            return Err(NameError::BlindedKeyTypes { public, blinded });
        }
        Ok(Self { public_key, signature_type, flags })
    }
}

/// Whether keys of this type can be blinded: Ed25519 and RedDSA ("Encrypted LeaseSet", "Blinding").
fn can_be_blinded(signature_type: SignatureType) -> bool {
    matches!(signature_type, SignatureType::EDDSA_SHA512_ED25519 | SignatureType::REDDSA_SHA512_ED25519)
}

/// The mask of flags and key types: the low three bytes of the key's CRC-32, lowest first.
fn mask(public_key: &[u8; KEY_BYTES]) -> [u8; HEADER_BYTES] {
    let [low, middle, high, _] = crc32fast::hash(public_key).to_le_bytes();
    [low, middle, high]
}

impl fmt::Display for BlindedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.label())
    }
}

impl fmt::Debug for BlindedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindedName(..)")
    }
}

impl FromStr for BlindedName {
    type Err = NameError;

    /// Accepts upper and lower case, with or without `.b32.i2p`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.to_ascii_lowercase();
        Self::from_label(text.strip_suffix(SUFFIX).unwrap_or(&text))
    }
}

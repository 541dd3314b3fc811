use alloc::string::String;
use core::{fmt, str::FromStr};

use crate::{
    Destination, NameError, SignatureType,
    b32::{SUFFIX, base32},
};

/// Bytes of flags and key types before the key.
const HEADER: usize = 3;
/// Bytes of an Ed25519 public key, which all keys that can be blinded are.
const KEY: usize = 32;
/// Characters of an address: 35 bytes, eight characters for each five. Longer ones would need key types that do
/// not exist.
pub(crate) const LENGTH: usize = (HEADER + KEY) / 5 * 8;

const SECRET: u8 = 0b010;
const CLIENT_KEY: u8 = 0b100;

/// The base32 address of an encrypted lease set, also known as b33: `<56 characters>.b32.i2p` ("B32 for Encrypted
/// Leasesets").
///
/// It holds the key itself, and is checked in full: flags and key types are covered by a checksum of the key, so
/// that a typing error shows at once. Three typing errors cannot show, since the format has no room for it: one
/// character that changes nothing but the flags for secret and client key, or one key type into the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlindedName {
    public_key: [u8; KEY],
    signature_type: SignatureType,
    flags: u8,
}

impl BlindedName {
    /// The address of a destination whose lease set is encrypted without a secret and for everybody; nothing if its
    /// keys are not of a type that can be blinded.
    #[must_use]
    pub fn of(destination: &Destination) -> Option<Self> {
        let signature_type = destination.signature_type();
        if !can_be_blinded(signature_type) {
            return None;
        }
        let public_key = destination.signing_public_key()?.as_ref().try_into().ok()?;
        Some(Self { public_key, signature_type, flags: 0 })
    }

    /// The same with the note that a secret is needed, or not.
    #[must_use]
    pub fn with_secret(self, needed: bool) -> Self {
        self.with_flag(SECRET, needed)
    }

    /// The same with the note that a client key is needed, or not.
    #[must_use]
    pub fn with_client_key(self, needed: bool) -> Self {
        self.with_flag(CLIENT_KEY, needed)
    }

    fn with_flag(self, flag: u8, set: bool) -> Self {
        Self { flags: if set { self.flags | flag } else { self.flags & !flag }, ..self }
    }

    /// Whether the lease set is found only by those who know a secret, which the router has to be told beforehand.
    #[must_use]
    pub const fn needs_secret(&self) -> bool {
        self.flags & SECRET != 0
    }

    /// Whether the lease set is read only by clients whose key was registered with the destination.
    #[must_use]
    pub const fn needs_client_key(&self) -> bool {
        self.flags & CLIENT_KEY != 0
    }

    /// The type of the public key: Ed25519 or RedDSA.
    #[must_use]
    pub const fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The type of the blinded keys: RedDSA, as long as there is no other.
    #[must_use]
    pub const fn blinded_signature_type(&self) -> SignatureType {
        SignatureType::REDDSA_SHA512_ED25519
    }

    /// The destination's signing public key, not blinded.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; KEY] {
        &self.public_key
    }

    /// The 56 characters, without `.b32.i2p`.
    #[must_use]
    pub fn label(&self) -> String {
        let [flags, public, blinded] = mask(&self.public_key);
        // Types that can be blinded have numbers of one byte.
        let [_, signature_type] = self.signature_type.number().to_be_bytes();
        let [_, blinded_type] = self.blinded_signature_type().number().to_be_bytes();
        let mut bytes = [0; HEADER + KEY];
        let header = [flags ^ self.flags, public ^ signature_type, blinded ^ blinded_type];
        for (place, byte) in bytes.iter_mut().zip(header.iter().chain(&self.public_key)) {
            *place = *byte;
        }
        base32().encode(&bytes)
    }

    /// From the text before `.b32.i2p`, in lower case.
    pub(crate) fn from_label(label: &str) -> Result<Self, NameError> {
        if label.len() != LENGTH {
            return Err(NameError::Base32Length(label.len()));
        }
        let bytes = base32().decode(label.as_bytes()).map_err(|_| NameError::Base32)?;
        let Some((&header, key)) = bytes.split_first_chunk::<HEADER>() else { return Err(NameError::Base32) };
        let public_key = key.try_into().map_err(|_| NameError::Base32)?;
        let [flags, public, blinded] = mask(&public_key);
        let flags = flags ^ header[0];
        // Bit 0 stands for key types of two bytes: none exists, and their keys would make another length.
        if flags & !(SECRET | CLIENT_KEY) != 0 {
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

/// Ed25519 and RedDSA, of 32 bytes each ("Encrypted LeaseSet", "Blinding").
fn can_be_blinded(signature_type: SignatureType) -> bool {
    matches!(signature_type, SignatureType::EDDSA_SHA512_ED25519 | SignatureType::REDDSA_SHA512_ED25519)
}

/// What flags and key types are mixed with: the low bytes of the key's CRC-32, the lowest first.
fn mask(public_key: &[u8; KEY]) -> [u8; HEADER] {
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

    /// With or without `.b32.i2p`, in any case.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.to_ascii_lowercase();
        Self::from_label(text.strip_suffix(SUFFIX).unwrap_or(&text))
    }
}

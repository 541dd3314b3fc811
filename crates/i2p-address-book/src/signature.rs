//! Signatures of I2P destinations (common structures, "Signature", "KeysAndCert", "KeyCertificate").

use std::borrow::Cow;

use dsa::{BoxedUint, Components, signature::hazmat::PrehashVerifier};
use i2p_name::{Destination, SignatureType};
use p256::ecdsa::signature::Verifier;
use sha1::{Digest, Sha1};

/// The prime of all DSA keys in I2P (cryptography specification, "DSA"), big endian.
const DSA_P: [u8; 128] = *b"\
    \x9c\x05\xb2\xaa\x96\x0d\x9b\x97\xb8\x93\x19\x63\xc9\xcc\x9e\x8c\x30\x26\xe9\xb8\xed\x92\xfa\xd0\xa6\x9c\xc8\x86\
    \xd5\xbf\x80\x15\xfc\xad\xae\x31\xa0\xad\x18\xfa\xb3\xf0\x1b\x00\xa3\x58\xde\x23\x76\x55\xc4\x96\x4a\xfa\xa2\xb3\
    \x37\xe9\x6a\xd3\x16\xb9\xfb\x1c\xc5\x64\xb5\xae\xc5\xb6\x9a\x9f\xf6\xc3\xe4\x54\x87\x07\xfe\xf8\x50\x3d\x91\xdd\
    \x86\x02\xe8\x67\xe6\xd3\x5d\x22\x35\xc1\x86\x9c\xe2\x47\x9c\x3b\x9d\x54\x01\xde\x04\xe0\x72\x7f\xb3\x3d\x65\x11\
    \x28\x5d\x4c\xf2\x95\x38\xd9\xe3\xb6\x05\x1f\x5b\x22\xcc\x1c\x93";
/// The order of the subgroup.
const DSA_Q: [u8; 20] = *b"\xa5\xdf\xc2\x8f\xef\x4c\xa1\xe2\x86\x74\x4c\xd8\xee\xd9\xd2\x9d\x68\x40\x46\xb7";
/// The generator of the subgroup.
const DSA_G: [u8; 128] = *b"\
    \x0c\x1f\x4d\x27\xd4\x00\x93\xb4\x29\xe9\x62\xd7\x22\x38\x24\xe0\xbb\xc4\x7e\x7c\x83\x2a\x39\x23\x6f\xc6\x83\xaf\
    \x84\x88\x95\x81\x07\x5f\xf9\x08\x2e\xd3\x23\x53\xd4\x37\x4d\x73\x01\xcd\xa1\xd2\x3c\x43\x1f\x46\x98\x59\x9d\xda\
    \x02\x45\x18\x24\xff\x36\x97\x52\x59\x36\x47\xcc\x3d\xdc\x19\x7d\xe9\x85\xe4\x3d\x13\x6c\xdc\xfc\x6b\xd5\x40\x9c\
    \xd2\xf4\x50\x82\x11\x42\xa5\xe6\xf8\xeb\x1c\x3a\xb5\xd0\x48\x4b\x81\x29\xfc\xf1\x7b\xce\x4f\x7f\x33\x32\x1c\x3c\
    \xb3\xdb\xb1\x4a\x90\x5e\x7b\x2b\x3e\x93\xbe\x47\x08\xcb\xcc\x82";

/// Why a signature is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The command lacks a signature that its action requires.
    #[error("the command is not signed: it has no {0}")]
    Missing(&'static str),
    /// The signature was not made over this command with this key.
    #[error("the signature {0} is wrong")]
    Wrong(&'static str),
    /// This crate does not verify the signature type: RSA, GOST and types newer than this crate.
    #[error("signatures of type {0} are not verified, so the command is refused")]
    UnknownType(u16),
}

/// The signing key of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SigningKey<'a> {
    DsaSha1(&'a [u8; 128]),
    EcdsaSha256P256(&'a [u8; 64]),
    EcdsaSha384P384(&'a [u8; 96]),
    EcdsaSha512P521([u8; 132]),
    /// Ed25519 and RedDSA, which are verified in the same way (Red25519 specification, "Verification").
    EdDsaSha512Ed25519(&'a [u8; 32]),
    Unknown(u16),
}

impl<'a> SigningKey<'a> {
    /// Extracts the signing key of a destination.
    pub(crate) fn of(destination: &'a Destination) -> Self {
        let signature_type = destination.signature_type();
        Self::known(signature_type, destination.signing_public_key())
            .unwrap_or(Self::Unknown(signature_type.number()))
    }

    fn known(signature_type: SignatureType, key: Option<Cow<'a, [u8]>>) -> Option<Self> {
        Some(match (signature_type, key?) {
            (SignatureType::DSA_SHA1, Cow::Borrowed(key)) => Self::DsaSha1(key.try_into().ok()?),
            (SignatureType::ECDSA_SHA256_P256, Cow::Borrowed(key)) => {
                Self::EcdsaSha256P256(key.try_into().ok()?)
            }
            (SignatureType::ECDSA_SHA384_P384, Cow::Borrowed(key)) => {
                Self::EcdsaSha384P384(key.try_into().ok()?)
            }
            (SignatureType::ECDSA_SHA512_P521, key) => Self::EcdsaSha512P521(key.as_ref().try_into().ok()?),
            (
                SignatureType::EDDSA_SHA512_ED25519 | SignatureType::REDDSA_SHA512_ED25519,
                Cow::Borrowed(key),
            ) => Self::EdDsaSha512Ed25519(key.try_into().ok()?),
            _ => return None,
        })
    }

    /// The rank of the signature type. Of several destinations of a name, the one with the highest rank comes first.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::EdDsaSha512Ed25519(_) => 5,
            Self::EcdsaSha512P521(_) => 4,
            Self::EcdsaSha384P384(_) => 3,
            Self::EcdsaSha256P256(_) => 2,
            Self::DsaSha1(_) => 1,
            Self::Unknown(_) => 0,
        }
    }

    /// Verifies a signature in binary form over `message`. `name` is the signature's key in the feed.
    pub(crate) fn verify(
        &self,
        message: &[u8],
        signature: &[u8],
        name: &'static str,
    ) -> Result<(), SignatureError> {
        let verified = match self {
            Self::DsaSha1(key) => dsa_sha1(key, message, signature),
            Self::EcdsaSha256P256(key) => p256(*key, message, signature),
            Self::EcdsaSha384P384(key) => p384(*key, message, signature),
            Self::EcdsaSha512P521(key) => p521(key, message, signature),
            Self::EdDsaSha512Ed25519(key) => ed25519(key, message, signature),
            Self::Unknown(number) => return Err(SignatureError::UnknownType(*number)),
        };
        verified.ok_or(SignatureError::Wrong(name))
    }
}

/// Verifies strictly: keys and commitments of small order are refused, because with them one signature fits many messages.
fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    ed25519_dalek::VerifyingKey::from_bytes(key).ok()?.verify_strict(message, &signature).ok()
}

fn p256(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
    p256::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed(key)).ok()?.verify(message, &signature).ok()
}

fn p384(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
    p384::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed(key)).ok()?.verify(message, &signature).ok()
}

fn p521(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = p521::ecdsa::Signature::from_slice(signature).ok()?;
    p521::ecdsa::VerifyingKey::from_sec1_bytes(&uncompressed(key)).ok()?.verify(message, &signature).ok()
}

/// Converts a point to SEC1: a 4 before the two coordinates, which are I2P's form.
fn uncompressed(key: &[u8]) -> Vec<u8> {
    let mut point = Vec::with_capacity(key.len() + 1);
    point.push(4);
    point.extend_from_slice(key);
    point
}

fn dsa_sha1(key: &[u8; 128], message: &[u8], signature: &[u8]) -> Option<()> {
    let number = |bytes: &[u8]| {
        let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
        BoxedUint::from_be_slice(bytes, bits).ok()
    };
    let (p, y) = (number(&DSA_P)?, number(key)?);
    if y >= p || signature.len() != 40 {
        return None;
    }
    let components = Components::from_components(p, number(&DSA_Q)?, number(&DSA_G)?).ok()?;
    let key = dsa::VerifyingKey::from_components(components, y).ok()?;
    let (r, s) = signature.split_at_checked(20)?;
    let signature = dsa::Signature::from_components(number(r)?, number(s)?)?;
    key.verify_prehash(&Sha1::digest(message), &signature).ok()
}

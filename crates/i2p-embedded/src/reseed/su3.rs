//! The su3 format of signed files (<https://geti2p.net/spec/updates#su3>), as far as reseed files need it.
//!
//! A reseed file decides which routers a new router meets first. So it must be signed by an operator of a reseed server whom this
//! program knows. It is not enough that the file came over HTTPS.

use std::time::Duration;

use rsa::{Pkcs1v15Sign, PublicKey, traits::SignatureScheme};
use sha2::{Digest, Sha512};

pub(super) const MAGIC: &[u8] = b"I2Psu3";

/// The fields of fixed length, which come first.
const HEADER_LENGTH: usize = 40;

/// The version is padded to this length at least.
const MIN_VERSION_LENGTH: usize = 16;

/// `RSA_SHA512_4096`, the only signature type of reseed files, and the length of its signatures.
const RSA_SHA512_4096: u16 = 6;
const SIGNATURE_LENGTH: usize = 512;

const ZIP: u8 = 0;
const RESEED_DATA: u8 = 3;

/// A well-formed file. Its signature has not been checked.
pub(super) struct Su3<'a> {
    signer: &'a str,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_LENGTH],
    archive: &'a [u8],
}

impl<'a> Su3<'a> {
    /// Parses a reseed file. The error says what is wrong with it.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        const DAMAGED: &str = "it is damaged";
        let header: &[u8; HEADER_LENGTH] = bytes.first_chunk().ok_or(DAMAGED)?;
        let [b'I', b'2', b'P', b's', b'u', b'3', _, format, type_high, type_low, rest @ ..] = header else {
            return Err("it is not an su3 file");
        };
        let [length_high, length_low, _, version_length, _, signer_length, rest @ ..] = rest;
        let (content_length, rest) = rest.split_first_chunk().ok_or(DAMAGED)?;
        let [_, file_type, _, content_type, ..] = rest else { return Err(DAMAGED) };
        let version_length = usize::from(*version_length);
        if *format != 0 || version_length < MIN_VERSION_LENGTH {
            return Err(DAMAGED);
        }
        if u16::from_be_bytes([*type_high, *type_low]) != RSA_SHA512_4096 {
            return Err("it is damaged, or signed in another way than reseed files are");
        }
        if usize::from(u16::from_be_bytes([*length_high, *length_low])) != SIGNATURE_LENGTH {
            return Err("it is damaged: its signature has a wrong length");
        }
        if (*file_type, *content_type) != (ZIP, RESEED_DATA) {
            return Err("it is an su3 file for another purpose than a reseed");
        }
        let content_length = usize::try_from(u64::from_be_bytes(*content_length)).map_err(|_| DAMAGED)?;
        let signer_at = HEADER_LENGTH + version_length;
        let content_at = signer_at + usize::from(*signer_length);
        let signature_at = content_at.checked_add(content_length).ok_or(DAMAGED)?;
        let (signed, signature) = bytes.split_at_checked(signature_at).ok_or(DAMAGED)?;
        Ok(Self {
            signer: signed
                .get(signer_at..content_at)
                .and_then(|id| std::str::from_utf8(id).ok())
                .ok_or(DAMAGED)?,
            archive: signed.get(content_at..).ok_or(DAMAGED)?,
            signature: signature.first_chunk().ok_or(DAMAGED)?,
            signed,
        })
    }

    /// Returns the zip archive in the file. Checks that the signer is known and valid at the time `now`, counted from the beginning
    /// of 1970, and that the signature is right.
    pub(super) fn verified(&self, now: Duration) -> Result<&'a [u8], &'static str> {
        let key = super::signers::key(self.signer, now)
            .ok_or("it is not signed by a reseed server that this program knows")?;
        if !is_signed_by(&key, self.signed, self.signature) {
            return Err("it is damaged, or its signature is not of the reseed server that it names");
        }
        Ok(self.archive)
    }
}

/// Checks a signature of type PKCS #1 v1.5 over the bare hash: I2P omits the ASN.1 prefix that names the hash.
fn is_signed_by(key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    Pkcs1v15Sign::new_unprefixed().verify(key, &Sha512::digest(signed), signature).is_ok()
}

#[cfg(test)]
pub(super) mod tests;

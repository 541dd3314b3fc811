use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

/// The prefix of a fingerprint in text.
const PREFIX: &str = "sha256:";
/// The first byte of a certificate in DER: a sequence.
const DER_SEQUENCE: u8 = 0x30;

/// The SHA-256 fingerprint of a certificate: the hash of its DER form.
///
/// Its text is `sha256:` and 64 hexadecimal digits. [`FromStr`] also takes upper case, and colons between the bytes, as in the output
/// of `openssl x509 -fingerprint -sha256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// The fingerprints of the certificates in a file: any number of them in PEM, or one in DER.
    ///
    /// # Errors
    /// The file holds no certificate, or something that only looks like one.
    pub fn all_in(file: &[u8]) -> Result<Vec<Self>, CertificateFileError> {
        if file.first() == Some(&DER_SEQUENCE) {
            return Ok(vec![Self::of(&CertificateDer::from(file))]);
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file)
            .map(|read| read.map(|certificate| Self::of(&certificate)))
            .collect();
        found.ok().filter(|found| !found.is_empty()).ok_or(CertificateFileError)
    }
}

/// A file holds no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no certificate in PEM or DER")]
pub struct CertificateFileError;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = "expected sha256: and the 64 hexadecimal digits of a fingerprint";
        let digits = text.strip_prefix(PREFIX).ok_or(malformed)?;
        let digits: Vec<_> = digits.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(malformed);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let digit = digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(malformed)?;
                *byte = *byte << 4 | digit;
            }
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_every_usual_form() {
        let plain = format!("sha256:{}", "0a".repeat(32));
        let parsed: Fingerprint = plain.parse().unwrap();
        assert_eq!(parsed.to_string(), plain);
        let openssl = format!("sha256:{}", ["0A"; 32].join(":"));
        assert_eq!(openssl.parse(), Ok(parsed));
        for text in [
            "",
            "sha256:",
            &"0a".repeat(32),
            &format!("sha256:{}", "0a".repeat(31)),
            &plain.replace('a', "g"),
            &format!("{plain}00"),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn certificates_are_read_from_pem_and_der() {
        let pem = "-----BEGIN CERTIFICATE-----\nMAMBAQA=\n-----END CERTIFICATE-----\n";
        let der = [0x30, 3, 1, 1, 0];
        let both = Fingerprint::all_in(pem.repeat(2).as_bytes()).unwrap();
        assert_eq!(both, Fingerprint::all_in(&der).unwrap().repeat(2));
        for file in ["", "text", "-----BEGIN CERTIFICATE-----\nMAMBAQA=\n"] {
            assert!(Fingerprint::all_in(file.as_bytes()).is_err(), "{file:?}");
        }
    }
}

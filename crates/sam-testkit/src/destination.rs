//! Destinations and keys.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use i2p_name::Destination;

/// The length of the private encryption key in bytes. No router uses it any more, and every private key still holds it.
const ENCRYPTION_KEY_BYTES: usize = 256;
/// The certificate of the fixed destination: an Ed25519 signing key, an X25519 encryption key.
const FIXED_CERTIFICATE: [u8; 7] = [5, 0, 4, 0, 7, 0, 4];

/// I2P's base64: `-` and `~` for 62 and 63, padded, as routers write it.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~");
    specification.padding = Some('=');
    // The specification above is valid, so the default is never used.
    specification.encoding().unwrap_or(data_encoding::BASE64)
});

/// A well-formed destination with an Ed25519 key certificate, in base64. It is always the same one, and the destination of
/// `known.i2p` and `echo.i2p` on every bridge.
#[must_use]
pub fn destination() -> String {
    BASE64.encode(&fixed_destination())
}

/// A private key for [`destination`], in base64. It is always the same one. A session that is created with it has that
/// destination.
#[must_use]
pub fn private_key() -> String {
    let mut key = fixed_destination();
    // Not zeros, which would announce an offline signature (SAM v3, "Destination key generation").
    key.resize(key.len() + ENCRYPTION_KEY_BYTES + 32, 1);
    BASE64.encode(&key)
}

fn fixed_destination() -> Vec<u8> {
    [&[0; 384][..], &FIXED_CERTIFICATE].concat()
}

/// The signature types of the keys that the kit makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureType {
    Dsa,
    EcdsaP256,
    Ed25519,
    RedDsa,
}

impl SignatureType {
    /// Parses the value of `SIGNATURE_TYPE`, which is a number or a name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is = |number: &str, name: &str| text == number || text.eq_ignore_ascii_case(name);
        if is("0", "DSA_SHA1") {
            Some(Self::Dsa)
        } else if is("1", "ECDSA_SHA256_P256") {
            Some(Self::EcdsaP256)
        } else if is("7", "EdDSA_SHA512_Ed25519") {
            Some(Self::Ed25519)
        } else if is("11", "RedDSA_SHA512_Ed25519") {
            Some(Self::RedDsa)
        } else {
            None
        }
    }

    /// The certificate of its destinations: a null certificate for DSA, a key certificate for all others.
    const fn certificate(self) -> &'static [u8] {
        match self {
            Self::Dsa => &[0, 0, 0],
            Self::EcdsaP256 => &[5, 0, 4, 0, 1, 0, 0],
            Self::Ed25519 => &[5, 0, 4, 0, 7, 0, 0],
            Self::RedDsa => &[5, 0, 4, 0, 11, 0, 0],
        }
    }

    /// The length of its private signing key in bytes.
    const fn private_key_bytes(self) -> usize {
        match self {
            Self::Dsa => 20,
            Self::EcdsaP256 | Self::Ed25519 | Self::RedDsa => 32,
        }
    }
}

/// A destination and its private keys. They only look like keys: nothing can be signed with them.
#[derive(Debug)]
pub(crate) struct KeyPair {
    pub(crate) destination: Destination,
    /// The destination in base64.
    pub(crate) public: String,
    /// Destination and private keys in base64.
    pub(crate) private: String,
}

impl KeyPair {
    /// Makes keys of random bytes.
    #[allow(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub(crate) fn generate(signature: SignatureType) -> Self {
        let mut public = vec![0; 384];
        getrandom::fill(&mut public).expect("the operating system gives random bytes");
        public.extend_from_slice(signature.certificate());
        let mut private = vec![0; ENCRYPTION_KEY_BYTES + signature.private_key_bytes()];
        getrandom::fill(&mut private).expect("the operating system gives random bytes");
        let private = BASE64.encode(&[public.as_slice(), &private].concat());
        Self::parse(&private).expect("made of a destination and its private keys")
    }

    /// The hash of the destination in base64.
    pub(crate) fn hash(&self) -> String {
        BASE64.encode(self.destination.b32().hash())
    }

    /// Parses a private key, which begins with the destination. `None` when it is too short.
    pub(crate) fn parse(private: &str) -> Option<Self> {
        let destination = Destination::from_private_key(private).ok()?;
        let bytes = destination.as_bytes().len();
        // The certificate holds the signature type. The private key of an unknown type has at least one byte.
        let signing = match destination.as_bytes().get(384..389) {
            None => SignatureType::Dsa.private_key_bytes(),
            Some([5, _, _, 0, 1 | 7 | 11]) => SignatureType::Ed25519.private_key_bytes(),
            Some(_) => 1,
        };
        // Four characters stand for three bytes; the padding is part of the last four.
        let characters = private.trim_end_matches('=').len();
        if characters * 3 / 4 < bytes + ENCRYPTION_KEY_BYTES + signing {
            return None;
        }
        Some(Self { public: destination.to_base64(), destination, private: private.to_owned() })
    }

    /// The keys of [`destination`].
    #[allow(clippy::expect_used, reason = "well-formed, as a test below checks")]
    pub(crate) fn fixed() -> Self {
        Self::parse(&private_key()).expect("the fixed private key is well-formed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_lengths_that_routers_give_them() {
        // Java I2P 2.7.0, DEST GENERATE: 516 and 884 characters for type 0, 524 and 908 for 1, 7 and 11.
        for (signature, lengths) in [
            (SignatureType::Dsa, (516, 884)),
            (SignatureType::EcdsaP256, (524, 908)),
            (SignatureType::Ed25519, (524, 908)),
            (SignatureType::RedDsa, (524, 908)),
        ] {
            let keys = KeyPair::generate(signature);
            assert_eq!((keys.public.len(), keys.private.len()), lengths, "{signature:?}");
            assert_ne!(keys.public, KeyPair::generate(signature).public);
        }
        let keys = KeyPair::fixed();
        assert_eq!((keys.public, keys.private.len()), (destination(), 908));
    }

    #[test]
    fn a_private_key_that_is_too_short_is_refused() {
        let keys = KeyPair::generate(SignatureType::Ed25519);
        assert!(KeyPair::parse(&keys.private).is_some());
        // Java I2P 2.7.0, SESSION CREATE with 904 of the 908 characters: INVALID_KEY.
        assert!(KeyPair::parse(keys.private.get(..904).unwrap()).is_none());
        assert!(KeyPair::parse(&keys.public).is_none());
        assert!(KeyPair::parse("abcd").is_none());
    }
}

use core::fmt;

/// Gives a key type its number. A number without a name here is kept as it is, so a destination with a key type of the future
/// is still a destination.
macro_rules! numbered {
    ($key_type:ident) => {
        impl $key_type {
            /// Makes the type with this number, known or not.
            #[must_use]
            pub const fn from_number(number: u16) -> Self {
                Self(number)
            }

            /// The number in a key certificate.
            #[must_use]
            pub const fn number(self) -> u16 {
                self.0
            }
        }

        /// Prints the number, the form that SAM's `SIGNATURE_TYPE` takes.
        impl fmt::Display for $key_type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// The type of a signing key: its number in a key certificate (common structures, "Key Certificates").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignatureType(u16);

numbered!(SignatureType);

impl SignatureType {
    /// The type of a destination without a key certificate.
    pub const DSA_SHA1: Self = Self(0);
    /// ECDSA over P-256.
    pub const ECDSA_SHA256_P256: Self = Self(1);
    /// ECDSA over P-384.
    pub const ECDSA_SHA384_P384: Self = Self(2);
    /// ECDSA over P-521. The certificate holds the last four bytes of the key.
    pub const ECDSA_SHA512_P521: Self = Self(3);
    /// RSA of 2,048 bits. The certificate holds the second half of the key.
    pub const RSA_SHA256_2048: Self = Self(4);
    /// RSA of 3,072 bits. The certificate holds all but the first 128 bytes of the key.
    pub const RSA_SHA384_3072: Self = Self(5);
    /// RSA of 4,096 bits. The certificate holds all but the first 128 bytes of the key.
    pub const RSA_SHA512_4096: Self = Self(6);
    /// Ed25519, the type of nearly all destinations today.
    pub const EDDSA_SHA512_ED25519: Self = Self(7);
    /// Ed25519 with prehashing.
    pub const EDDSA_SHA512_ED25519PH: Self = Self(8);
    /// GOST R 34.10-2012 of 256 bits (proposal 134; i2pd can make such keys).
    pub const GOSTR3410_GOSTR3411_256: Self = Self(9);
    /// GOST R 34.10-2012 of 512 bits (proposal 134; i2pd can make such keys).
    pub const GOSTR3410_GOSTR3411_512: Self = Self(10);
    /// RedDSA: Ed25519 keys that can be blinded, for encrypted lease sets.
    pub const REDDSA_SHA512_ED25519: Self = Self(11);

    /// The length of a public key in bytes; `None` for a type that is unknown here.
    #[must_use]
    pub const fn public_key_length(self) -> Option<usize> {
        Some(match self {
            Self::EDDSA_SHA512_ED25519 | Self::EDDSA_SHA512_ED25519PH | Self::REDDSA_SHA512_ED25519 => 32,
            Self::ECDSA_SHA256_P256 | Self::GOSTR3410_GOSTR3411_256 => 64,
            Self::ECDSA_SHA384_P384 => 96,
            Self::DSA_SHA1 | Self::GOSTR3410_GOSTR3411_512 => 128,
            Self::ECDSA_SHA512_P521 => 132,
            Self::RSA_SHA256_2048 => 256,
            Self::RSA_SHA384_3072 => 384,
            Self::RSA_SHA512_4096 => 512,
            _ => return None,
        })
    }
}

/// The type of an encryption key: its number in a key certificate (common structures, "Key Certificates").
///
/// Clients encrypt to the keys in the lease set. The key in a destination has been unused since release 0.6 of Java I2P.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EncryptionType(u16);

numbered!(EncryptionType);

impl EncryptionType {
    /// The type of a destination without a key certificate, and of most with one.
    pub const ELGAMAL: Self = Self(0);
    /// Reserved (proposal 145).
    pub const P256: Self = Self(1);
    /// Reserved (proposal 145).
    pub const P384: Self = Self(2);
    /// Reserved (proposal 145).
    pub const P521: Self = Self(3);
    /// ECIES over X25519.
    pub const X25519: Self = Self(4);

    /// The length of a public key in bytes; `None` for a type that is unknown here.
    #[must_use]
    pub const fn public_key_length(self) -> Option<usize> {
        Some(match self {
            Self::X25519 => 32,
            Self::P256 => 64,
            Self::P384 => 96,
            Self::P521 => 132,
            Self::ELGAMAL => 256,
            _ => return None,
        })
    }
}

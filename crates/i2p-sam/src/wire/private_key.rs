use std::{fmt, str::FromStr};

use i2p_name::{Destination, NameError, base64};
use zeroize::Zeroizing;

/// The keys of a session: a destination and the secret keys behind it (SAM v3, "Destination key generation"). Wiped from
/// memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    text: Zeroizing<String>,
    destination: Destination,
}

impl PrivateKey {
    /// From the binary form, which is also what i2pd and Java I2P keep in their key files: the destination, the private
    /// encryption key, the private signing key.
    ///
    /// # Errors
    /// [`NameError`] when there is no destination with keys behind it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NameError> {
        base64::encode(bytes).parse()
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // It was decoded once already.
        Zeroizing::new(base64::decode(&self.text).unwrap_or_default())
    }

    /// The destination that the keys belong to.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// I2P's base64, as SAM has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for PrivateKey {
    type Err = NameError;

    /// From the base64 of a `SESSION STATUS` or `DEST REPLY`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let destination = Destination::from_private_key(text)?;
        Ok(Self { text: Zeroizing::new(text.to_owned()), destination })
    }
}

/// Without the keys.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

use std::{fmt, str::FromStr, sync::Arc};

use i2p_name::{Destination, NameError, base64};
use zeroize::Zeroizing;

/// The keys of a session: a destination and its secret keys (SAM v3, "Destination key generation"). Clones share one copy of
/// the secret keys, which is wiped from memory when the last clone is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    text: Arc<Zeroizing<String>>,
    destination: Destination,
}

impl PrivateKey {
    /// Parses the binary form, which is also the content of the key files of i2pd and Java I2P: the destination, the private
    /// encryption key, the private signing key.
    ///
    /// # Errors
    /// [`NameError`] when the bytes are not a destination with its secret keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NameError> {
        Self::new(Zeroizing::new(base64::encode(bytes)))
    }

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // It was decoded before, so decoding does not fail.
        Zeroizing::new(base64::decode(&self.text).unwrap_or_default())
    }

    fn new(text: Zeroizing<String>) -> Result<Self, NameError> {
        let destination = Destination::from_private_key(&text)?;
        Ok(Self { text: Arc::new(text), destination })
    }

    /// The destination of the keys.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The keys in I2P's base64, as SAM writes them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for PrivateKey {
    type Err = NameError;

    /// Parses the base64 of a `SESSION STATUS` or `DEST REPLY`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(Zeroizing::new(text.to_owned()))
    }
}

/// Does not print the keys.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

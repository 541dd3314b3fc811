use core::{fmt, ops::Deref};

use crate::encode::Encode;

/// Bytes of the longest message held: a SOCKS5 reply with an IPv6 address.
const MAX_MESSAGE_BYTES: usize = 22;

/// A short encoded message, to be sent in one write. Dereferences to its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; MAX_MESSAGE_BYTES],
    length: usize,
}

impl Encoded {
    /// Encodes a message. The result is empty if the message does not fit, which no caller's message does.
    pub(crate) fn of(message: &impl Encode) -> Self {
        let mut bytes = [0; MAX_MESSAGE_BYTES];
        let length = message.encode(&mut bytes).unwrap_or_default();
        Self { bytes, length }
    }
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({:02x?})", &**self)
    }
}

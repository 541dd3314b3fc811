use core::{fmt, ops::Deref};

/// Longest message that a server sends: a SOCKS5 reply with an IPv6 address.
const MAX: usize = 22;

/// A message ready to be sent, in one write. Dereferences to its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; MAX],
    length: usize,
}

impl Encoded {
    /// The parts one after the other. Callers stay within [`MAX`]; what went past it would be cut.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut bytes = [0; MAX];
        let mut length = 0;
        for (slot, &byte) in bytes.iter_mut().zip(parts.iter().copied().flatten()) {
            *slot = byte;
            length += 1;
        }
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

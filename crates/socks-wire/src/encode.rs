//! Writing messages into a caller's buffer.

/// Why a message could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer has less room than the message needs. Every message says how much it can need at most.
    #[error("the buffer is too small: the message needs {needed} bytes")]
    BufferTooSmall {
        /// Bytes that this message takes.
        needed: usize,
    },
    /// A field is longer than its length byte can say, 255 bytes, or than SOCKS4 fields may be here:
    /// [`MAX_USER_ID`](crate::v4::MAX_USER_ID) and [`MAX_HOST`](crate::v4::MAX_HOST).
    #[error("a field is longer than it can or may be")]
    FieldTooLong,
    /// A field of SOCKS4 holds a NUL, which would end it early.
    #[error("a NUL in a SOCKS4 field")]
    Nul,
    /// A host name or a list of methods that is empty.
    #[error("an empty host name or list of methods")]
    Empty,
}

/// A message that can be written.
pub trait Encode {
    /// The most bytes that any message of this kind takes.
    const MAX_LENGTH: usize;

    /// Writes the message to the front of the buffer and gives its length in bytes. On an error the buffer's content
    /// is not defined.
    ///
    /// # Errors
    /// [`EncodeError`]; never [`EncodeError::BufferTooSmall`] when the buffer has [`Encode::MAX_LENGTH`] bytes.
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer { buffer, length: 0 };
        self.write(&mut writer)?;
        let needed = writer.length;
        if needed > writer.buffer.len() { Err(EncodeError::BufferTooSmall { needed }) } else { Ok(needed) }
    }

    /// Appends the message to a buffer that grows, or has room.
    ///
    /// # Errors
    /// [`EncodeError`]; then nothing is appended.
    #[cfg(feature = "bytes")]
    fn put(&self, buffer: &mut impl bytes::BufMut) -> Result<(), EncodeError>
    where
        Self: Sized,
    {
        let mut scratch = [0; crate::LONG_BUFFER];
        let length = self.encode(&mut scratch)?;
        let message = scratch.get(..length).unwrap_or_default();
        if buffer.remaining_mut() < length {
            return Err(EncodeError::BufferTooSmall { needed: length });
        }
        buffer.put_slice(message);
        Ok(())
    }

    /// Writes the parts in their order.
    #[doc(hidden)]
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// Takes parts one after the other, and counts on past the end of its buffer, so that the length is known anyway.
#[doc(hidden)]
#[allow(unnameable_types, reason = "only this crate has messages to write")]
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.buffer.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
        }
        self.length = end;
    }

    pub(crate) fn port(&mut self, port: u16) {
        self.bytes(&port.to_be_bytes());
    }

    /// A length byte and the field.
    pub(crate) fn counted(&mut self, field: &[u8]) -> Result<(), EncodeError> {
        let length = u8::try_from(field.len()).map_err(|_| EncodeError::FieldTooLong)?;
        self.bytes(&[length]);
        self.bytes(field);
        Ok(())
    }

    /// The field and a NUL.
    pub(crate) fn nul_terminated(&mut self, field: &[u8], limit: usize) -> Result<(), EncodeError> {
        if field.len() > limit {
            return Err(EncodeError::FieldTooLong);
        }
        if field.contains(&0) {
            return Err(EncodeError::Nul);
        }
        self.bytes(field);
        self.bytes(&[0]);
        Ok(())
    }
}

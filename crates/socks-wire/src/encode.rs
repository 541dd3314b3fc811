//! Writes messages into the caller's buffer.

/// Why a message could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is smaller than the message. [`Encode::MAX_LENGTH`] bytes are always enough.
    #[error("the buffer is too small: the message needs {needed} bytes")]
    BufferTooSmall {
        /// The length of this message in bytes.
        needed: usize,
    },
    /// A field is longer than 255 bytes, the limit of its length byte, or longer than SOCKS4 fields may be in this crate:
    /// [`MAX_USER_ID_BYTES`](crate::v4::MAX_USER_ID_BYTES) and [`MAX_HOST_BYTES`](crate::v4::MAX_HOST_BYTES).
    #[error("a field is too long")]
    FieldTooLong,
    /// A field of SOCKS4 contains a NUL, which would end it early.
    #[error("a SOCKS4 field contains a NUL")]
    Nul,
    /// The host name or the list of methods is empty.
    #[error("the host name or the list of methods is empty")]
    Empty,
}

/// A message that can be written to a buffer.
pub trait Encode {
    /// The length in bytes of the longest message of this kind.
    const MAX_LENGTH: usize;

    /// Writes the message to the front of the buffer and returns its length in bytes. After an error the content of the
    /// buffer is unspecified.
    ///
    /// # Errors
    /// [`EncodeError`]; never [`EncodeError::BufferTooSmall`] when the buffer has [`Encode::MAX_LENGTH`] bytes.
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer { buffer, length: 0 };
        self.write(&mut writer)?;
        let needed = writer.length;
        if needed > writer.buffer.len() { Err(EncodeError::BufferTooSmall { needed }) } else { Ok(needed) }
    }

    /// Appends the message to a buffer.
    ///
    /// # Errors
    /// [`EncodeError`]; nothing is appended then.
    #[cfg(feature = "bytes")]
    fn put(&self, buffer: &mut impl bytes::BufMut) -> Result<(), EncodeError>
    where
        Self: Sized,
    {
        let mut scratch = [0; crate::LONG_BUFFER_BYTES];
        let length = self.encode(&mut scratch)?;
        let message = scratch.get(..length).unwrap_or_default();
        if buffer.remaining_mut() < length {
            return Err(EncodeError::BufferTooSmall { needed: length });
        }
        buffer.put_slice(message);
        Ok(())
    }

    /// Writes the fields in order.
    #[doc(hidden)]
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// Writes fields one after the other. It counts past the end of its buffer, so the needed length is known in any case.
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

    /// Writes a length byte and the field.
    pub(crate) fn counted(&mut self, field: &[u8]) -> Result<(), EncodeError> {
        let length = u8::try_from(field.len()).map_err(|_| EncodeError::FieldTooLong)?;
        self.bytes(&[length]);
        self.bytes(field);
        Ok(())
    }

    /// Writes the field and a NUL.
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

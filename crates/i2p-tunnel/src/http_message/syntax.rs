use super::refusal::Refusal;

/// The longest head of a request: several cookies of the largest size that browsers keep.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The largest buffers of hyper for a connection. Bodies pass through them in pieces.
pub(crate) const MAX_BUFFER_BYTES: usize = MAX_HEAD_BYTES + 16 * 1024;

/// Most header fields of a message, and most fields of a trailer section.
pub(crate) const MAX_FIELDS: usize = 128;

/// Whether a byte may be part of a token, such as a method or the name of a field (RFC 9110 section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_byte)
}

/// Splits a field line into name and value, without the whitespace around the value (RFC 9112 section 5). There must be none
/// around the name.
pub(super) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Refusal::FoldedLine);
    }
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Refusal::FieldName)?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    if is_token(name) { Ok((name, value.trim_ascii())) } else { Err(Refusal::FieldName) }
}

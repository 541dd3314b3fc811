//! Literals (RFC 9051 section 4.3, RFC 7888): bytes that are no line, of a length that the line before announces.

/// The length of the literal that a line announces at its end, and whether the server has to agree first.
pub(super) fn announced(line: &[u8]) -> Option<(u64, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let start = inner.iter().rposition(|&byte| byte == b'{')?;
    let (_, number) = inner.split_at(start + 1);
    let (digits, waits) = match number.strip_suffix(b"+").or(number.strip_suffix(b"-")) {
        Some(digits) => (digits, false),
        None => (number, true),
    };
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let number = core::str::from_utf8(digits).ok().filter(|_| is_number)?;
    number.parse().ok().map(|length| (length, waits))
}

/// Takes bytes of a literal out of the chunk, and counts them.
pub(super) fn take<'a>(chunk: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.len());
    let (bytes, rest) = chunk.split_at(length);
    *left -= u64::try_from(length).unwrap_or(*left);
    *chunk = rest;
    bytes
}

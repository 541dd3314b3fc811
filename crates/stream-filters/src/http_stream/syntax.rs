//! Words of RFC 9110 section 5.6 and RFC 3986 section 3.2.

use crate::Cut;

/// Most header fields of a request, and most lines behind a chunked body.
pub(super) const MAX_FIELDS: usize = 128;

/// Whether a text is a token, as methods and names of fields are.
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_token_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

/// The elements of a list, without the blanks around them.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// A number that consists of digits only.
///
/// # Errors
/// If it is none, or too large.
pub(super) fn length(digits: &[u8]) -> Result<u64, Cut> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = core::str::from_utf8(digits).ok().filter(|_| is_number);
    number.and_then(|number| number.parse().ok()).ok_or(Cut::AmbiguousLength)
}

/// Whether a text is a host with or without a port. A destination in I2P, in base64, is a host, too.
pub(super) fn is_authority(text: &[u8]) -> bool {
    let end = match text {
        [b'[', ..] => text.iter().position(|&byte| byte == b']').map_or(text.len(), |at| at + 1),
        _ => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let is_host = match host {
        [b'[', inside @ .., b']'] => {
            inside.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte))
        }
        name => name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~=".contains(byte)),
    };
    is_port && is_host && !host.is_empty()
}

/// Whether a protocol is HTTP in another version, or TLS for it (RFC 2817).
pub(super) fn is_http(protocol: &[u8]) -> bool {
    protocol.to_ascii_lowercase().starts_with(b"h2") || protocol.contains(&b'/')
}

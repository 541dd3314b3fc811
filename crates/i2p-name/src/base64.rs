//! I2P's base64: the standard alphabet with `-` and `~` for 62 and 63 (common structures; SAM v3, "BASE 64 Notes").

use alloc::{string::String, vec::Vec};

use data_encoding::{Encoding, Specification};

use crate::error::NameError;

fn encoding(padding: Option<char>) -> Encoding {
    let mut spec = Specification::new();
    spec.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~");
    spec.padding = padding;
    // The specification above is well-formed, so the fallback is never used.
    spec.encoding().unwrap_or(data_encoding::BASE64)
}

/// Encodes bytes as text with padding, as routers do.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    encoding(Some('=')).encode(bytes)
}

/// Decodes text with or without padding. It accepts no other characters and no leftover bits.
///
/// # Errors
/// [`NameError::Base64`].
pub fn decode(text: &str) -> Result<Vec<u8>, NameError> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    // Padding must complete the last group of four or be absent.
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return Err(NameError::Base64);
    }
    encoding(None).decode(digits.as_bytes()).map_err(|_| NameError::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_complete_or_absent_and_only_at_the_end() {
        for text in ["", "AA", "AA==", "AAA", "AAA=", "AAAA", "-~-~"] {
            assert_eq!(
                encode(&decode(text).unwrap()).trim_end_matches('='),
                text.trim_end_matches('='),
                "{text}"
            );
        }
        for text in
            ["AAA=AAAA", "AA==AA==", "AA=", "A===", "AAAA=", "AAAA====", "=", "AAA==", "A", "AB==", "A+AA"]
        {
            assert_eq!(decode(text), Err(NameError::Base64), "{text}");
        }
    }
}

//! Punycode (RFC 3492), the encoding of the letters in `xn--` labels. Only decoding: encoding is a part of UTS 46.

use alloc::vec::Vec;
use core::str::Bytes;

/// The parameters that RFC 3492 section 5 sets for domain names.
const BASE: u32 = 36;
const MIN_THRESHOLD: u32 = 1;
const MAX_THRESHOLD: u32 = 26;
const SKEW: u32 = 38;
const FIRST_DAMP: u32 = 700;
const FIRST_BIAS: u32 = 72;
const FIRST_CODE_POINT: u32 = 0x80;

/// Decodes the part of a label after `xn--` (RFC 3492 section 6.2). `None` if it is not Punycode.
///
/// Takes time proportional to the square of the length: check the length of the label before.
pub(crate) fn decode(encoded: &str) -> Option<Vec<char>> {
    let (ascii, rest) =
        encoded.rsplit_once('-').filter(|(ascii, _)| !ascii.is_empty()).unwrap_or(("", encoded));
    let mut output: Vec<char> = ascii.chars().collect();
    let (mut code_point, mut position, mut bias) = (FIRST_CODE_POINT, 0_u32, FIRST_BIAS);
    let (mut digits, mut damp) = (rest.bytes(), FIRST_DAMP);
    while digits.len() > 0 {
        let delta = next_delta(&mut digits, bias)?;
        let length = u32::try_from(output.len()).ok()?.checked_add(1)?;
        bias = next_bias(delta, length, damp);
        damp = 2;
        // The delta counts steps through all positions of all code points, in that order.
        let steps = position.checked_add(delta)?;
        code_point = code_point.checked_add(steps / length)?;
        position = steps % length;
        output.insert(usize::try_from(position).ok()?, char::from_u32(code_point)?);
        position += 1;
    }
    Some(output)
}

/// Reads a number of variable length (RFC 3492 section 3.3).
fn next_delta(digits: &mut Bytes<'_>, bias: u32) -> Option<u32> {
    let (mut delta, mut weight, mut place) = (0_u32, 1_u32, BASE);
    loop {
        let digit = digit(digits.next()?)?;
        delta = delta.checked_add(digit.checked_mul(weight)?)?;
        let threshold = place.saturating_sub(bias).clamp(MIN_THRESHOLD, MAX_THRESHOLD);
        if digit < threshold {
            return Some(delta);
        }
        weight = weight.checked_mul(BASE - threshold)?;
        place += BASE;
    }
}

/// The value of a digit: `a` to `z` are 0 to 25, `0` to `9` are 26 to 35.
fn digit(byte: u8) -> Option<u32> {
    match byte {
        b'a'..=b'z' => Some(u32::from(byte - b'a')),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 26),
        _ => None,
    }
}

/// Adapts the bias to the last delta (RFC 3492 section 6.1).
fn next_bias(delta: u32, length: u32, damp: u32) -> u32 {
    let mut delta = delta / damp;
    delta += delta / length;
    let mut bias = 0;
    while delta > (BASE - MIN_THRESHOLD) * MAX_THRESHOLD / 2 {
        delta /= BASE - MIN_THRESHOLD;
        bias += BASE;
    }
    bias + (BASE - MIN_THRESHOLD + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn decoded(encoded: &str) -> Option<String> {
        decode(encoded).map(|chars| chars.into_iter().collect())
    }

    /// Names of RFC 3492 section 7.1 and of the root zone.
    #[test]
    fn letters_of_all_scripts_are_decoded() {
        for (encoded, text) in [
            ("bcher-kva", "bücher"),
            ("p1ai", "рф"),
            ("fiqs8s", "中国"),
            ("ihqwcrb4cv8a8dqg056pqjye", "他们为什么不说中文"),
            ("b1abfaaepdrnnbgefbadotcwatmq2g4l", "почемужеонинеговорятпорусски"),
            ("vermgensberatung-pwb", "vermögensberatung"),
            ("2p-mja", "\u{ed}2p"),
            ("i2p-", "i2p"),
            ("", ""),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(text), "{encoded}");
        }
    }

    #[test]
    fn malformed_labels_are_not_decoded() {
        for encoded in ["-", "-a", "a-b", "a_", "99999999999", "a-99999999999999", "i2p-ü"] {
            assert_eq!(decoded(encoded), None, "{encoded}");
        }
    }

    #[cfg(feature = "idna")]
    mod compared {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// Another decoder decodes the same labels to the same text.
            #[test]
            fn another_decoder_agrees(encoded in "[a-z0-9-]{0,59}|[a-z]{1,8}-[a-z0-9]{1,6}|[a-z0-9]{1,6}") {
                prop_assert_eq!(decode(&encoded), idna::punycode::decode(&encoded));
            }

            #[test]
            fn what_another_encoder_encodes_is_decoded(text in "[a-z0-9\\PC]{0,20}") {
                let text = text.to_lowercase();
                if let Some(encoded) = idna::punycode::encode_str(&text) {
                    prop_assert_eq!(decoded(&encoded.to_lowercase()), Some(text));
                }
            }
        }
    }
}

//! Hexadecimal text of the vectors.

/// Parses pairs of hexadecimal digits with blanks anywhere. `place` is the origin of the text, for the message of a failure.
pub(crate) fn parse(place: &str, text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(!digits.is_empty() && digits.len().is_multiple_of(2), "{place}: not bytes: {text}");
    let digit = |c: char| c.to_digit(16).unwrap_or_else(|| panic!("{place}: not hexadecimal: {text}"));
    digits.chunks(2).map(|pair| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).unwrap()).collect()
}

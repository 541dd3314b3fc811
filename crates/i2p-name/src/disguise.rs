//! Disguises: names that do not end in `.i2p`, although a person or another program would take them for names that do.

use crate::{confusables, error::NameError, international};

/// Full stops of other scripts, which UTS 46 turns into dots.
const FULL_STOPS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Refuses a name that looks like one in I2P, or that becomes one when its `xn--` labels are decoded. The name is in ASCII and
/// lower case, without a trailing dot.
///
/// Only the end of a name counts, so `i2p.example` is not refused: the last label, or the last two if the last one looks like
/// `alt` (RFC 9476). Labels in which nothing is visible do not count at all.
pub(crate) fn refuse_disguised(name: &str) -> Result<(), NameError> {
    let mut alt_follows = false;
    for label in name.rsplit('.') {
        let decoded = international::decode_label(label)?;
        for part in decoded.rsplit(FULL_STOPS) {
            match Look::of(part) {
                Look::Invisible => {}
                Look::I2p => return Err(NameError::LooksLikeI2p),
                Look::Alt if !alt_follows => alt_follows = true,
                Look::Alt | Look::Other => return Ok(()),
            }
        }
    }
    Ok(())
}

/// What a label looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    I2p,
    Alt,
    /// It has no letters and digits: only punctuation, symbols, or nothing.
    Invisible,
    Other,
}

impl Look {
    /// Compares the visible characters of a label. Punctuation does not count, as in `i2p_`.
    fn of(label: &str) -> Self {
        let mut letters = label.chars().filter_map(confusables::looks_like);
        let letters: [Option<char>; 4] = core::array::from_fn(|_| letters.next());
        match letters {
            [None, ..] => Self::Invisible,
            [Some('i'), Some('2'), Some('p'), None] => Self::I2p,
            // The letters i and l look alike.
            [Some('a'), Some('i'), Some('t'), None] => Self::Alt,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_compared_by_their_look() {
        for (label, look) in [
            ("i2p", Look::I2p),
            ("l2p", Look::I2p),
            ("12p", Look::I2p),
            ("-i_2-p_", Look::I2p),
            ("\u{456}2\u{440}", Look::I2p),
            ("i\u{301}2\u{200d}p", Look::I2p),
            ("alt", Look::Alt),
            ("\u{430}1\u{442}", Look::Alt),
            ("", Look::Invisible),
            ("_-", Look::Invisible),
            ("\u{3164}", Look::Invisible),
            ("i2", Look::Other),
            ("xi2p", Look::Other),
            ("i2pp", Look::Other),
            ("com", Look::Other),
        ] {
            assert_eq!(Look::of(label), look, "{label:?}");
        }
    }

    #[test]
    fn only_the_end_of_a_name_counts() {
        for name in ["a.i2p_", "a.i2p_.alt", "a.12p.a1t", "a.l2p._.-", "i2p-"] {
            assert_eq!(refuse_disguised(name), Err(NameError::LooksLikeI2p), "{name}");
        }
        for name in ["i2p_.example", "i2p_.alt.example", "i2p-.alt.alt", "a.alt", "alt", "_", "_._"] {
            assert_eq!(refuse_disguised(name), Ok(()), "{name}");
        }
    }
}

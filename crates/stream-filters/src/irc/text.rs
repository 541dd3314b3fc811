//! What a PRIVMSG or a NOTICE may say. CTCP talks to the program of the other side, not to the person: it asks for its name, the time
//! of its machine, the name of its user, and offers connections to its address.

use crate::Subject;

/// Encloses a CTCP message.
const CTCP: u8 = 0x01;
/// The quoting of CTCP's draft: it hides another byte, such as the one above. No program writes it any more.
const QUOTE: u8 = 0x10;

/// Whether a line has a byte with a meaning of its own, which no parameter but the text of a message needs.
pub(super) fn has_reserved_byte(line: &[u8]) -> bool {
    line.iter().any(|byte| matches!(*byte, 0 | CTCP | QUOTE))
}

/// Checks a text. It may be words, or the action of a person (`/me`).
///
/// # Errors
/// With what it is instead.
pub(super) fn check(text: &[u8], is_notice: bool) -> Result<(), Subject> {
    if text.iter().any(|byte| matches!(*byte, 0 | QUOTE)) {
        return Err(Subject::Malformed);
    }
    let Some(first) = text.iter().position(|&byte| byte == CTCP) else {
        // mIRC says in words, too, that it offers a file, and from which address.
        return match is_notice && begins_with_dcc(text) {
            true => Err(Subject::DirectConnection),
            false => Ok(()),
        };
    };
    let (_, message) = text.split_at(first);
    let message = message.get(1..).unwrap_or_default();
    let inner = message.strip_suffix(&[CTCP]).unwrap_or(message);
    let (name, rest) = inner.split_at(inner.iter().take_while(|byte| byte.is_ascii_alphabetic()).count());
    // Several messages in a line, or one in the middle of words: not all programs see the same.
    if first == 0
        && name.eq_ignore_ascii_case(b"ACTION")
        && matches!(rest, [] | [b' ', ..])
        && !rest.contains(&CTCP)
    {
        return Ok(());
    }
    let offers = inner.split(|&byte| byte == CTCP).any(begins_with_dcc);
    Err(if offers { Subject::DirectConnection } else { Subject::ProgramQuery })
}

/// Whether the first word is DCC, or another of the words that offer a connection. Blanks, bold face and colours before it do not count.
fn begins_with_dcc(mut text: &[u8]) -> bool {
    while let [format @ 0..=b' ', rest @ ..] = text {
        text = match *format {
            0x03 => after_colour(rest, 2, u8::is_ascii_digit),
            0x04 => after_colour(rest, 6, u8::is_ascii_hexdigit),
            _ => rest,
        };
    }
    let (word, _) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count());
    [&b"DCC"[..], b"SDCC", b"TDCC"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// What follows the numbers of a colour: one for the letters, and one for the ground after a comma.
fn after_colour(text: &[u8], digits: usize, is_digit: fn(&u8) -> bool) -> &[u8] {
    let after_number = |text: &mut &[u8]| {
        let (_, rest) = text.split_at(text.iter().take(digits).take_while(|byte| is_digit(byte)).count());
        *text = rest;
    };
    let mut rest = text;
    after_number(&mut rest);
    if let Some(ground) = rest.strip_prefix(b",") {
        rest = ground;
        after_number(&mut rest);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_actions_pass() {
        for text in
            ["hello", "", "\u{2}bold\u{3}04 red", "\u{1}ACTION waves\u{1}", "\u{1}action waves", "C:\\apps"]
        {
            for is_notice in [false, true] {
                assert_eq!(check(text.as_bytes(), is_notice), Ok(()), "{text:?}");
            }
        }
        assert_eq!(check(b"DCC is a protocol", false), Ok(()));
    }

    #[test]
    fn messages_to_programs_do_not() {
        for text in [
            "\u{1}VERSION\u{1}",
            "\u{1}VERSION",
            "\u{1}version irssi 1.4\u{1}",
            "\u{1}PING 1700000000\u{1}",
            "\u{1}TIME\u{1}",
            "\u{1}FINGER\u{1}",
            "\u{1}CLIENTINFO\u{1}",
            "\u{1}ACTIONS\u{1}",
            "\u{1}ACTION a\u{1}\u{1}VERSION\u{1}",
            "\u{1}ACTION a\u{1} b",
            "\u{1} ACTION a\u{1}",
            "\u{1}\u{1}",
            "\u{1}",
            "hello \u{1}VERSION\u{1}",
            "hello\u{1}ACTION a\u{1}",
        ] {
            assert_eq!(check(text.as_bytes(), false), Err(Subject::ProgramQuery), "{text:?}");
        }
        for text in
            ["\u{10}\u{1}VERSION\u{1}", "\u{10}aVERSION", "a\u{10}0b", "a\u{0}b", "\u{1}ACTION \u{10}\u{1}"]
        {
            assert_eq!(check(text.as_bytes(), false), Err(Subject::Malformed), "{text:?}");
        }
    }

    #[test]
    fn offers_of_connections_do_not() {
        for text in [
            "\u{1}DCC SEND file 3232235777 1024 99\u{1}",
            "\u{1}DCC CHAT chat 3232235777 1024\u{1}",
            "\u{1}dcc schat chat 3232235777 1024",
            "\u{1}ACTION a\u{1}\u{1}DCC RESUME file 1024 9\u{1}",
            "see \u{1}DCC SEND file fe80::1 1024 9\u{1}",
        ] {
            assert_eq!(check(text.as_bytes(), false), Err(Subject::DirectConnection), "{text:?}");
        }
        for text in
            ["DCC Send file (192.0.2.1)", "  dcc chat (192.0.2.1)", "\u{2}\u{3}4,12\u{4}ff0000DCC Send"]
        {
            assert_eq!(check(text.as_bytes(), true), Err(Subject::DirectConnection), "{text:?}");
        }
    }
}

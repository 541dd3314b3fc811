/// A line of IRC, taken apart (RFC 2812 section 2.3.1, and the message tags of IRCv3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The tags, without the `@`.
    pub(super) tags: Option<&'a [u8]>,
    /// Who says it, without the `:`.
    pub(super) source: Option<&'a [u8]>,
    /// Letters, or three digits.
    pub(super) command: &'a [u8],
    /// What follows.
    pub(super) parameters: Parameters<'a>,
}

impl<'a> Message<'a> {
    /// `None` if the line is not one of IRC.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (tags, rest) = after_mark(line, b'@')?;
        let (source, rest) = after_mark(rest, b':')?;
        let (command, rest) = word(rest);
        let is_number = command.len() == 3 && command.iter().all(u8::is_ascii_digit);
        let is_word = !command.is_empty() && command.iter().all(u8::is_ascii_alphabetic);
        (is_number || is_word).then_some(Self { tags, source, command, parameters: Parameters(rest) })
    }
}

/// The word after a mark, if the text begins with the mark, and the rest. `None` if there is no such word, or nothing after it.
fn after_mark(text: &[u8], mark: u8) -> Option<(Option<&[u8]>, &[u8])> {
    let Some((_, marked)) = text.split_first().filter(|(first, _)| **first == mark) else {
        return Some((None, text));
    };
    let (found, rest) = word(marked);
    (!found.is_empty() && !rest.is_empty()).then_some((Some(found), rest))
}

/// The text up to a blank, and what follows the blanks.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let (_, rest) = rest.split_at(rest.iter().take_while(|byte| **byte == b' ').count());
    (word, rest)
}

/// Parameters of a message. The last one may begin with a colon, and then hold blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    /// A parameter by its position.
    pub(super) fn get(&self, position: usize) -> Option<&'a [u8]> {
        self.words().nth(position).map(|word| word.strip_prefix(b":").unwrap_or(word))
    }

    /// Exactly these many parameters.
    pub(super) fn exactly<const N: usize>(&self) -> Option<[&'a [u8]; N]> {
        let mut found = [&b""[..]; N];
        for (position, place) in found.iter_mut().enumerate() {
            *place = self.get(position)?;
        }
        self.get(N).is_none().then_some(found)
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&'a [u8]> {
        self.words().last().map(|word| word.strip_prefix(b":").unwrap_or(word))
    }

    /// All of them as they are written: the last one with its colon, if it has one.
    pub(super) fn words(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if rest.first() == Some(&b':') {
                return Some(core::mem::take(&mut rest));
            }
            let (found, tail) = word(rest);
            rest = tail;
            Some(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let message = Message::parse(b"@a=b;c :nick!u@h PRIVMSG  #c  :a  b ").unwrap();
        assert_eq!(message.tags, Some(&b"a=b;c"[..]));
        assert_eq!(message.source, Some(&b"nick!u@h"[..]));
        assert_eq!(message.command, b"PRIVMSG");
        assert_eq!(message.parameters.exactly(), Some([&b"#c"[..], b"a  b "]));
        assert_eq!(message.parameters.words().collect::<Vec<_>>(), [&b"#c"[..], b":a  b "]);
        assert_eq!(message.parameters.exactly::<1>(), None);
        assert_eq!(message.parameters.exactly::<3>(), None);
        assert_eq!(Message::parse(b"001 me").unwrap().parameters.last(), Some(&b"me"[..]));
        assert_eq!(Message::parse(b"QUIT").unwrap().parameters.last(), None);
    }

    #[test]
    fn other_lines_are_not_lines_of_irc() {
        for line in
            ["", " PING a", ":a", ":a ", ": PING", "@a", "@ PING a", "01 a", "0011 a", "P1NG a", "PING\ta"]
        {
            assert_eq!(Message::parse(line.as_bytes()), None, "{line:?}");
        }
    }
}

//! Pings of both sides.

use alloc::{collections::VecDeque, vec::Vec};

/// Texts of pings that did not go out. Each goes out as a number, and the answer gets the text back.
#[derive(Debug, Default)]
pub(super) struct Pings {
    waiting: VecDeque<(u8, Vec<u8>)>,
    next: u8,
}

/// Pings without an answer that are remembered, the last ones.
const MAX_WAITING: usize = 8;
/// Numbers are below this one, so they do not tell for how long a client has been there.
const NUMBERS: u8 = 16;
/// Texts of pings are short. A longer one is none.
pub(super) const MAX_TEXT_BYTES: usize = 256;

impl Pings {
    /// Keeps a text. Returns the number in its place, as text.
    pub(super) fn keep(&mut self, text: &[u8]) -> Vec<u8> {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        let number = self.next;
        self.next = (number + 1) % NUMBERS;
        self.waiting.push_back((number, text.to_vec()));
        digits(number)
    }

    /// The text that went out as this number. It comes back once.
    pub(super) fn restore(&mut self, number: &[u8]) -> Option<Vec<u8>> {
        let position = self.waiting.iter().position(|(waiting, _)| digits(*waiting) == number)?;
        self.waiting.remove(position).map(|(_, text)| text)
    }
}

/// Texts of the server's pings to which the client has not answered, the last ones.
#[derive(Debug, Default)]
pub(super) struct ServerPings {
    texts: VecDeque<Vec<u8>>,
}

/// Texts of the server's pings that are remembered. A ping has one or two.
const MAX_SERVER_TEXTS: usize = 8;
/// Without tags, a line has at most 512 bytes.
const MAX_SERVER_TEXT_BYTES: usize = 512;

impl ServerPings {
    /// The server asks with this text. A text that is too long is not kept.
    pub(super) fn keep(&mut self, text: &[u8]) {
        if text.len() > MAX_SERVER_TEXT_BYTES {
            return;
        }
        if self.texts.len() == MAX_SERVER_TEXTS {
            self.texts.pop_front();
        }
        self.texts.push_back(text.to_vec());
    }

    /// The last of these texts with which the server has asked. It can be given once.
    pub(super) fn answer<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
        let position_of = |text: &[u8]| self.texts.iter().position(|kept| kept == text);
        let (position, text) = texts.filter_map(|text| Some((position_of(text)?, text))).last()?;
        self.texts.remove(position);
        Some(text)
    }
}

fn digits(number: u8) -> Vec<u8> {
    alloc::format!("{number}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_once() {
        let mut pings = Pings::default();
        assert_eq!(pings.keep(b"LAG1"), b"0");
        assert_eq!(pings.keep(b"LAG2"), b"1");
        assert_eq!(pings.restore(b"1").as_deref(), Some(&b"LAG2"[..]));
        assert_eq!(pings.restore(b"1"), None);
        assert_eq!(pings.restore(b"LAG1"), None);
        assert_eq!(pings.restore(b"0").as_deref(), Some(&b"LAG1"[..]));
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let mut pings = Pings::default();
        for round in 0..100_u8 {
            assert_eq!(pings.keep(&[round]), digits(round % NUMBERS));
        }
        assert_eq!(pings.waiting.len(), MAX_WAITING);
        assert_eq!(pings.restore(b"3").as_deref(), Some(&[99][..]));
        assert_eq!(pings.restore(b"11"), None);
    }

    fn answer(pings: &mut ServerPings, texts: &[&str]) -> Option<Vec<u8>> {
        pings.answer(texts.iter().map(|text| text.as_bytes())).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_text_of_the_server_is_given_once() {
        let mut pings = ServerPings::default();
        assert_eq!(answer(&mut pings, &["a"]), None);
        pings.keep(b"a");
        pings.keep(b"b");
        assert_eq!(answer(&mut pings, &["laptop"]), None);
        assert_eq!(answer(&mut pings, &["laptop", "a", "b", "laptop"]).as_deref(), Some(&b"b"[..]));
        assert_eq!(answer(&mut pings, &["b"]), None);
        assert_eq!(answer(&mut pings, &["a"]).as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn only_the_last_texts_of_the_server_are_remembered() {
        let mut pings = ServerPings::default();
        pings.keep(&[b'x'; MAX_SERVER_TEXT_BYTES + 1]);
        assert_eq!(pings.texts.len(), 0);
        (0..100_u8).for_each(|round| pings.keep(&[round]));
        assert_eq!(pings.texts.len(), MAX_SERVER_TEXTS);
        assert_eq!(pings.answer([&[91][..]].into_iter()), None);
        assert_eq!(pings.answer([&[92][..]].into_iter()), Some(&[92][..]));
    }
}

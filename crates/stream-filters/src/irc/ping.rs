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
}

//! The internet checksum (RFC 1071), and its update in place (RFC 1624).

use std::net::IpAddr;

/// A one's complement sum of 16-bit words in network order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum whose folded value is this one.
    #[must_use]
    pub fn of(word: u16) -> Self {
        Self(word.into())
    }

    /// Adds a word.
    #[must_use]
    pub fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    /// Adds bytes. An odd last byte counts as if a zero followed, so only the last piece may have an odd length.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        // A word of 32 bits adds the same as its two halves: 2^16 is 1 in this arithmetic.
        let (words, rest) = bytes.as_chunks::<4>();
        let sum = words.iter().fold(self.0, |sum, word| sum + u64::from(u32::from_be_bytes(*word)));
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        Self(sum + u64::from(u32::from_be_bytes(last)))
    }

    /// Adds an address.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    /// Adds the complement of another sum, which takes it out of this one.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.word(!other.fold())
    }

    /// Adds another sum.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        self.word(other.fold())
    }

    /// The pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).
    ///
    /// `length` is that of the transport header and what follows.
    #[must_use]
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        Self(length as u64).address(source).address(destination).word(protocol.into())
    }

    /// The sum as one word. It is 0 only if nothing but zeros was added.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the loop leaves 16 bits")]
    pub fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    /// The complement of the sum: the value of a checksum field.
    #[must_use]
    pub fn checksum(self) -> u16 {
        !self.fold()
    }
}

use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    Encode, Error,
    udp::{Fragment, Header},
};

/// Puts fragmented datagrams of one client together (RFC 1928 section 7): one sequence at a time, in order, within a
/// time limit, up to a size.
///
/// Has no clock: the time of each datagram is given, counted from any fixed beginning.
#[derive(Debug, Clone)]
pub struct Reassembly {
    timeout: Duration,
    max_length: usize,
    sequence: Option<Sequence>,
}

/// Fragments 1 to `position`, as one datagram that stands alone: the first one's header and all data.
#[derive(Debug, Clone)]
struct Sequence {
    position: u8,
    expires: Duration,
    datagram: Vec<u8>,
    /// Bytes of the datagram that are data.
    data_length: usize,
}

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reassembled<'a> {
    /// It stood alone: this is it, header and data.
    Standalone(&'a [u8]),
    /// It was the last fragment: this is the whole as if it had been sent in one, with the first fragment's address.
    Complete(Vec<u8>),
    /// It was kept; more fragments are to come.
    Kept,
    /// It does not continue the sequence, or makes it too long. The sequence was given up.
    Dropped,
}

impl Reassembly {
    /// The shortest time limit that the RFC allows.
    pub const MIN_TIMEOUT: Duration = Duration::from_secs(5);

    /// Keeps a sequence for `timeout` from its first fragment on, at least for [`Reassembly::MIN_TIMEOUT`], and up to
    /// `max_length` bytes of data.
    #[must_use]
    pub fn new(timeout: Duration, max_length: usize) -> Self {
        Self { timeout: timeout.max(Self::MIN_TIMEOUT), max_length, sequence: None }
    }

    /// Takes a datagram as it came from the client at the time `now`.
    ///
    /// # Errors
    /// [`Error`] when it has no header to be understood; it is to be dropped, and a sequence goes on.
    pub fn push<'a>(&mut self, now: Duration, datagram: &'a [u8]) -> Result<Reassembled<'a>, Error> {
        let (header, data) = Header::split(datagram)?;
        if header.fragment == Fragment::STANDALONE {
            return Ok(Reassembled::Standalone(datagram));
        }
        let position = header.fragment.position();
        // Taken out: what is not put back is given up.
        let unfinished = self.sequence.take().filter(|sequence| now < sequence.expires);
        let extended = match unfinished {
            Some(sequence) if position == sequence.position.saturating_add(1) => Some(sequence),
            // A first fragment begins anew, whatever was before it.
            _ if position == 1 => self.begin(now, &header),
            _ => None,
        };
        let Some(mut sequence) = extended else { return Ok(Reassembled::Dropped) };
        if data.len() > self.max_length - sequence.data_length {
            return Ok(Reassembled::Dropped);
        }
        sequence.datagram.extend_from_slice(data);
        sequence.data_length += data.len();
        sequence.position = position;
        if header.fragment.is_last() {
            return Ok(Reassembled::Complete(sequence.datagram));
        }
        self.sequence = Some(sequence);
        Ok(Reassembled::Kept)
    }

    fn begin(&self, now: Duration, first: &Header<'_>) -> Option<Sequence> {
        let mut head = [0; Header::MAX_LENGTH];
        let standalone = Header { fragment: Fragment::STANDALONE, ..*first };
        // A header that was parsed can be written.
        let length = standalone.encode(&mut head).ok()?;
        let datagram = head.get(..length)?.to_vec();
        Some(Sequence { position: 0, expires: now.saturating_add(self.timeout), datagram, data_length: 0 })
    }
}

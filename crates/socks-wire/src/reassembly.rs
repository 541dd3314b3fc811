use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    encode::Encode,
    error::Error,
    udp::{Fragment, Header},
};

/// Reassembles the fragmented datagrams of one client (RFC 1928 section 7): one sequence at a time, in order, within a time
/// limit and a size limit.
///
/// It has no clock: the caller passes the time of each datagram, counted from any fixed moment.
#[derive(Debug, Clone)]
pub struct Reassembly {
    timeout: Duration,
    max_length: usize,
    sequence: Option<Sequence>,
}

/// Fragments 1 to `position` as one standalone datagram: the first one's header and all data.
#[derive(Debug, Clone)]
struct Sequence {
    position: u8,
    expires: Duration,
    datagram: Vec<u8>,
    /// Bytes of data in the datagram.
    data_length: usize,
}

/// The result of adding a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reassembled<'a> {
    /// It is no fragment: header and data are returned unchanged.
    Standalone(&'a [u8]),
    /// It is the last fragment: this is the whole datagram as if sent in one piece, with the first fragment's address.
    Complete(Vec<u8>),
    /// It is kept until more fragments arrive.
    Kept,
    /// It does not continue the sequence, or makes it too long. The sequence is discarded.
    Dropped,
}

impl Reassembly {
    /// The shortest time limit that the RFC allows.
    pub const MIN_TIMEOUT: Duration = Duration::from_secs(5);

    /// Makes an empty queue, which keeps a sequence for `timeout` after its first fragment, at least for
    /// [`Reassembly::MIN_TIMEOUT`], and up to `max_length` bytes of data.
    #[must_use]
    pub fn new(timeout: Duration, max_length: usize) -> Self {
        Self { timeout: timeout.max(Self::MIN_TIMEOUT), max_length, sequence: None }
    }

    /// Adds a datagram that the client sent, received at the time `now`.
    ///
    /// # Errors
    /// [`Error`] when its header is malformed. The caller drops the datagram; the current sequence continues.
    pub fn push<'a>(&mut self, now: Duration, datagram: &'a [u8]) -> Result<Reassembled<'a>, Error> {
        let (header, data) = Header::split(datagram)?;
        if header.fragment == Fragment::STANDALONE {
            return Ok(Reassembled::Standalone(datagram));
        }
        let position = header.fragment.position();
        // The sequence is taken out, and is discarded unless it is put back below.
        let unfinished = self.sequence.take().filter(|sequence| now < sequence.expires);
        let extended = match unfinished {
            Some(sequence) if position == sequence.position.saturating_add(1) => Some(sequence),
            // A first fragment starts a new sequence in any case.
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
        // A header that was parsed can be encoded.
        let length = standalone.encode(&mut head).ok()?;
        let datagram = head.get(..length)?.to_vec();
        Some(Sequence { position: 0, expires: now.saturating_add(self.timeout), datagram, data_length: 0 })
    }
}

use alloc::vec::Vec;

use crate::{Event, Subject};

/// What a filter gives for a chunk. The caller may use one value for all chunks of a direction, and empties it in between.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Output {
    /// The bytes for the other side.
    pub bytes: Vec<u8>,
    /// What was done to the others.
    pub events: Vec<Event>,
}

impl Output {
    pub(crate) fn removed(&mut self, subject: Subject) {
        self.events.push(Event::removed(subject));
    }

    pub(crate) fn replaced(&mut self, subject: Subject) {
        self.events.push(Event::replaced(subject));
    }

    pub(crate) fn line(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// What the caller does after it has sent the bytes of [`Output`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// It gives the next chunk of either direction.
    Filter,
    /// It passes on everything that follows, in both directions, without the filter. No byte is held back in it.
    Release,
}

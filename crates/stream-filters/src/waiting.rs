use alloc::collections::VecDeque;

use crate::Cut;

/// Commands that a client sends at once: those to remove many files or messages, or one for each recipient of a message.
const MAX_WAITING: usize = 4096;

/// The commands without an answer, in order, by the kind of answer that each of them gets.
#[derive(Debug)]
pub(crate) struct Waiting<K>(VecDeque<K>);

impl<K: Copy> Waiting<K> {
    /// The client speaks first.
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// The server greets first, with an answer of this kind.
    pub(crate) fn for_greeting(kind: K) -> Self {
        Self([kind].into())
    }

    /// The client has sent a command.
    ///
    /// # Errors
    /// If too many wait.
    pub(crate) fn expect(&mut self, kind: K) -> Result<(), Cut> {
        if self.0.len() == MAX_WAITING {
            return Err(Cut::TooManyCommands { limit: MAX_WAITING });
        }
        self.0.push_back(kind);
        Ok(())
    }

    /// The command to which the next answer belongs.
    pub(crate) fn first(&self) -> Option<K> {
        self.0.front().copied()
    }

    /// It has its answer.
    pub(crate) fn answer(&mut self) -> Option<K> {
        self.0.pop_front()
    }
}

//! What a router answered when it was asked for kinds of datagrams that its version does not tell of.

use tokio::sync::OnceCell;

use crate::wire::{DatagramStyle, ResultWord};

/// The trials of one router. It is asked once for each kind.
#[derive(Debug, Default)]
pub(crate) struct StyleTrials {
    datagram2: OnceCell<StyleTrial>,
    datagram3: OnceCell<StyleTrial>,
}

/// The outcome of a trial.
#[derive(Debug, Clone)]
pub(crate) enum StyleTrial {
    /// A session was opened, or was not refused in time.
    Accepted,
    /// The router has refused, in these words.
    Refused { result: ResultWord, message: Option<String> },
}

impl StyleTrials {
    /// The trial of a kind of datagrams. `None` for those that every router supports, which are not tried.
    pub(crate) fn of(&self, style: DatagramStyle) -> Option<&OnceCell<StyleTrial>> {
        match style {
            DatagramStyle::Datagram2 => Some(&self.datagram2),
            DatagramStyle::Datagram3 => Some(&self.datagram3),
            DatagramStyle::Datagram | DatagramStyle::Raw { .. } => None,
        }
    }
}

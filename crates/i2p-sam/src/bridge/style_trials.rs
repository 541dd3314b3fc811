//! What a router answered when it was asked for kinds of datagrams that its version does not tell of.

use tokio::sync::OnceCell;

use crate::wire::{DatagramStyle, ResultWord};

/// The trials of one router. It is asked once for each kind.
#[derive(Debug, Default)]
pub(crate) struct StyleTrials {
    datagram2: OnceCell<StyleTrial>,
    datagram3: OnceCell<StyleTrial>,
    /// For the kinds that every router supports. They are never tried.
    other: OnceCell<StyleTrial>,
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
    /// The trial of a kind of datagrams.
    pub(crate) fn of(&self, style: DatagramStyle) -> &OnceCell<StyleTrial> {
        match style {
            DatagramStyle::Datagram2 => &self.datagram2,
            DatagramStyle::Datagram3 => &self.datagram3,
            _ => &self.other,
        }
    }
}

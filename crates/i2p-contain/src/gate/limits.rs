//! Bounds of what a gate remembers.

use std::time::Duration;

use super::verdict::Refusal;

/// How long a refusal by silence is remembered at least. The kernel repeats a SYN up to 64 seconds after the one before; a repeated
/// SYN that nobody remembers would be dialled as a new connection.
const SILENCE: Duration = Duration::from_secs(70);

/// Bounds of what a gate remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most flows. Once there are as many, the flow that ended first is forgotten; if none has ended, a SYN waits: it is dropped,
    /// and the kernel repeats it.
    pub flows: usize,
    /// Most dials under way. Further SYNs wait likewise.
    pub dials: usize,
    /// How long a dial may take. Longer ones are given up, in silence as for [`Refusal::TimedOut`]. As long again may pass until the
    /// listener has accepted the stream.
    pub dial: Duration,
    /// How long a flow that has ended, or was refused, is remembered for late packets. One that was refused in silence is remembered
    /// for 70 seconds at least, after each SYN that repeats the first.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 65_536, dials: 1_024, dial: Duration::from_secs(120), linger: Duration::from_secs(10) }
    }
}

impl Limits {
    /// How long a refusal is remembered after the last SYN.
    pub(super) fn refusal(&self, refusal: Refusal) -> Duration {
        if refusal == Refusal::TimedOut { self.linger.max(SILENCE) } else { self.linger }
    }
}

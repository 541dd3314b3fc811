//! How much is measured.

use std::time::Duration;

/// Connections at once where it is many, and clients that connect in a loop.
pub(crate) const MANY: usize = 16;

/// The sizes of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How often everything is measured, each time all subjects in turn.
    pub(crate) rounds: usize,
    /// How long work goes on before it is looked at.
    pub(crate) ramp: Duration,
    /// How long it is looked at.
    pub(crate) window: Duration,
    /// Small messages on one connection, there and back, and how often the subjects take turns at so many.
    pub(crate) round_trips: u64,
    pub(crate) turns: usize,
    /// Small messages over all connections that are held, there and back; at least one on each.
    pub(crate) messages: usize,
    /// Connections that are held, from step to step. The first is what the others are compared with.
    pub(crate) steps: &'static [usize],
    /// The step that memory and descriptors of one connection are taken from.
    pub(crate) idle: usize,
    /// How long those who hold more than two descriptors for each of these connections have to close what they keep for a while.
    pub(crate) rest: Duration,
    /// The most sessions, and connections over all of them at each number of sessions.
    pub(crate) sessions: usize,
    pub(crate) session_connections: usize,
    /// Names in the address book, from step to step.
    pub(crate) names: &'static [usize],
    /// Starts of ours in each round.
    pub(crate) starts: usize,
    /// Pages that each proxy fetches over the link with latency, by each address.
    pub(crate) fetches: usize,
}

impl Plan {
    /// For numbers that are published.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        ramp: Duration::from_millis(200),
        window: Duration::from_secs(2),
        round_trips: 1_000,
        turns: 10,
        messages: 10_000,
        steps: &[1, 10, 100, 1_000, 4_000],
        idle: 1_000,
        rest: Duration::from_secs(8),
        sessions: 8,
        session_connections: 1_000,
        names: &[0, 1_000, 10_000, 100_000],
        starts: 10,
        fetches: 50,
    };
    /// Enough to see that everything still runs.
    pub(crate) const SHORT: Self = Self {
        rounds: 1,
        ramp: Duration::from_millis(50),
        window: Duration::from_millis(150),
        round_trips: 100,
        turns: 3,
        messages: 5_000,
        steps: &[1, 10, 100],
        idle: 100,
        rest: Duration::ZERO,
        sessions: 2,
        session_connections: 300,
        names: &[0, 1_000],
        starts: 2,
        fetches: 5,
    };

    /// The most connections that are held.
    pub(crate) fn most(&self) -> usize {
        self.steps.last().copied().unwrap_or(1)
    }

    /// File descriptors that one process needs: two for each connection, at either end of it, and some.
    pub(crate) fn descriptors(&self) -> u64 {
        self.most() as u64 * 2 + 2_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_from_a_step_behind_the_first() {
        for plan in [Plan::FULL, Plan::SHORT] {
            assert!(plan.steps.contains(&plan.idle) && plan.idle > plan.steps[0]);
            assert!(plan.steps.is_sorted() && plan.most() >= plan.idle);
        }
    }
}

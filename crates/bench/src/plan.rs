//! The size of a run.

use std::time::Duration;

/// The number of simultaneous connections, and of clients that connect in a loop.
pub(crate) const MANY: usize = 16;

/// The numbers that make up the size of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many times everything is measured, each time for all subjects in turn.
    pub(crate) rounds: usize,
    /// How long a workload runs before it is measured.
    pub(crate) ramp: Duration,
    /// How long it is measured.
    pub(crate) window: Duration,
    /// Round trips of small messages on one connection in each turn.
    pub(crate) round_trips: u64,
    /// How many turns each subject has at round trips.
    pub(crate) turns: usize,
    /// Round trips of small messages over all held connections; at least one on each.
    pub(crate) messages: usize,
    /// The numbers of held connections, step by step. The first is the baseline of the others.
    pub(crate) steps: &'static [usize],
    /// The step from which memory and descriptors per connection are computed.
    pub(crate) idle: usize,
    /// How long a subject with more than two descriptors per connection has to close unused ones.
    pub(crate) descriptor_timeout: Duration,
    /// The greatest number of sessions.
    pub(crate) sessions: usize,
    /// Connections over all sessions, at each number of sessions.
    pub(crate) session_connections: usize,
    /// The numbers of names in the address book, step by step.
    pub(crate) names: &'static [usize],
    /// Starts of our proxy in each round.
    pub(crate) starts: usize,
    /// Pages that each proxy fetches over the link with latency, for each form of address.
    pub(crate) fetches: usize,
}

impl Plan {
    /// For published numbers.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        ramp: Duration::from_millis(200),
        window: Duration::from_secs(2),
        round_trips: 1_000,
        turns: 10,
        messages: 10_000,
        steps: &[1, 10, 100, 1_000, 4_000],
        idle: 1_000,
        descriptor_timeout: Duration::from_secs(8),
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
        descriptor_timeout: Duration::ZERO,
        sessions: 2,
        session_connections: 300,
        names: &[0, 1_000],
        starts: 2,
        fetches: 5,
    };

    /// The greatest number of held connections.
    pub(crate) fn max_connections(&self) -> usize {
        self.steps.last().copied().unwrap_or(1)
    }

    /// The file descriptors that one process needs: two for each connection, and some more.
    pub(crate) fn descriptors(&self) -> u64 {
        self.max_connections() as u64 * 2 + 2_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_computed_from_a_step_after_the_first() {
        for plan in [Plan::FULL, Plan::SHORT] {
            assert!(plan.steps.contains(&plan.idle) && plan.idle > plan.steps[0]);
            assert!(plan.steps.is_sorted() && plan.max_connections() >= plan.idle);
        }
    }
}

use std::time::Duration;

use i2p_tunnel::{SessionLimits, SessionStatus, metrics::session_state_label};

/// How the proxy does, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// There was no session yet.
    Starting,
    /// Tunnels are built.
    Ready,
    /// No session is open because no client needs one; the next client's is built when it comes.
    Idle,
    /// The first client since then has come, and nothing has failed yet.
    Building,
    /// Sessions were lost, or could not be built.
    NoSession,
    /// None is open, and the router does not answer: the next client's could not be built.
    NoRouter,
    /// It was told to end.
    Stopping,
}

/// The same of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolCondition {
    Ready,
    Idle,
    Building,
    NoSession,
}

impl Condition {
    /// A pool without a session that it should have is bad news for its clients; one that nobody uses is no news.
    pub(super) fn of_pools(pools: impl Iterator<Item = PoolCondition>) -> Self {
        pools.fold(Self::Idle, |so_far, pool| match (so_far, pool) {
            (Self::NoSession, _) | (_, PoolCondition::NoSession) => Self::NoSession,
            // One that is ready shows that the router is there for the others too.
            (Self::Ready, _) | (_, PoolCondition::Ready) => Self::Ready,
            (Self::Building, _) | (_, PoolCondition::Building) => Self::Building,
            (so_far, PoolCondition::Idle) => so_far,
        })
    }

    /// Whether it is good only as long as the router answers, which no session shows.
    pub(super) fn needs_router(self) -> bool {
        matches!(self, Self::Idle | Self::Building)
    }

    /// Whether a client that comes now is served. One that finds no session open waits for its tunnels, as the client knew that
    /// asked for sessions to be closed; that is no failure.
    pub(super) fn is_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Idle | Self::Building)
    }

    /// As programs read it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Building => "building",
            Self::NoSession => "no-session",
            Self::NoRouter => "no-router",
            Self::Stopping => "stopping",
        }
    }

    /// As the service manager shows it, of a proxy with so many listeners.
    pub(super) fn line(self, listeners: usize) -> String {
        let line = match self {
            Self::Starting => "Starting: waiting for the router's tunnels",
            Self::Ready => {
                return format!("Serving at {listeners} listener{}", if listeners == 1 { "" } else { "s" });
            }
            Self::Idle => "Idle: the router answers, and a session is built when the next client comes",
            Self::Building => "Building a session for the first client since it was idle",
            Self::NoSession => "No I2P session: waiting for the router",
            Self::NoRouter => "No I2P session is open, and the router does not answer",
            Self::Stopping => "Stopping: transfers that run may go on for a while",
        };
        line.to_owned()
    }
}

impl PoolCondition {
    /// Of a pool with these sessions.
    pub(super) fn of(sessions: &[SessionStatus]) -> Self {
        if sessions.iter().any(|session| session_state_label(&session.state) == "ready") {
            return Self::Ready;
        }
        // A request that waits for longer is told so, and then this is no start any more but a failure.
        let begins = |time: Duration| time <= SessionLimits::default().tunnels;
        match sessions.iter().all(|session| session.built_for_client.is_some_and(begins)) {
            true if sessions.is_empty() => Self::Idle,
            true => Self::Building,
            false => Self::NoSession,
        }
    }
}

#[cfg(test)]
mod tests {
    use i2p_sam::SessionState;

    use super::*;

    fn building(for_client: Option<u64>) -> SessionStatus {
        SessionStatus {
            state: SessionState::Building { failures: 0 },
            leases: 1,
            unused: None,
            spare: false,
            built_for_client: for_client.map(Duration::from_secs),
        }
    }

    #[test]
    fn only_what_a_client_has_just_asked_for_is_built_without_being_missed() {
        assert_eq!(PoolCondition::of(&[]), PoolCondition::Idle);
        assert_eq!(PoolCondition::of(&[building(Some(1)), building(Some(110))]), PoolCondition::Building);
        assert_eq!(PoolCondition::of(&[building(Some(111))]), PoolCondition::NoSession, "for too long");
        assert_eq!(PoolCondition::of(&[building(Some(1)), building(None)]), PoolCondition::NoSession, "lost");
    }

    #[test]
    fn the_worst_of_the_pools_is_said_and_idle_is_not_bad() {
        use PoolCondition::{Building, Idle, NoSession, Ready};
        for (pools, condition) in [
            (vec![], Condition::Idle),
            (vec![Idle, Idle], Condition::Idle),
            (vec![Idle, Building, Idle], Condition::Building),
            (vec![Building, Ready, Idle], Condition::Ready),
            (vec![Ready, NoSession, Ready], Condition::NoSession),
        ] {
            assert_eq!(Condition::of_pools(pools.into_iter()), condition);
        }
    }
}

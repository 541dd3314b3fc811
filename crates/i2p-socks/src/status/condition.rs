//! The condition of the proxy in one word.

use std::time::Duration;

use i2p_sam::SessionState;
use i2p_tunnel::{SessionLimits, SessionStatus, metrics::session_state_label};

/// The condition of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// The router builds the first tunnels.
    Starting,
    /// Tunnels are built.
    Ready,
    /// No session is open because no client needs one, also after sessions were lost. The next client gets a new one.
    Idle,
    /// A session is being built for the first client since then, or with a new identity, and nothing has failed yet.
    Building,
    /// Sessions were lost or could not be built.
    NoSession,
    /// No session is open, and no router answers, so none could be built.
    NoRouter,
    /// It was told to stop.
    Stopping,
}

/// The condition of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolCondition {
    Ready,
    Idle,
    Building,
    NoSession,
}

impl Condition {
    /// The condition of one tunnel, by that of its pool, if a router answers.
    pub(super) fn of_pool(pool: PoolCondition) -> Self {
        match pool {
            PoolCondition::Ready => Self::Ready,
            PoolCondition::Idle => Self::Idle,
            PoolCondition::Building => Self::Building,
            PoolCondition::NoSession => Self::NoSession,
        }
    }

    /// The condition of all tunnels together: that of the one whose clients are served best. What is missing for the others is told
    /// for each of them.
    pub(super) fn of_tunnels(tunnels: impl Iterator<Item = Self>) -> Option<Self> {
        tunnels.max_by_key(|tunnel| match tunnel {
            Self::Ready => 4,
            Self::Building => 3,
            Self::Idle => 2,
            Self::NoRouter => 1,
            Self::NoSession | Self::Starting | Self::Stopping => 0,
        })
    }

    /// Whether the router has to be asked if it answers, because no open session shows it.
    pub(super) fn needs_router(self) -> bool {
        matches!(self, Self::Starting | Self::Idle | Self::Building | Self::NoSession)
    }

    /// Whether new clients are served. Building a session takes a while if none is open, which is expected with `idle-close` and after
    /// a change of identity, and no failure.
    pub(super) fn is_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Idle | Self::Building)
    }

    /// The word in `/status.json`.
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

    /// The line that the service manager shows.
    pub(super) fn summary(self, listeners: usize) -> String {
        let line = match self {
            Self::Starting => "Starting: waiting for I2P tunnels",
            Self::Ready => {
                return format!("Serving on {listeners} listener{}", if listeners == 1 { "" } else { "s" });
            }
            Self::Idle => "Idle: the router answers, and the next client gets a new session",
            Self::Building => "Building an I2P session: the router answers, and clients wait for it",
            Self::NoSession => "No I2P session: waiting for the router",
            Self::NoRouter => "No I2P session is open, and the router does not answer",
            Self::Stopping => "Stopping: transfers in progress may continue for a while",
        };
        line.to_owned()
    }
}

impl PoolCondition {
    /// The condition of a pool with these sessions.
    pub(super) fn of(sessions: &[SessionStatus]) -> Self {
        if sessions.iter().any(|session| session_state_label(&session.state) == "ready") {
            return Self::Ready;
        }
        // A lost session that no client waits for is not needed.
        let needed: Vec<_> =
            sessions.iter().filter(|session| !matches!(session.state, SessionState::Lost)).collect();
        // Past this limit, the waiting request fails, and so this counts as a failure and not as a start.
        let is_recent = |time: Duration| time <= SessionLimits::default().tunnels;
        match needed.iter().all(|session| session.first_build.is_some_and(is_recent)) {
            true if needed.is_empty() => Self::Idle,
            true => Self::Building,
            false => Self::NoSession,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn building(for_client: Option<u64>) -> SessionStatus {
        SessionStatus {
            state: SessionState::Building { failures: 0, error: None },
            unready: Some(Duration::ZERO),
            owner: None,
            leases: 1,
            unused: None,
            spare: false,
            first_build: for_client.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_session_that_a_client_just_asked_for_is_not_missing() {
        assert_eq!(PoolCondition::of(&[]), PoolCondition::Idle);
        let lost = SessionStatus { state: SessionState::Lost, ..building(None) };
        assert_eq!(PoolCondition::of(&[lost]), PoolCondition::Idle);
        assert_eq!(PoolCondition::of(&[building(Some(1)), building(Some(110))]), PoolCondition::Building);
        assert_eq!(PoolCondition::of(&[building(Some(111))]), PoolCondition::NoSession, "for too long");
        assert_eq!(PoolCondition::of(&[building(Some(1)), building(None)]), PoolCondition::NoSession, "lost");
    }

    #[test]
    fn the_tunnel_whose_clients_are_served_best_decides() {
        use Condition::{Building, Idle, NoRouter, NoSession, Ready};
        for (tunnels, condition) in [
            (vec![], None),
            (vec![Idle, Idle], Some(Idle)),
            (vec![Idle, Building, Idle], Some(Building)),
            (vec![Building, Ready, Idle], Some(Ready)),
            (vec![NoSession, Ready, NoSession], Some(Ready)),
            (vec![NoSession, Idle], Some(Idle)),
            (vec![NoSession, NoRouter], Some(NoRouter)),
            (vec![NoSession, NoSession], Some(NoSession)),
        ] {
            assert_eq!(Condition::of_tunnels(tunnels.into_iter()), condition);
        }
    }
}

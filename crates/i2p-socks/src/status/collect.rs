//! Builds the status report from the running parts.

use std::time::Duration;

use i2p_sam::{Error, SessionState};
use i2p_tunnel::{
    DatagramCounts, DatagramPool, DatagramSessionStatus, DropReason, Metrics, OutproxyStatus, RecentFailure,
    SeenLeak, SessionStatus, metrics::session_state_label,
};

use super::{
    active::{ActiveParts, TunnelPool, last_error},
    address_book::AddressBookSource,
    bridge_advice::advice,
    condition::Condition,
    own_router::{OwnRouterState, OwnRouterStatus},
    reloads::Refused,
    report::{
        DatagramReport, DatagramSessionReport, FailureReport, LeakReport, OutproxyReport, OwnRouterReport,
        RefusedReloadReport, RouterFailureReport, SessionReport, StatusReport, TunnelReport,
    },
};

pub(super) fn report(
    metrics: &Metrics,
    (condition, tunnels): (Condition, Vec<(String, Condition)>),
    uptime: Duration,
    active: &ActiveParts,
) -> StatusReport {
    let mut failures: Vec<_> = tunnels
        .iter()
        .flat_map(|(name, _)| {
            let recent = metrics.account(name).recent_failures();
            recent.into_iter().map(|recent| failure(name, recent))
        })
        .collect();
    failures.sort_by_key(|failure| failure.ago_ms);
    let leaks_of = |(name, _): &(String, Condition)| {
        let seen = metrics.account(name).leaks();
        let reports: Vec<_> = seen.into_iter().map(|seen| leak(name, seen)).collect();
        reports
    };
    let mut leaks: Vec<_> = tunnels.iter().flat_map(leaks_of).collect();
    leaks.sort_by_key(|leak| leak.ago);
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: condition.word().to_owned(),
        ready: condition.is_ready(),
        uptime: uptime.as_secs(),
        warnings: active.warnings.clone(),
        refused_reload: None,
        router_failure: None,
        address_book_failure: active.address_book.as_ref().and_then(AddressBookSource::read),
        tunnels: tunnels
            .iter()
            .map(|(name, condition)| tunnel(metrics, (name, *condition), active))
            .collect(),
        sessions: active.pools.iter().flat_map(sessions).collect(),
        max_sessions: active.max_sessions,
        virtual_addresses: active.addresses.as_ref().map_or(0, i2p_tunnel::AddressPool::in_use),
        outproxies: active.outproxies.status().iter().map(outproxy).collect(),
        own_router: active.own_router.as_ref().map(|router| own_router(router.read())),
        failures,
        leaks,
    }
}

pub(super) fn refused_reload(Refused { at, why }: Refused) -> RefusedReloadReport {
    RefusedReloadReport { ago: at.elapsed().as_secs(), why }
}

pub(super) fn router_failure(error: &Error) -> RouterFailureReport {
    RouterFailureReport { what: error.for_log().to_string(), advice: advice(error).to_owned() }
}

fn own_router(status: OwnRouterStatus) -> OwnRouterReport {
    let OwnRouterStatus { kind, state, deaths, too_few_routers } = status;
    let down_for = match state {
        OwnRouterState::Down(time) => Some(time.as_secs()),
        OwnRouterState::Starting | OwnRouterState::Running => None,
    };
    OwnRouterReport {
        kind: kind.word().to_owned(),
        state: state.word().to_owned(),
        deaths,
        down_for,
        too_few_routers,
    }
}

fn outproxy(status: &OutproxyStatus) -> OutproxyReport {
    OutproxyReport {
        name: status.name.as_ref().to_owned(),
        asked: status.attempts,
        opened: status.successes,
        failed: status.faults.values().sum(),
        outcomes: status
            .outcomes()
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| (outcome.to_owned(), count))
            .collect(),
        left_alone_for: status.ejected_for.map(|time| time.as_secs()),
        left_alone_by_some_for: status.ejected_for_some.map(|time| time.as_secs()),
    }
}

fn tunnel(metrics: &Metrics, (name, condition): (&str, Condition), active: &ActiveParts) -> TunnelReport {
    let account = metrics.account(name);
    let ((succeeded, failed), (sent, received)) = (account.requests(), account.relayed());
    let listeners = active.listeners.iter().filter(|listener| listener.tunnel == name);
    let mut own = active.pools.iter().filter(|owned| owned.tunnel.as_deref() == Some(name));
    let pool = own.find_map(|owned| owned.datagrams.as_ref());
    let (failed_attempts, trouble) = match condition {
        Condition::Ready => (0, None),
        _ => active.pool_of(name).map_or((0, None), |owned| failed_attempts(&owned.pool.sessions())),
    };
    TunnelReport {
        name: name.to_owned(),
        state: condition.word().to_owned(),
        ready: condition.is_ready(),
        failed_attempts,
        trouble,
        listeners: listeners.map(|listener| listener.address.to_string()).collect(),
        exec: active.exec.iter().any(|tunnel| tunnel == name),
        persistent_key: active.persistent_keys.iter().any(|persistent| persistent == name),
        connections: account.open_connections(),
        streams: account.open_streams(),
        succeeded,
        failed,
        refused_credentials: account.refused_credentials(),
        unchecked_credentials: account.unchecked_credentials(),
        sent,
        received,
        datagrams: pool.map(|pool| datagrams(account.datagrams(), pool)),
    }
}

fn datagrams(counts: &DatagramCounts, pool: &DatagramPool) -> DatagramReport {
    let ((sent, sent_bytes), (received, received_bytes)) = (counts.to_peers(), counts.to_clients());
    let dropped = DropReason::ALL.into_iter().map(|why| (why.label().to_owned(), counts.dropped(why)));
    let session = |status: DatagramSessionStatus| DatagramSessionReport {
        b32: status.destination.to_string(),
        shares_address_of_streams: status.shares_destination,
        in_use: status.in_use,
    };
    DatagramReport {
        associations: counts.associations(),
        sent,
        sent_bytes,
        received,
        received_bytes,
        dropped: dropped.filter(|(_, count)| *count > 0).collect(),
        sessions: pool.sessions().into_iter().map(session).collect(),
    }
}

fn sessions(owned: &TunnelPool) -> Vec<SessionReport> {
    let of = |status: SessionStatus| SessionReport {
        tunnel: owned.tunnel.clone(),
        state: session_state_label(&status.state).to_owned(),
        unready_for: status.unready.map(|time| time.as_secs()),
        // Beside addresses it would show which of them belong to one client.
        client: status.unready.and(status.owner.as_ref()).and_then(|owner| owner.client),
        kept_apart_by: status.owner.as_ref().map_or_else(Vec::new, |owner| {
            owner.kept_apart_by.iter().map(|&property| property.to_owned()).collect()
        }),
        b32: match &status.state {
            SessionState::Ready(session) if session.is_alive() => {
                Some(session.destination().b32().to_string())
            }
            _ => None,
        },
        used_by: status.leases,
        spare: status.spare,
        failed_attempts: failures(&status.state),
        trouble: trouble(&status.state),
    };
    owned.pool.sessions().into_iter().map(of).collect()
}

/// How many attempts to build a session have failed since it was last ready.
fn failures(state: &SessionState) -> u32 {
    match state {
        SessionState::Building { failures, .. } | SessionState::Waiting { failures, .. } => *failures,
        _ => 0,
    }
}

/// Why the last one failed.
fn trouble(state: &SessionState) -> Option<String> {
    last_error(state).map(|error| error.for_log().to_string())
}

/// The same of the session with the most failed attempts.
fn failed_attempts(sessions: &[SessionStatus]) -> (u32, Option<String>) {
    let worst = sessions.iter().max_by_key(|session| failures(&session.state));
    let worst = worst.filter(|session| failures(&session.state) > 0);
    worst.map_or((0, None), |session| (failures(&session.state), trouble(&session.state)))
}

fn leak(tunnel: &str, SeenLeak { leak, was_cut, count, ago }: SeenLeak) -> LeakReport {
    let (tunnel, kind) = (tunnel.to_owned(), leak.as_str().to_owned());
    LeakReport { tunnel, kind, cut: was_cut, count, ago: ago.as_secs() }
}

fn failure(tunnel: &str, RecentFailure { failure, count, ago }: RecentFailure) -> FailureReport {
    let row = failure.row();
    FailureReport {
        kind: row.label.to_owned(),
        tunnel: tunnel.to_owned(),
        count,
        ago: ago.as_secs(),
        ago_ms: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
        what: row.log.to_owned(),
        advice: failure.operator_hint().to_owned(),
    }
}

//! Fills the report of the status page and of `i2p-socks status` from what runs.

use std::time::Duration;

use i2p_sam::SessionState;
use i2p_tunnel::{
    DatagramCounts, DatagramPool, DatagramSessionStatus, DropReason, Metrics, OutproxyStatus, RecentFailure,
    SessionStatus, metrics::session_state_label,
};

use super::{
    condition::Condition,
    current::{Current, OwnedPool},
    report::{
        DatagramReport, DatagramSessionReport, FailureReport, OutproxyReport, Report, SessionReport,
        TunnelReport,
    },
};

pub(super) fn report(metrics: &Metrics, condition: Condition, uptime: Duration, current: &Current) -> Report {
    let mut names: Vec<&str> = Vec::new();
    for place in &current.places {
        if !names.contains(&place.tunnel.as_str()) {
            names.push(&place.tunnel);
        }
    }
    let mut failures: Vec<_> = names
        .iter()
        .flat_map(|name| {
            let recent = metrics.account(name).recent_failures();
            recent.into_iter().map(|recent| failure(name, recent))
        })
        .collect();
    failures.sort_by_key(|failure| failure.ago);
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: condition.word().to_owned(),
        ready: condition.is_ready(),
        uptime: uptime.as_secs(),
        tunnels: names.into_iter().map(|name| tunnel(metrics, name, current)).collect(),
        sessions: current.pools.iter().flat_map(sessions).collect(),
        max_sessions: current.max_sessions,
        virtual_addresses: current.addresses.as_ref().map_or(0, i2p_tunnel::AddressPool::in_use),
        outproxies: current.outproxies.status().iter().map(outproxy).collect(),
        failures,
    }
}

fn outproxy(status: &OutproxyStatus) -> OutproxyReport {
    OutproxyReport {
        name: status.name.as_ref().to_owned(),
        asked: status.attempts,
        opened: status.successes,
        failed: status.troubles.values().sum(),
        outcomes: status
            .outcomes()
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| (outcome.to_owned(), count))
            .collect(),
        left_alone_for: status.ejected_for.map(|time| time.as_secs()),
    }
}

fn tunnel(metrics: &Metrics, name: &str, current: &Current) -> TunnelReport {
    let account = metrics.account(name);
    let ((succeeded, failed), (sent, received)) = (account.requests(), account.relayed());
    let places = current.places.iter().filter(|place| place.tunnel == name);
    let mut own = current.pools.iter().filter(|owned| owned.tunnel.as_deref() == Some(name));
    let pool = own.find_map(|owned| owned.datagrams.as_ref());
    TunnelReport {
        name: name.to_owned(),
        listeners: places.map(|place| place.address.to_string()).collect(),
        connections: account.open_connections(),
        streams: account.open_streams(),
        succeeded,
        failed,
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

fn sessions(owned: &OwnedPool) -> Vec<SessionReport> {
    let of = |status: SessionStatus| SessionReport {
        tunnel: owned.tunnel.clone(),
        state: session_state_label(&status.state).to_owned(),
        b32: match &status.state {
            SessionState::Ready(session) if session.is_alive() => {
                Some(session.destination().b32().to_string())
            }
            _ => None,
        },
        used_by: status.leases,
        spare: status.spare,
        trouble: match &status.state {
            SessionState::Waiting { error, .. } => Some(error.to_string()),
            _ => None,
        },
    };
    owned.pool.sessions().into_iter().map(of).collect()
}

fn failure(tunnel: &str, RecentFailure { failure, count, ago }: RecentFailure) -> FailureReport {
    let row = failure.row();
    FailureReport {
        kind: row.label.to_owned(),
        tunnel: tunnel.to_owned(),
        count,
        ago: ago.as_secs(),
        what: row.log.to_owned(),
        advice: failure.operator_hint().to_owned(),
    }
}

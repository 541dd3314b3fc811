use std::{collections::BTreeMap, time::Duration};

use i2p_sam::SessionState;
use i2p_tunnel::{
    DatagramCounts, DatagramPool, DatagramSessionStatus, Dropped, OutproxyStatus, RecentFailure,
    SessionStatus, metrics::state_word,
};
use serde::{Deserialize, Serialize};

use super::{Board, Current, OwnedPool, condition::Condition};

/// What `/status.json` says, and `i2p-socks status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Report {
    /// This program's.
    pub(crate) version: String,
    /// `starting`, `ready`, `idle`, `building`, `no-session`, `no-router` or `stopping`.
    pub(crate) state: String,
    /// Whether a client that comes is served: at once, or, where no session is open for lack of use, when its tunnels are built.
    pub(crate) ready: bool,
    /// Seconds since the start.
    pub(crate) uptime: u64,
    pub(crate) tunnels: Vec<TunnelReport>,
    pub(crate) sessions: Vec<SessionReport>,
    /// As many sessions as there may be.
    pub(crate) max_sessions: usize,
    /// Virtual addresses that stand for a name.
    pub(crate) virtual_addresses: usize,
    /// Ways out of I2P.
    pub(crate) outproxies: Vec<OutproxyReport>,
    /// Failures by kind, the latest first.
    pub(crate) failures: Vec<FailureReport>,
}

/// A tunnel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TunnelReport {
    pub(crate) name: String,
    pub(crate) listeners: Vec<String>,
    /// Open now.
    pub(crate) connections: u64,
    /// Relayed now.
    pub(crate) streams: u64,
    /// Requests since the start.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Bytes since the start.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What became of datagrams, where the tunnel has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) datagrams: Option<DatagramReport>,
}

/// The datagrams of a tunnel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DatagramReport {
    /// Clients that have UDP open now.
    pub(crate) associations: u64,
    /// Datagrams and bytes since the start.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    /// Datagrams that were dropped since the start, by the reasons that there were.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Where they come from, as far as anybody has sent any.
    pub(crate) sessions: Vec<DatagramSessionReport>,
}

/// A session for datagrams.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DatagramSessionReport {
    /// The address in I2P that its datagrams come from.
    pub(crate) b32: String,
    /// Whether that is the address of the same client's streams.
    pub(crate) shares_address_of_streams: bool,
    /// Whether a client has it now.
    pub(crate) in_use: bool,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SessionReport {
    /// The tunnel that has it for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tunnel: Option<String>,
    /// `building`, `ready` or `waiting`.
    pub(crate) state: String,
    /// Our own address in I2P while it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) b32: Option<String>,
    /// Requests and streams that use it.
    pub(crate) used_by: usize,
    /// Whether it waits for a client that is still to come.
    pub(crate) spare: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// A way out of I2P.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct OutproxyReport {
    pub(crate) name: String,
    /// Requests that it was asked for since the start, and streams that it opened.
    pub(crate) asked: u64,
    pub(crate) opened: u64,
    /// Requests that failed through its own doing.
    pub(crate) failed: u64,
    /// What became of requests, as metrics call it; nothing of what never happened.
    #[serde(default)]
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Seconds for which it is left alone from now on, after failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_alone_for: Option<u64>,
}

/// A kind of failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FailureReport {
    /// As metrics call it.
    pub(crate) kind: String,
    pub(crate) tunnel: String,
    /// Since the start.
    pub(crate) count: u64,
    /// Seconds since the last one.
    pub(crate) ago: u64,
    /// What happened.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Report {
    pub(super) fn of(board: &Board, condition: Condition, uptime: Duration, current: &Current) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for place in &current.places {
            if !names.contains(&place.tunnel.as_str()) {
                names.push(&place.tunnel);
            }
        }
        let mut failures: Vec<_> = names
            .iter()
            .flat_map(|name| {
                let recent = board.metrics().account(name).recent_failures();
                recent.into_iter().map(|recent| FailureReport::of(name, recent))
            })
            .collect();
        failures.sort_by_key(|failure| failure.ago);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: condition.word().to_owned(),
            ready: condition.is_ready(),
            uptime: uptime.as_secs(),
            tunnels: names.into_iter().map(|name| TunnelReport::of(board, name, current)).collect(),
            sessions: current.pools.iter().flat_map(SessionReport::of).collect(),
            max_sessions: current.max_sessions,
            virtual_addresses: current.addresses.as_ref().map_or(0, i2p_tunnel::AddressPool::in_use),
            outproxies: current.outproxies.status().iter().map(OutproxyReport::of).collect(),
            failures,
        }
    }
}

impl OutproxyReport {
    fn of(status: &OutproxyStatus) -> Self {
        Self {
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
}

impl TunnelReport {
    fn of(board: &Board, name: &str, current: &Current) -> Self {
        let account = board.metrics().account(name);
        let ((succeeded, failed), (sent, received)) = (account.requests(), account.relayed());
        let places = current.places.iter().filter(|place| place.tunnel == name);
        let mut own = current.pools.iter().filter(|owned| owned.tunnel.as_deref() == Some(name));
        let pool = own.find_map(|owned| owned.datagrams.as_ref());
        Self {
            name: name.to_owned(),
            listeners: places.map(|place| place.address.to_string()).collect(),
            connections: account.open_connections(),
            streams: account.open_streams(),
            succeeded,
            failed,
            sent,
            received,
            datagrams: pool.map(|pool| DatagramReport::of(account.datagrams(), pool)),
        }
    }
}

impl DatagramReport {
    fn of(counts: &DatagramCounts, pool: &DatagramPool) -> Self {
        let ((sent, sent_bytes), (received, received_bytes)) = (counts.to_peers(), counts.to_clients());
        let dropped = Dropped::ALL.into_iter().map(|why| (why.label().to_owned(), counts.dropped(why)));
        let session = |status: DatagramSessionStatus| DatagramSessionReport {
            b32: status.destination.to_string(),
            shares_address_of_streams: status.shares_destination,
            in_use: status.in_use,
        };
        Self {
            associations: counts.associations(),
            sent,
            sent_bytes,
            received,
            received_bytes,
            dropped: dropped.filter(|(_, count)| *count > 0).collect(),
            sessions: pool.sessions().into_iter().map(session).collect(),
        }
    }
}

impl DatagramSessionReport {
    /// In plain words, up to the address.
    pub(crate) fn words(&self) -> &'static str {
        match self.shares_address_of_streams {
            true => "from the same address as streams",
            false => "from an address of their own, another than that of streams",
        }
    }
}

impl SessionReport {
    fn of(owned: &OwnedPool) -> Vec<Self> {
        let of = |status: SessionStatus| Self {
            tunnel: owned.tunnel.clone(),
            state: state_word(&status.state).to_owned(),
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
}

impl FailureReport {
    fn of(tunnel: &str, RecentFailure { failure, count, ago }: RecentFailure) -> Self {
        let row = failure.row();
        Self {
            kind: row.label.to_owned(),
            tunnel: tunnel.to_owned(),
            count,
            ago: ago.as_secs(),
            what: row.log.to_owned(),
            advice: failure.remedy().to_owned(),
        }
    }
}

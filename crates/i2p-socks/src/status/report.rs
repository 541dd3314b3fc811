//! What `/status.json` and `i2p-socks status --json` say: plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

impl DatagramSessionReport {
    /// In plain words, up to the address.
    pub(crate) fn words(&self) -> &'static str {
        match self.shares_address_of_streams {
            true => "from the same address as streams",
            false => "from an address of their own, another than that of streams",
        }
    }
}

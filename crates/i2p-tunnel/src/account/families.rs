//! The metrics by name and label, before anything is counted.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::durations::Durations;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfTunnel {
    pub(crate) tunnel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRequest {
    pub(crate) tunnel: String,
    pub(crate) protocol: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfHandshake {
    pub(crate) tunnel: String,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfLimit {
    pub(crate) tunnel: String,
    pub(crate) limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfDirection {
    pub(crate) tunnel: String,
    pub(crate) direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfDropped {
    pub(crate) tunnel: String,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfSession {
    pub(crate) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfOutproxy {
    pub(crate) outproxy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfOutcome {
    pub(crate) outproxy: String,
    pub(crate) outcome: &'static str,
}

/// Each metric, by what it is told apart by. Names and meanings: `docs/metrics.md`.
#[derive(Default)]
pub(crate) struct Families {
    pub(crate) connections: Family<OfTunnel, Counter>,
    pub(crate) connections_active: Family<OfTunnel, Gauge>,
    pub(crate) handshakes_failed: Family<OfHandshake, Counter>,
    pub(crate) limits_reached: Family<OfLimit, Counter>,
    pub(crate) requests: Family<OfRequest, Counter>,
    pub(crate) handshake: Family<OfTunnel, Durations>,
    pub(crate) dial: Family<OfTunnel, Durations>,
    pub(crate) streams_active: Family<OfTunnel, Gauge>,
    pub(crate) relayed: Family<OfDirection, Counter>,
    pub(crate) udp_associations_active: Family<OfTunnel, Gauge>,
    pub(crate) datagrams: Family<OfDirection, Counter>,
    pub(crate) datagram_bytes: Family<OfDirection, Counter>,
    pub(crate) datagrams_dropped: Family<OfDropped, Counter>,
    pub(crate) ready: Gauge,
    pub(crate) sessions: Family<OfSession, Gauge>,
    pub(crate) session_leases: Gauge,
    pub(crate) sessions_max: Gauge,
    pub(crate) virtual_addresses: Gauge,
    pub(crate) outproxy_available: Family<OfOutproxy, Gauge>,
    pub(crate) outproxy_requests: Family<OfOutcome, Counter>,
    pub(crate) tasks: Gauge,
}

impl Families {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections that were accepted", self.connections.clone());
        registry.register(
            "connections_active",
            "Connections that are open now",
            self.connections_active.clone(),
        );
        registry.register(
            "handshakes_failed",
            "Connections that ended without a request",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "limits_reached",
            "How often a limit was reached, by limit",
            self.limits_reached.clone(),
        );
        registry.register(
            "requests",
            "Requests, by protocol and by what came of them",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "handshake_duration",
            "From accepting a connection to its request",
            Unit::Seconds,
            self.handshake.clone(),
        );
        registry.register_with_unit(
            "dial_duration",
            "From a request to its open stream or its failure",
            Unit::Seconds,
            self.dial.clone(),
        );
        registry.register("streams_active", "Streams that are relayed now", self.streams_active.clone());
        registry.register_with_unit(
            "relayed",
            "Payload that arrived, by direction",
            Unit::Bytes,
            self.relayed.clone(),
        );
        registry.register(
            "udp_associations_active",
            "Clients that have UDP open now",
            self.udp_associations_active.clone(),
        );
        registry.register("datagrams", "Datagrams that were passed on, by direction", self.datagrams.clone());
        registry.register_with_unit(
            "datagram",
            "Payload of datagrams that were passed on, by direction",
            Unit::Bytes,
            self.datagram_bytes.clone(),
        );
        registry.register(
            "datagrams_dropped",
            "Datagrams that were dropped, by reason",
            self.datagrams_dropped.clone(),
        );
        registry.register("ready", "1: a client that comes is served; 0: it would wait", self.ready.clone());
        registry.register("sessions", "I2P sessions by state", self.sessions.clone());
        registry.register(
            "session_leases",
            "Requests and streams that use an I2P session now",
            self.session_leases.clone(),
        );
        registry.register("sessions_max", "I2P sessions that there may be", self.sessions_max.clone());
        registry.register(
            "virtual_addresses",
            "Virtual addresses that stand for a name",
            self.virtual_addresses.clone(),
        );
        registry.register(
            "outproxy_available",
            "1: used; 0: set aside after failures",
            self.outproxy_available.clone(),
        );
        registry.register(
            "outproxy_requests",
            "Requests that outproxies were asked for, by what came of them",
            self.outproxy_requests.clone(),
        );
        registry.register("tasks", "Tasks of this program that have not ended", self.tasks.clone());
    }
}

/// One more of something, for as long as this exists.
pub(crate) struct Active<'a>(&'a Gauge);

impl<'a> Active<'a> {
    pub(crate) fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

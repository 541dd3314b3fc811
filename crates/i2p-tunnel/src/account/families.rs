//! The metric families: names, help texts and labels. Their meaning for users: `docs/metrics.md`.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::durations::Durations;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TunnelLabels {
    pub(crate) tunnel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) tunnel: String,
    pub(crate) protocol: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HandshakeLabels {
    pub(crate) tunnel: String,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabels {
    pub(crate) tunnel: String,
    pub(crate) limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DirectionLabels {
    pub(crate) tunnel: String,
    pub(crate) direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DropLabels {
    pub(crate) tunnel: String,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FilteredLabels {
    pub(crate) tunnel: String,
    pub(crate) protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CutLabels {
    pub(crate) tunnel: String,
    /// The protocol of the filter, or the leak guard.
    pub(crate) by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LeakLabels {
    pub(crate) tunnel: String,
    pub(crate) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SessionLabels {
    pub(crate) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BuildLabels {
    pub(crate) version: &'static str,
    pub(crate) embedded_router: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReloadLabels {
    pub(crate) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutproxyLabels {
    pub(crate) outproxy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutproxyOutcomeLabels {
    pub(crate) outproxy: String,
    pub(crate) outcome: &'static str,
}

/// Every metric, by label set.
#[derive(Default)]
pub(crate) struct Families {
    pub(crate) connections: Family<TunnelLabels, Counter>,
    pub(crate) connections_active: Family<TunnelLabels, Gauge>,
    pub(crate) connection_panics: Family<TunnelLabels, Counter>,
    pub(crate) handshakes_failed: Family<HandshakeLabels, Counter>,
    pub(crate) limits_reached: Family<LimitLabels, Counter>,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) handshake: Family<TunnelLabels, Durations>,
    pub(crate) dial: Family<TunnelLabels, Durations>,
    pub(crate) streams_active: Family<TunnelLabels, Gauge>,
    pub(crate) relayed: Family<DirectionLabels, Counter>,
    pub(crate) udp_associations_active: Family<TunnelLabels, Gauge>,
    pub(crate) datagrams: Family<DirectionLabels, Counter>,
    pub(crate) datagram_bytes: Family<DirectionLabels, Counter>,
    pub(crate) datagrams_dropped: Family<DropLabels, Counter>,
    pub(crate) filtered: Family<FilteredLabels, Counter>,
    pub(crate) streams_cut: Family<CutLabels, Counter>,
    pub(crate) leaks: Family<LeakLabels, Counter>,
    pub(crate) ready: Gauge,
    pub(crate) tunnel_ready: Family<TunnelLabels, Gauge>,
    pub(crate) build_info: Family<BuildLabels, Gauge>,
    pub(crate) sessions: Family<SessionLabels, Gauge>,
    pub(crate) session_leases: Gauge,
    pub(crate) sessions_max: Gauge,
    pub(crate) address_book_fails: Gauge,
    pub(crate) router_deaths: Counter,
    pub(crate) panics: Counter,
    pub(crate) reloads: Family<ReloadLabels, Counter>,
    pub(crate) virtual_addresses: Gauge,
    pub(crate) outproxy_available: Family<OutproxyLabels, Gauge>,
    pub(crate) outproxy_requests: Family<OutproxyOutcomeLabels, Counter>,
    pub(crate) tasks: Gauge,
}

impl Families {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Accepted connections", self.connections.clone());
        registry.register("connections_active", "Open connections", self.connections_active.clone());
        registry.register(
            "connection_panics",
            "Connections that a bug of the program ended",
            self.connection_panics.clone(),
        );
        registry.register(
            "handshakes_failed",
            "Connections that ended before a request",
            self.handshakes_failed.clone(),
        );
        registry.register("limits_reached", "How often each limit was reached", self.limits_reached.clone());
        registry.register("requests", "Requests by protocol and outcome", self.requests.clone());
        registry.register_with_unit(
            "handshake_duration",
            "Time from accepting a connection to its request",
            Unit::Seconds,
            self.handshake.clone(),
        );
        registry.register_with_unit(
            "dial_duration",
            "Time from a request to its open stream or its failure",
            Unit::Seconds,
            self.dial.clone(),
        );
        registry.register("streams_active", "Streams being relayed", self.streams_active.clone());
        registry.register_with_unit(
            "relayed",
            "Payload passed on, by direction",
            Unit::Bytes,
            self.relayed.clone(),
        );
        registry.register(
            "udp_associations_active",
            "Clients with UDP open",
            self.udp_associations_active.clone(),
        );
        registry.register("datagrams", "Datagrams passed on, by direction", self.datagrams.clone());
        registry.register_with_unit(
            "datagram",
            "Payload of datagrams passed on, by direction",
            Unit::Bytes,
            self.datagram_bytes.clone(),
        );
        registry.register("datagrams_dropped", "Dropped datagrams by reason", self.datagrams_dropped.clone());
        registry.register("filtered", "What filters removed or replaced", self.filtered.clone());
        registry.register(
            "streams_cut",
            "Streams that a filter or the leak guard ended",
            self.streams_cut.clone(),
        );
        registry.register(
            "leaks",
            "Streams in which clients sent what identifies this machine, in clear text",
            self.leaks.clone(),
        );
        registry.register(
            "ready",
            "1: new clients of a tunnel are served; 0: those of all tunnels have to wait for the router",
            self.ready.clone(),
        );
        registry.register(
            "tunnel_ready",
            "1: new clients of the tunnel are served; 0: they have to wait for the router",
            self.tunnel_ready.clone(),
        );
        registry.register("build_info", "The program: always 1", self.build_info.clone());
        registry.register("sessions", "I2P sessions by state", self.sessions.clone());
        registry.register(
            "session_leases",
            "Requests and streams that are using an I2P session",
            self.session_leases.clone(),
        );
        registry.register("sessions_max", "Limit of I2P sessions", self.sessions_max.clone());
        registry.register(
            "address_book_fails",
            "1: the proxy runs without its address book, or cannot change it",
            self.address_book_fails.clone(),
        );
        registry.register(
            "router_deaths",
            "How often the router that the program runs itself has died",
            self.router_deaths.clone(),
        );
        registry.register(
            "panics",
            "Bugs of the program that ended a connection, or a task that was then started again",
            self.panics.clone(),
        );
        registry.register("reloads", "Reloads of the configuration by result", self.reloads.clone());
        registry.register("virtual_addresses", "Virtual addresses in use", self.virtual_addresses.clone());
        registry.register(
            "outproxy_available",
            "1: available; 0: skipped by all clients for a while, since it failed several",
            self.outproxy_available.clone(),
        );
        registry.register(
            "outproxy_requests",
            "Requests to an outproxy by outcome",
            self.outproxy_requests.clone(),
        );
        registry.register("tasks", "Running tasks of the program", self.tasks.clone());
    }
}

/// Increments a gauge, and decrements it when dropped.
pub(crate) struct ActiveGuard(Gauge);

impl ActiveGuard {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

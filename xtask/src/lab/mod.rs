//! What suites with real programs are made of: namespaces, links between them, i2pd routers, conditions to wait for.

pub(crate) mod crash;
pub(crate) mod far;
pub(crate) mod formation;
pub(crate) mod latency;
pub(crate) mod link;
pub(crate) mod namespace;
pub(crate) mod router;
pub(crate) mod wait;

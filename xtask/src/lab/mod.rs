//! What suites with real programs are made of: namespaces, i2pd routers, conditions to wait for.

pub(crate) mod namespace;
pub(crate) mod router;
pub(crate) mod wait;

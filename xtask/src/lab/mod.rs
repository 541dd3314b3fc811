//! What suites with real programs are made of: programs, namespaces, i2pd routers, conditions to wait for.

pub(crate) mod namespace;
pub(crate) mod programs;
pub(crate) mod router;
pub(crate) mod wait;

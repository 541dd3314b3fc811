//! Which way requests go: what `[[outproxy]]` and `[[route]]` come to.

use std::sync::Arc;

use i2p_tunnel::{Outproxies, Routing};

use crate::{
    config::{Config, outproxy::OutproxyConfig},
    failure::Failure,
};

/// Makes the routing of the configuration, the same for all tunnels. Reads the password files. What is known of outproxies that
/// were there before stays known.
pub(crate) fn open(config: &Config, before: Option<&Outproxies>) -> Result<Routing, Failure> {
    let definitions = config.outproxies()?;
    let outproxies = match before {
        Some(before) => before.replaced_by(definitions),
        None => Outproxies::new(definitions),
    };
    let routes = Arc::new(config.routes());
    Routing::new(routes, outproxies.map_err(Failure::usage)?).map_err(Failure::usage)
}

/// Says once what it means to have outproxies, and which of them, and of the routes, are never used.
pub(crate) fn warn(config: &Config) {
    let (used, unused): (Vec<_>, Vec<_>) = config.outproxy.iter().partition(|outproxy| {
        config.route.iter().any(|route| route.outproxies().iter().any(|name| **name == *outproxy.name()))
    });
    let names = |outproxies: &[&OutproxyConfig]| {
        outproxies.iter().map(|outproxy| outproxy.name()).collect::<Vec<_>>().join(", ")
    };
    if !used.is_empty() {
        tracing::warn!(
            "what is not of I2P goes out by outproxies, where a route says so ({}). Whoever runs one sees which hosts are \
             visited through it and reads and can change all that is not encrypted: use HTTPS and the like there",
            names(&used)
        );
    }
    for outproxy in &used {
        if let Some(address) = outproxy.beyond_this_machine() {
            tracing::warn!(
                "outproxy {} at {address} is reached outside I2P: it sees this machine's address, and whoever is on the way \
                 there reads what it is asked for",
                outproxy.name()
            );
        }
    }
    for (idle, first) in config.routes().shadowed_rules() {
        tracing::warn!(
            "route {} never decides anything: route {} comes before it and matches all that it matches",
            idle + 1,
            first + 1
        );
    }
    if !unused.is_empty() {
        tracing::warn!("no route names these outproxies, so nothing goes by them: {}", names(&unused));
    }
}

//! Routes and outproxies, made from `[[route]]` and `[[outproxy]]`.

use std::sync::Arc;

use i2p_tunnel::{Outproxies, Routing};

use crate::{command_error::CommandError, config::Config};

/// The routing of a configuration, the same for all tunnels. Reads the password files. Outproxies that `before` has too keep their
/// counts and their state.
pub(crate) fn from_configuration(
    config: &Config,
    before: Option<&Outproxies>,
) -> Result<Routing, CommandError> {
    let definitions = config.outproxies()?;
    let outproxies = match before {
        Some(before) => before.replaced_by(definitions),
        None => Outproxies::new(definitions),
    };
    let routes = Arc::new(config.routes());
    Routing::new(routes, outproxies.map_err(CommandError::usage)?).map_err(CommandError::usage)
}

/// Warns of the risks of outproxies, and of outproxies and routes that are never used.
pub(crate) fn warn_of_risks(config: &Config) {
    let used: Vec<_> =
        config.outproxy.iter().filter(|outproxy| config.has_route_to(outproxy.name())).collect();
    if !used.is_empty() {
        tracing::warn!(
            "requests for hosts outside I2P go through outproxies ({}). The operator of an outproxy sees which hosts are visited, \
             and can read and change everything that is not encrypted: use HTTPS or other encryption",
            used.iter().map(|outproxy| outproxy.name()).collect::<Vec<_>>().join(", ")
        );
    }
    for outproxy in &used {
        if let Some(address) = outproxy.address_on_another_machine() {
            tracing::warn!(
                "outproxy {} at {address} is reached outside I2P: it sees the address of this machine, and the network on the way \
                 sees which hosts are requested",
                outproxy.name()
            );
        }
    }
    for (idle, first) in config.routes().shadowed_routes() {
        tracing::warn!(
            "route {} is never used: route {} comes before it and matches the same requests",
            idle + 1,
            first + 1
        );
    }
    if let Some(unused) = config.outproxies_without_route() {
        tracing::warn!("{unused}");
    }
}

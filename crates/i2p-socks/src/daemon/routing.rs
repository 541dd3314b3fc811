//! Which way requests go: what `[[outproxy]]` and `[[route]]` come to.

use std::{sync::Arc, time::Duration};

use i2p_tunnel::{Limits, Outproxies, RoutedDialler, Routes, SamDialler};

use crate::{
    config::{Config, outproxy::OutproxyConfig},
    failure::Failure,
};

/// Rules and outproxies, the same for all tunnels.
pub(crate) struct Routing {
    routes: Arc<Routes>,
    outproxies: Outproxies,
    /// How long a client waits for a stream.
    dial: Duration,
}

/// No rules and no outproxies.
impl Default for Routing {
    fn default() -> Self {
        Self { routes: Arc::default(), outproxies: Outproxies::default(), dial: Limits::default().dial }
    }
}

impl Routing {
    /// Those of the configuration. Reads the password files. What is known of outproxies that were there before stays known.
    pub(crate) fn of(config: &Config, before: Option<&Self>) -> Result<Self, Failure> {
        let definitions = config.outproxies()?;
        let outproxies = match before {
            Some(before) => before.outproxies.replaced_by(definitions),
            None => Outproxies::new(definitions),
        };
        Ok(Self {
            routes: Arc::new(config.routes()),
            outproxies: outproxies.map_err(Failure::usage)?,
            dial: config.limits.times().dial,
        })
    }

    /// What dials for a tunnel whose way into I2P this is.
    pub(crate) fn dialler(&self, sam: SamDialler) -> Result<RoutedDialler, Failure> {
        let dialler = RoutedDialler::new(sam, Arc::clone(&self.routes), self.outproxies.clone());
        Ok(dialler.map_err(Failure::usage)?.with_limit(self.dial))
    }

    /// How the outproxies do, and who is served by which.
    pub(crate) fn outproxies(&self) -> &Outproxies {
        &self.outproxies
    }
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

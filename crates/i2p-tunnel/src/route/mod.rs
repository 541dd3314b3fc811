//! Routing: decides whether a request goes to I2P, to an outproxy or nowhere. I2P names go to I2P, whatever the routes say.
//!
//! Imports nothing from this crate.

mod any_host;
mod host;
mod local;
mod outside;
mod port;

use std::{fmt, sync::Arc};

use i2p_name::Target;

pub use self::{
    any_host::AnyHostPattern,
    host::{HostPattern, HostPatternError, HostPatternKind},
    local::{LOCAL_DOMAINS, LOCAL_NETWORKS},
    outside::OutsideHost,
    port::{PortSet, PortSetError},
};

/// The routes for hosts outside I2P. The first route that matches decides; a request that no route matches is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

/// Sends requests for certain hosts and ports to outproxies, or rejects them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The hosts that it matches.
    pub host: HostPattern,
    /// The ports that it matches.
    pub ports: PortSet,
    /// Where it sends requests.
    pub via: Via,
}

/// Where a route sends requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Nowhere: it refuses them.
    Reject,
    /// To the first of these outproxies that connects.
    Outproxies(Vec<Arc<str>>),
}

/// The routing decision for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes to I2P.
    I2p,
    /// It goes to outproxies.
    Outproxies {
        /// Index of the route that decided, from 0.
        route: usize,
        /// Names of the outproxies, in the order to try.
        names: &'a [Arc<str>],
        /// The host to request from them.
        host: OutsideHost<'a>,
    },
    /// A route rejects it.
    Rejected {
        /// Index of the route, from 0.
        route: usize,
    },
    /// No route matches, so it is refused.
    NoRoute,
}

/// Whether a route matches a request, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The route matches.
    Matches,
    /// The route is for other hosts.
    OtherHost,
    /// The route is for this host, but for other ports.
    OtherPort,
    /// The route's pattern matches the host, but the host is local and the route excludes local hosts.
    LocalHost,
}

impl Route {
    /// Compares this route with a request.
    #[must_use]
    pub fn compare(&self, host: OutsideHost<'_>, port: u16) -> Comparison {
        if !self.host.covers(host) {
            Comparison::OtherHost
        } else if !self.ports.contains(port) {
            Comparison::OtherPort
        } else if !self.matches_host(host) {
            Comparison::LocalHost
        } else {
            Comparison::Matches
        }
    }

    /// Whether this route matches requests for this host, on its ports.
    fn matches_host(&self, host: OutsideHost<'_>) -> bool {
        self.host.covers(host) && !(self.excludes_local_hosts() && local::is_local(host))
    }

    /// Whether this route excludes local hosts: addresses in [`LOCAL_NETWORKS`], names without a dot and names below
    /// [`LOCAL_DOMAINS`]. Routes that reject never do.
    #[must_use]
    pub fn excludes_local_hosts(&self) -> bool {
        self.leads_out() && !self.host.names_local_hosts()
    }

    /// Whether this route matches every request that `later` matches.
    fn shadows(&self, later: &Self) -> bool {
        let leaves_local =
            self.leads_out() && !self.host.matches_local_hosts() && later.may_match_local_hosts();
        self.host.is_superset_of(&later.host) && self.ports.is_superset_of(&later.ports) && !leaves_local
    }

    fn may_match_local_hosts(&self) -> bool {
        if self.leads_out() { self.host.matches_local_hosts() } else { self.host.covers_local_hosts() }
    }

    /// Whether this route sends requests to outproxies.
    fn leads_out(&self) -> bool {
        self.via != Via::Reject
    }
}

impl fmt::Display for Route {
    /// Writes the route in one line, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}, ", self.host)?;
        match self.ports == PortSet::all() {
            true => f.write_str("all ports, ")?,
            false => write!(f, "port {}, ", self.ports)?,
        }
        match &self.via {
            Via::Reject => f.write_str("reject"),
            Via::Outproxies(names) => write!(f, "via {}", names.join(", ")),
        }
    }
}

impl Routes {
    /// Creates the list of these routes, in this order. Without routes, every request outside I2P is refused.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The routes, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Route] {
        &self.0
    }

    /// Finds routes that never decide because an earlier route matches everything that they match. Returns pairs of indexes from 0:
    /// the shadowed route, and the first route that shadows it. It may miss some, but reports no route wrongly.
    #[must_use]
    pub fn shadowed_routes(&self) -> Vec<(usize, usize)> {
        let routes = self.0.iter().enumerate();
        let shadowed = |(index, route): (usize, &Route)| {
            let first = self.0.iter().take(index).position(|earlier| earlier.shadows(route));
            first.map(|first| (index, first))
        };
        routes.filter_map(shadowed).collect()
    }

    /// Whether a request for this target can go to outproxies, for some port.
    #[must_use]
    pub fn may_lead_out(&self, target: &Target) -> bool {
        let Some(host) = OutsideHost::of(target) else { return false };
        let mut routes = self.0.iter().filter(|route| route.matches_host(host));
        let decides = routes.find(|route| route.leads_out() || route.ports == PortSet::all());
        decides.is_some_and(Route::leads_out)
    }

    /// Decides where a request goes. I2P targets are never compared with routes: see [`OutsideHost::of`].
    #[must_use]
    pub fn decide<'a>(&'a self, target: &'a Target, port: u16) -> Verdict<'a> {
        let Some(host) = OutsideHost::of(target) else { return Verdict::I2p };
        let mut routes = self.0.iter().enumerate();
        match routes.find(|(_, route)| route.compare(host, port) == Comparison::Matches) {
            Some((route, Route { via: Via::Outproxies(names), .. })) => {
                Verdict::Outproxies { route, names, host }
            }
            Some((route, Route { via: Via::Reject, .. })) => Verdict::Rejected { route },
            None => Verdict::NoRoute,
        }
    }
}

#[cfg(test)]
mod tests;

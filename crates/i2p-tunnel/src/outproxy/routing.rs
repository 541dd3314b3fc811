use std::{sync::Arc, time::Duration};

use i2p_name::Target;
use tokio::time::{Instant, timeout_at};

use super::{
    connect::{Outproxy, OutproxyRequest},
    fault::{OutproxyFailure, OutproxyFault},
    set::{ChoiceKey, Outproxies},
};
use crate::{
    client::IsolationKey,
    dial::Dial,
    failure::Failure,
    route::{OutsideHost, Routes, Verdict, Via},
    stream::OpenStream,
};

/// Most time for one outproxy while there are others to try. A working outproxy answers within seconds, and routers give up on an
/// unreachable destination after a minute.
const MAX_ATTEMPT_TIME: Duration = Duration::from_secs(40);

/// Decides where a request goes, before a dialler is asked: I2P names go to the dialler, and other hosts to outproxies if a route
/// says so. Without routes, other hosts are refused. Clones share the outproxies.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    routes: Arc<Routes>,
    outproxies: Outproxies,
}

/// The error for a route that names an unknown outproxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route {} names the outproxy {name}, which does not exist", route + 1)]
pub struct UnknownOutproxy {
    /// The index of the route, from 0.
    pub route: usize,
    /// The name of the outproxy.
    pub name: Arc<str>,
}

impl Routing {
    /// Creates a routing with these routes and outproxies.
    ///
    /// # Errors
    /// [`UnknownOutproxy`] if a route names an outproxy that is not among them.
    pub fn new(routes: Arc<Routes>, outproxies: Outproxies) -> Result<Self, UnknownOutproxy> {
        for (index, route) in routes.as_slice().iter().enumerate() {
            let Via::Outproxies(names) = &route.via else { continue };
            if let Some(name) = names.iter().find(|name| !outproxies.contains(name)) {
                return Err(UnknownOutproxy { route: index, name: Arc::clone(name) });
            }
        }
        Ok(Self { routes, outproxies })
    }

    /// The outproxies.
    #[must_use]
    pub fn outproxies(&self) -> &Outproxies {
        &self.outproxies
    }

    /// Whether there are routes to hosts outside I2P.
    pub(crate) fn has_routes(&self) -> bool {
        !self.routes.as_slice().is_empty()
    }

    /// Checks that a request for a host outside I2P may be granted, for some port.
    ///
    /// # Errors
    /// The [`Failure`] of every such request.
    pub fn check_outside(&self, target: &Target) -> Result<(), Failure> {
        match self.routes.may_lead_out(target) {
            true => Ok(()),
            false if OutsideHost::is_near_target(target) => Err(Failure::LocalHost),
            false => Err(Failure::NotAllowed),
        }
    }

    /// Opens a stream to a target: with the dialler, or through an outproxy. Outproxies in I2P are reached with the dialler too.
    ///
    /// `limit` is how long the client waits. Trying outproxies ends a little earlier. While there are others left to try, each
    /// gets a third of it, and 40 s at most.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client.
    pub async fn open<D: Dial>(
        &self,
        dialler: &D,
        key: &IsolationKey,
        (target, port): (&Target, u16),
        limit: Duration,
    ) -> Result<OpenStream, Failure> {
        match (self.routes.decide(target, port), target) {
            (Verdict::I2p, Target::I2p(name)) => dialler.dial(key, name, port).await,
            // Boxed, so that not every connection takes space for it.
            (Verdict::Outproxies { names, host, .. }, _) => {
                let proven_session = self.outproxies.proven_session(key);
                let request = OutproxyRequest { host, port, key, dialler, proven_session };
                Box::pin(self.try_outproxies(request, target, names, limit)).await
            }
            (Verdict::Rejected { .. }, _) => Err(Failure::RouteRejects),
            _ if OutsideHost::is_near_target(target) => Err(Failure::LocalHost),
            _ => Err(Failure::NotAllowed),
        }
    }

    /// The outproxies that can carry datagrams to a host outside I2P, and the host; `None` if no route leads to one.
    pub(crate) fn datagram_outproxies<'a>(
        &'a self,
        key: &IsolationKey,
        (target, port): (&'a Target, u16),
    ) -> Option<(Vec<Arc<Outproxy>>, OutsideHost<'a>)> {
        // By its type, a host here is never an I2P name.
        let Verdict::Outproxies { names, host, .. } = self.routes.decide(target, port) else { return None };
        let outproxies = self.outproxies.for_datagrams(key, names);
        (!outproxies.is_empty()).then_some((outproxies, host))
    }

    /// Tries the outproxies of a route in turn, until one connects or says that the target is at fault.
    async fn try_outproxies<D: Dial>(
        &self,
        request: OutproxyRequest<'_, D>,
        target: &Target,
        names: &[Arc<str>],
        limit: Duration,
    ) -> Result<OpenStream, Failure> {
        // Earlier than the client's timeout, so that the client is told the real failure.
        let deadline = Instant::now() + (limit - limit / 24);
        let choice = ChoiceKey { target: target.clone(), names: names.to_vec() };
        let mut left = self.outproxies.ordered_for(request.key, &choice).into_iter().peekable();
        let (mut router, mut unknown) = (None, 0);
        while let Some(outproxy) = left.next() {
            let rest = deadline.saturating_duration_since(Instant::now());
            // Our router would fail again.
            if rest.is_zero() || (router.is_some() && outproxy.is_in_i2p()) {
                continue;
            }
            let limit = if left.peek().is_some() { MAX_ATTEMPT_TIME.min(limit / 3).min(rest) } else { rest };
            let outcome = timeout_at(deadline, outproxy.connect(&request, limit)).await;
            let outcome = outcome.unwrap_or(Err(OutproxyFailure::Declined));
            let session = outproxy.is_in_i2p().then(|| request.dialler.session_now(request.key)).flatten();
            self.outproxies.record((request.key, session), &choice, &outproxy, &outcome);
            match outcome {
                Ok(opened) => return Ok(opened),
                Err(OutproxyFailure::Target(failure)) => return Err(failure),
                Err(OutproxyFailure::Router(failure)) => router = Some(failure),
                Err(OutproxyFailure::Outproxy(OutproxyFault::NameUnknown)) => unknown += 1,
                Err(
                    OutproxyFailure::Declined | OutproxyFailure::Request(_) | OutproxyFailure::Outproxy(_),
                ) => {}
            }
        }
        // One that was skipped may have a name that is known.
        let all_unknown = unknown > 0 && unknown == names.len();
        Err(router.unwrap_or(match all_unknown {
            true => Failure::OutproxiesUnknown,
            false => Failure::OutproxiesFailed,
        }))
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::I2pName;

    use super::*;
    use crate::{
        route::Route,
        sessions::{PoolOptions, SamDialler, SessionPool},
    };

    #[test]
    fn a_rule_with_an_unknown_outproxy_is_an_error() {
        let route = |via| Route { host: "*".parse().unwrap(), ports: "80".parse().unwrap(), via };
        let routes = Routes::new(vec![route(Via::Reject), route(Via::Outproxies(vec!["a".into()]))]);
        let error = Routing::new(routes.into(), Outproxies::default()).unwrap_err();
        assert_eq!(error.to_string(), "route 2 names the outproxy a, which does not exist");
    }

    #[tokio::test]
    async fn refusals_say_whether_a_route_or_its_absence_decides() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let dialler = SamDialler::new(SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options));
        let rejects = Route { host: "*".parse().unwrap(), ports: "25".parse().unwrap(), via: Via::Reject };
        let routing = Routing::new(Routes::new(vec![rejects]).into(), Outproxies::default()).unwrap();
        for (host, port, failure) in [
            ("example.com", 25, Failure::RouteRejects),
            ("example.com", 80, Failure::NotAllowed),
            ("a.onion", 80, Failure::NotAllowed),
            ("nas", 80, Failure::LocalHost),
            ("localhost", 25, Failure::RouteRejects),
            ("192.168.0.1", 80, Failure::LocalHost),
            ("198.51.100.7", 80, Failure::NotAllowed),
        ] {
            let target = Target::parse(host.as_bytes()).unwrap();
            let opened =
                routing.open(&dialler, &IsolationKey::default(), (&target, port), MAX_ATTEMPT_TIME).await;
            assert_eq!(opened.err(), Some(failure), "{host}:{port}");
        }
    }

    /// Every connection holds this future at all times. If it were kilobytes, thousands of idle connections would pay for it.
    #[tokio::test]
    async fn opening_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let (dialler, key) = (SamDialler::new(pool), IsolationKey::default());
        let name = I2pName::Host("a.i2p".parse().unwrap());
        let target = Target::I2p(name.clone());
        let inner = size_of_val(&dialler.dial(&key, &name, 80));
        let routing = Routing::default();
        let size = size_of_val(&routing.open(&dialler, &key, (&target, 80), MAX_ATTEMPT_TIME));
        assert!(size < inner + 512, "{size} bytes, {inner} of them of SAM");
    }
}

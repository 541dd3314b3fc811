use std::{sync::Arc, time::Duration};

use i2p_name::Target;
use tokio::time::{Instant, timeout_at};

use super::{
    connect::{Outproxy, Request},
    fault::Fault,
    set::{Asking, Outproxies},
};
use crate::{
    client::IsolationKey,
    dial::Dial,
    failure::Failure,
    route::{OutsideHost, Routes, Verdict, Via},
    stream::Opened,
};

/// The most for one outproxy while there are others to ask. One that is well answers within seconds, and routers give a
/// destination that is not there up after a minute.
const MAX_ATTEMPT: Duration = Duration::from_secs(40);

/// Decides where a request goes before a dialler is asked: names of I2P to the dialler, other hosts to outproxies where a route
/// says so. Without routes, other hosts are refused. Clones share the outproxies.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    routes: Arc<Routes>,
    outproxies: Outproxies,
}

/// A route names an outproxy that is not defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route {} names the outproxy {name}, which is not defined", rule + 1)]
pub struct UnknownOutproxy {
    /// The index of the route, from 0.
    pub rule: usize,
    /// The name.
    pub name: Arc<str>,
}

impl Routing {
    /// Routes by these rules to these outproxies.
    ///
    /// # Errors
    /// [`UnknownOutproxy`].
    pub fn new(routes: Arc<Routes>, outproxies: Outproxies) -> Result<Self, UnknownOutproxy> {
        for (rule, names) in routes.rules().iter().enumerate() {
            let Via::Outproxies(names) = &names.via else { continue };
            if let Some(name) = names.iter().find(|name| !outproxies.has(name)) {
                return Err(UnknownOutproxy { rule, name: Arc::clone(name) });
            }
        }
        Ok(Self { routes, outproxies })
    }

    /// The outproxies.
    #[must_use]
    pub fn outproxies(&self) -> &Outproxies {
        &self.outproxies
    }

    /// Whether any host outside I2P can be reached.
    pub(crate) fn has_rules(&self) -> bool {
        !self.routes.rules().is_empty()
    }

    /// Opens a stream to a target: over the dialler, or through an outproxy that the dialler leads to where it is in I2P.
    ///
    /// `limit` is how long the client waits. Asking outproxies ends a little before that. While there are others left to ask, each
    /// may take a third of it, and 40 s at most.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told.
    pub async fn open<D: Dial>(
        &self,
        dialler: &D,
        key: &IsolationKey,
        (target, port): (&Target, u16),
        limit: Duration,
    ) -> Result<Opened, Failure> {
        match (self.routes.decide(target, port), target) {
            (Verdict::I2p, Target::I2p(name)) => dialler.dial(key, name, port).await,
            // In a place of its own: what this takes is not to be in the size of every connection.
            (Verdict::Outproxies { names, host, .. }, _) => {
                let request = Request { host, port, key, dialler };
                Box::pin(self.ask_outproxies(request, target, names, limit)).await
            }
            _ => Err(Failure::NotAllowed),
        }
    }

    /// The outproxies that datagrams to a host outside I2P may go by, and that host; `None` where no route leads to one.
    pub(crate) fn relays<'a>(
        &'a self,
        target: &'a Target,
        port: u16,
    ) -> Option<(Vec<Arc<Outproxy>>, OutsideHost<'a>)> {
        // What is of I2P has no host here: the type says so.
        let Verdict::Outproxies { names, host, .. } = self.routes.decide(target, port) else { return None };
        let outproxies = self.outproxies.with_datagrams(names);
        (!outproxies.is_empty()).then_some((outproxies, host))
    }

    /// Asks the outproxies of a rule one after the other, until one connects or says that the target is at fault.
    async fn ask_outproxies<D: Dial>(
        &self,
        request: Request<'_, D>,
        target: &Target,
        names: &[Arc<str>],
        limit: Duration,
    ) -> Result<Opened, Failure> {
        // Before the client is told that it takes too long, so that what it is told is what happened.
        let deadline = Instant::now() + (limit - limit / 24);
        let asking = Asking { key: request.key.clone(), target: target.clone(), names: names.to_vec() };
        let mut left = self.outproxies.in_order(&asking).await.into_iter().peekable();
        let mut router = None;
        while let Some(outproxy) = left.next() {
            let rest = deadline.saturating_duration_since(Instant::now());
            // Our router would fail again.
            if rest.is_zero() || (router.is_some() && outproxy.is_in_i2p()) {
                continue;
            }
            let limit = if left.peek().is_some() { MAX_ATTEMPT.min(limit / 3).min(rest) } else { rest };
            let outcome = timeout_at(deadline, outproxy.connect(&request, limit)).await;
            match outcome.unwrap_or(Err(Fault::Declined)) {
                Ok(opened) => {
                    self.outproxies.choose(asking, &outproxy).await;
                    return Ok(opened);
                }
                Err(Fault::Target(failure)) => return Err(failure),
                Err(Fault::Router(failure)) => router = Some(failure),
                Err(Fault::Declined | Fault::Outproxy(_)) => {}
            }
        }
        Err(router.unwrap_or(Failure::OutproxiesFailed))
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::I2pName;

    use super::*;
    use crate::{
        route::Rule,
        sessions::{PoolOptions, SamDialler, SessionPool},
    };

    #[test]
    fn a_rule_with_an_outproxy_that_is_not_there_is_told() {
        let rule = |via| Rule { host: "*".parse().unwrap(), ports: "80".parse().unwrap(), via };
        let routes = Routes::new(vec![rule(Via::Reject), rule(Via::Outproxies(vec!["a".into()]))]);
        let error = Routing::new(routes.into(), Outproxies::default()).unwrap_err();
        assert_eq!(error.to_string(), "route 2 names the outproxy a, which is not defined");
    }

    /// What a connection's task holds, at all times: kilobytes that thousands of idle connections would pay for.
    #[tokio::test]
    async fn opening_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let (dialler, key) = (SamDialler::new(pool), IsolationKey::default());
        let name = I2pName::Host("a.i2p".parse().unwrap());
        let target = Target::I2p(name.clone());
        let inner = size_of_val(&dialler.dial(&key, &name, 80));
        let routing = Routing::default();
        let size = size_of_val(&routing.open(&dialler, &key, (&target, 80), MAX_ATTEMPT));
        assert!(size < inner + 512, "{size} bytes, {inner} of them of SAM");
    }
}

use std::{sync::Arc, time::Duration};

use i2p_name::{I2pName, Target};
use tokio::time::{Instant, timeout_at};

use super::Dial;
use crate::{
    client::Client,
    failure::Failure,
    limits::Limits,
    outproxy::{Asking, Fault, Outproxies, Request, WaysOut},
    route::{OutsideHost, Routes, Verdict, Via},
    sessions::{Datagrams, Incoming, SamDialler},
    stream::Opened,
};

/// The most for one outproxy while there are others to ask. One that is well answers within seconds, and routers give a
/// destination that is not there up after a minute.
const ONE: Duration = Duration::from_secs(40);

/// Dials what is of I2P there, and asks outproxies for the rest, where rules say so.
#[derive(Debug, Clone)]
pub struct RoutedDialler {
    sam: SamDialler,
    routes: Arc<Routes>,
    outproxies: Outproxies,
    /// How long the client waits.
    limit: Duration,
}

/// A rule names an outproxy that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {} names the outproxy {name}, and there is none of that name", rule + 1)]
pub struct UnknownOutproxy {
    /// The rule, counted from 0.
    pub rule: usize,
    /// The name.
    pub name: Arc<str>,
}

impl RoutedDialler {
    /// Dials by these rules. Without rules, all that is not of I2P is refused.
    ///
    /// # Errors
    /// [`UnknownOutproxy`].
    pub fn new(
        sam: SamDialler,
        routes: Arc<Routes>,
        outproxies: Outproxies,
    ) -> Result<Self, UnknownOutproxy> {
        for (rule, names) in routes.rules().iter().enumerate() {
            let Via::Outproxies(names) = &names.via else { continue };
            if let Some(name) = names.iter().find(|name| !outproxies.has(name)) {
                return Err(UnknownOutproxy { rule, name: Arc::clone(name) });
            }
        }
        Ok(Self { sam, routes, outproxies, limit: Limits::default().dial })
    }

    /// Dials into I2P alone.
    #[must_use]
    pub fn without_routes(sam: SamDialler) -> Self {
        let limit = Limits::default().dial;
        Self { sam, routes: Arc::default(), outproxies: Outproxies::default(), limit }
    }

    /// For a service whose [`Limits::dial`] is this, and not the default: asking outproxies ends a little before it. While there
    /// are others left to ask, each may take a third of that, and 40 s at most.
    #[must_use]
    pub fn with_limit(self, dial: Duration) -> Self {
        Self { limit: dial, ..self }
    }

    /// Asks the outproxies of a rule one after the other, until one connects or says that the target is at fault.
    async fn ask_outproxies(
        &self,
        client: &Client,
        (target, port): (&Target, u16),
        names: &[Arc<str>],
        host: OutsideHost<'_>,
    ) -> Result<Opened, Failure> {
        // Before the client is told that it takes too long, so that what it is told is what happened.
        let deadline = Instant::now() + (self.limit - self.limit / 24);
        let key = self.sam.isolation_key(client, (target, port));
        let asking = Asking { key, target: target.clone(), names: names.to_vec() };
        let mut left = self.outproxies.in_order(&asking).await.into_iter().peekable();
        let request = Request { host, port, asked: target, client, key: &asking.key, sam: &self.sam };
        let mut router = None;
        while let Some(outproxy) = left.next() {
            let rest = deadline.saturating_duration_since(Instant::now());
            // Our router would fail again.
            if rest.is_zero() || (router.is_some() && outproxy.is_in_i2p()) {
                continue;
            }
            let limit = if left.peek().is_some() { ONE.min(self.limit / 3).min(rest) } else { rest };
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

impl Dial for RoutedDialler {
    async fn dial(&self, client: &Client, target: &Target, port: u16) -> Result<Opened, Failure> {
        match self.routes.decide(target, port) {
            Verdict::I2p => self.sam.dial(client, target, port).await,
            // In a place of its own: what this takes is not to be in the size of every connection.
            Verdict::Outproxies { names, host, .. } => {
                Box::pin(self.ask_outproxies(client, (target, port), names, host)).await
            }
            Verdict::Rejected { .. } | Verdict::NoRule => Err(Failure::NotAllowed),
        }
    }

    async fn lookup(&self, client: &Client, name: &I2pName, port: u16) -> Result<(), Failure> {
        self.sam.lookup(client, name, port).await
    }

    async fn associate(&self, client: &Client) -> Result<Datagrams, Failure> {
        self.sam.associate(client).await
    }

    fn ways_out(&self, client: &Client) -> Option<WaysOut> {
        if self.routes.rules().is_empty() {
            return None;
        }
        let key = self.sam.client_key(client);
        Some(WaysOut::new(Arc::clone(&self.routes), self.outproxies.clone(), key))
    }

    async fn listen(&self, client: &Client) -> Result<Incoming, Failure> {
        self.sam.listen(client).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{ClientAddress, ClientCredentials},
        route::Rule,
        sessions::{PoolOptions, SessionPool, Tunnel},
    };

    fn sam() -> SamDialler {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        SamDialler::new(SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options), Tunnel::default())
    }

    #[tokio::test]
    async fn a_rule_with_an_outproxy_that_is_not_there_is_told() {
        let rule = |via| Rule { host: "*".parse().unwrap(), ports: "80".parse().unwrap(), via };
        let routes = Routes::new(vec![rule(Via::Reject), rule(Via::Outproxies(vec!["a".into()]))]);
        let error = RoutedDialler::new(sam(), routes.into(), Outproxies::default()).unwrap_err();
        assert_eq!(error.to_string(), "rule 2 names the outproxy a, and there is none of that name");
    }

    /// What a connection's task holds, at all times: kilobytes that thousands of idle connections would pay for.
    #[tokio::test]
    async fn dialling_is_small() {
        let dialler = RoutedDialler::without_routes(sam());
        let client = Client {
            address: ClientAddress::User(0),
            listener: "x".into(),
            protocol: crate::ClientProtocol::Socks5,
            credentials: ClientCredentials::None,
        };
        let target = Target::parse(b"a.i2p").unwrap();
        let inner = size_of_val(&dialler.sam.dial(&client, &target, 80));
        let size = size_of_val(&dialler.dial(&client, &target, 80));
        assert!(size < inner + 512, "{size} bytes, {inner} of them of SAM");
    }
}

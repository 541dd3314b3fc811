//! The router that answers at a bridge.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Bridge,
    capabilities::Capabilities,
    connection::{Connection, within},
    learned::Known,
    spares::SpareOrder,
    style_trials::StyleTrials,
};
use crate::{
    error::{Error, Phase},
    wire::{Dialect, LeaseSetDialect, LeaseSetEncryption, LookupName, NamingLookup, Reply},
};

/// A spare connection that the router closes within this time after a command had been closed before the command. A router that
/// refuses a command takes longer, or answers.
const STALE_CLOSE_WINDOW: Duration = Duration::from_secs(1);

/// The router that answered at a [`Bridge`], with what it can do. [`Bridge::router`] returns it.
///
/// A session keeps the router that made it, and with it what that router can do and the connections to it that are kept
/// ready. Once another router has answered at the bridge, new sessions are made by that one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Router {
    bridge: Bridge,
    known: Known,
}

impl Bridge {
    /// The router that answers here. It is asked once: all clones of this bridge know it from then on, until the router
    /// closes a session.
    ///
    /// # Errors
    /// As [`Bridge::probe`].
    pub async fn router(&self) -> Result<Router, Error> {
        if let Some(router) = self.latest_router() {
            return Ok(router);
        }
        let _one_at_a_time = self.learned.asking.lock().await;
        if let Some(router) = self.latest_router() {
            return Ok(router);
        }
        let router = self.ask_router().await?;
        tracing::info!("the router's bridge: {}", router.capabilities());
        Ok(router)
    }

    /// What the router can do, as [`Router::capabilities`].
    ///
    /// # Errors
    /// As [`Bridge::probe`].
    pub async fn capabilities(&self) -> Result<Capabilities, Error> {
        Ok(self.router().await?.capabilities())
    }

    /// Asks whether a router answers now, and what it can do.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotSam`], [`Error::Timeout`], [`Error::Refused`].
    pub async fn probe(&self) -> Result<Capabilities, Error> {
        Ok(self.ask_router().await?.capabilities())
    }

    fn latest_router(&self) -> Option<Router> {
        self.learned.latest().map(|known| Router { bridge: self.clone(), known })
    }

    async fn ask_router(&self) -> Result<Router, Error> {
        let (mut connection, version) = self.connect_as(Dialect::Standard).await?;
        // It counts as a part of HELLO: a bridge that does not answer it is of no use, and may be a router's that is going away.
        let ask = async {
            let lookup = NamingLookup { name: LookupName::Nonexistent, options: false };
            connection.send(&lookup, Phase::Hello).await?;
            let line = connection.answer(Phase::Hello).await?;
            Ok(Capabilities::learn(version, Reply::parse(&line).ok()))
        };
        let capabilities = within(self.timeouts().hello, Phase::Hello, ask).await?;
        let known = self.learned.remember(capabilities, self.known_place().max_spares);
        Ok(Router { bridge: self.clone(), known })
    }
}

impl Router {
    /// The bridge at which this router answered.
    #[must_use]
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// What this router can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.known.capabilities
    }

    /// The kinds of datagrams that this router was asked for.
    pub(crate) fn style_trials(&self) -> &StyleTrials {
        &self.known.style_trials
    }

    /// How this router reads the options of a session's lease set on this connection.
    pub(crate) fn lease_set_dialect(&self, connection: &Connection) -> LeaseSetDialect {
        let mut lease_set = connection.lease_set_dialect();
        if self.known.refuses_post_quantum.load(Ordering::Relaxed) {
            lease_set.encryption = LeaseSetEncryption::Classic;
        }
        lease_set
    }

    /// Asks this router for no post-quantum encryption from now on.
    pub(crate) fn forgo_post_quantum(&self) {
        if !self.known.refuses_post_quantum.swap(true, Ordering::Relaxed) {
            tracing::info!("the router refuses post-quantum encryption: sessions use X25519 alone");
        }
    }

    /// Forgets this router: behind a connection that was lost another router may come up, or another version of it. Sessions
    /// that still live keep it.
    pub(crate) fn forget(&self) {
        self.bridge.learned.forget(&self.known);
    }

    /// Warns once that sessions ask for early data and this router cannot be asked for it.
    pub(crate) fn warn_once_no_early_data(&self) {
        self.bridge.learned.warn_once_no_early_data(self.known.capabilities);
    }

    /// A new connection that has said HELLO and speaks the router's dialect.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        self.bridge.connect_as(self.known.capabilities.dialect()).await.map(|(connection, _)| connection)
    }

    /// Makes a request on a spare connection, or else on a new one.
    ///
    /// A spare is kept for less time than any router allows, but the router may have been restarted meanwhile. A spare that is
    /// closed at once and without a word was closed before the request: the request is then made again on a new connection.
    pub(crate) async fn request<T, F>(&self, request: impl Fn(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (mut spare, order) = self.known.spares.take();
        self.make_spares(order);
        loop {
            let begin = spare.is_some().then(Instant::now);
            let connection = match spare.take() {
                Some(spare) => spare,
                // Seldom needed, so it has an allocation of its own: every request has this future.
                None => Box::pin(self.connect()).await?,
            };
            match request(connection).await {
                Err(Error::Closed { .. })
                    if begin.is_some_and(|begin| begin.elapsed() < STALE_CLOSE_WINDOW) => {}
                result => return result,
            }
        }
    }

    /// Starts to make the spare connections that were ordered.
    fn make_spares(&self, order: SpareOrder) {
        if order.count == 0 {
            return;
        }
        let order = Arc::new(order);
        for _ in 0..order.count {
            let (router, order) = (self.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let made = router.connect().await.ok();
                router.known.spares.put(&order, made);
            });
        }
    }
}

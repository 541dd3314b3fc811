//! The search for a router, which goes on while clients are served already.

use std::pin::Pin;

use i2p_sam::Bridge;
use tokio_util::sync::CancellationToken;

use super::{own_router::Deaths, router::Router, router_user::RouterUser};
use crate::{
    command_error::CommandError, config::Config, names::service::NameService,
    status::own_router::OwnRouterSource, terminal::progress::Progress,
};

/// The router of the proxy, or the search for it. Until there is one, its bridge is undecided: sessions wait for it, and clients for
/// them, as they do while a router is away.
pub(crate) struct RouterSearch<'a> {
    bridge: Bridge,
    searching: Option<Searching<'a>>,
    found: Option<Router>,
    deaths: Deaths,
}

type Searching<'a> = Pin<Box<dyn Future<Output = Result<Router, CommandError>> + 'a>>;

/// What happens to the router.
pub(crate) enum RouterEvent {
    /// It was found or started, and its bridge is decided.
    Found,
    /// A router that the proxy runs itself has died, and is started again.
    Died,
}

impl<'a> RouterSearch<'a> {
    /// Begins with the first [`next`](Self::next). `no_own_router`: why the proxy cannot start one itself, if it cannot.
    pub(crate) fn new(
        config: &'a Config,
        progress: &'a Progress,
        names: &'a NameService,
        no_own_router: Option<String>,
    ) -> Self {
        let search = Router::find_or_start(RouterUser::Proxy, config, progress, names, no_own_router);
        Self {
            bridge: Bridge::undecided(),
            searching: Some(Box::pin(search)),
            found: None,
            deaths: Deaths::None,
        }
    }

    /// The bridge of the router that there is or will be.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Whether there is a router.
    pub(crate) fn is_over(&self) -> bool {
        self.found.is_some()
    }

    /// Where its state is read from, if the proxy runs it itself.
    pub(crate) fn own_router(&self) -> Option<OwnRouterSource> {
        self.found.as_ref().and_then(Router::status)
    }

    /// The next thing that happens to it. Cancel-safe.
    ///
    /// # Errors
    /// There is no router, and why.
    pub(crate) async fn next(&mut self) -> Result<RouterEvent, CommandError> {
        let Some(searching) = &mut self.searching else {
            self.deaths.next().await;
            return Ok(RouterEvent::Died);
        };
        let outcome = searching.await;
        self.searching = None;
        let router = outcome?;
        self.deaths = router.deaths();
        self.bridge.decide(router.bridge());
        self.found = Some(router);
        Ok(RouterEvent::Found)
    }

    /// Ends the search, and the router if the proxy runs it itself. Waits until it has ended or `now` is cancelled. The kernel ends
    /// what is left of it together with this process.
    pub(crate) async fn end(self, now: &CancellationToken) {
        // Waits for the end of a router that is being started.
        drop(self.searching);
        let Some(router) = self.found else { return };
        if router.status().is_some() && !now.is_cancelled() {
            tracing::info!("waiting until the router has ended; a second signal ends it at once");
        }
        let ending = tokio::task::spawn_blocking(move || drop(router));
        tokio::select! {
            _ = ending => {}
            () = now.cancelled() => {}
        }
    }
}

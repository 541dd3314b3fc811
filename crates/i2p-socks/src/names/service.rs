//! The names of a running proxy: where they are looked up, and the feeds and jump services that bring more.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use i2p_sam::Bridge;
use i2p_tunnel::{NameSource, Resolver, ResolverTimes};

use super::{book::Book, feeds::Feeds, jump::Jump, own_client::Way};
use crate::config::{Config, i2p_url::I2pUrl, session::SessionConfig};

/// The names of a running proxy.
pub(crate) struct Names {
    /// The book, or why there is none.
    book: Result<Book, String>,
    /// Finds what clients ask for.
    resolver: Resolver,
    /// Finds our own feeds and jump services, without asking jump services.
    near: Resolver,
    subscriptions: Vec<I2pUrl>,
    every: Option<Duration>,
    way: Arc<OnceLock<Arc<Way>>>,
    feeds: OnceLock<Arc<Feeds>>,
}

impl Names {
    /// Opens the book, if there is to be one and the state directory is ours. Where it cannot be opened, the log says so, and
    /// names are looked up elsewhere.
    pub(crate) async fn open(config: &Config, state_dir: Option<&Path>) -> Arc<Self> {
        let book = match state_dir {
            _ if !config.names.book => Err("the proxy keeps no address book: [names] book = false".to_owned()),
            None => Err("the proxy has no address book, since it could not use the state directory".to_owned()),
            Some(state_dir) => Book::open(state_dir.to_owned()).await.inspect_err(|error| {
                tracing::warn!(
                    "{error}. So no name of it is found, and none is added; everything else works. Nothing in the file was changed"
                );
            }),
        };
        Arc::new(Self::with(config, book))
    }

    fn with(config: &Config, book: Result<Book, String>) -> Self {
        let names = &config.names;
        let mut sources: Vec<Arc<dyn NameSource>> = vec![Arc::new(names.fixed.clone())];
        if let Ok(book) = &book {
            sources.push(Arc::new(book.clone()));
        }
        let times = ResolverTimes::default();
        let near = Resolver::new(sources.clone(), times).with_router(names.router);
        let way: Arc<OnceLock<Arc<Way>>> = Arc::default();
        let resolver = Resolver::new(sources, times).with_router(names.router);
        let resolver = match &book {
            Ok(book) if !names.jump.is_empty() => {
                let jump = Jump { services: names.jump.clone(), book: book.clone(), way: Arc::clone(&way) };
                resolver.with_last_resort(Arc::new(jump))
            }
            _ => resolver,
        };
        Self {
            book,
            resolver,
            near,
            subscriptions: names.subscriptions.clone(),
            every: names.update_every,
            way,
            feeds: OnceLock::new(),
        }
    }

    /// Begins to read subscriptions and to ask jump services, through this router. A second time it does nothing.
    pub(crate) fn connect(&self, bridge: &Bridge, session: &SessionConfig) {
        let Ok(book) = &self.book else { return };
        let way = self.way.get_or_init(|| Arc::new(Way::new(bridge.clone(), session, self.near.clone())));
        self.feeds.get_or_init(|| {
            let resolvers = vec![self.resolver.clone(), self.near.clone()];
            let feeds =
                Feeds::new(book.clone(), Arc::clone(way), resolvers, self.subscriptions.clone(), self.every);
            tokio::spawn(Arc::clone(&feeds).run());
            feeds
        });
    }

    /// What finds the names that clients ask for.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The book.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn book(&self) -> Result<&Book, &str> {
        self.book.as_ref().map_err(String::as_str)
    }

    pub(super) fn configured(&self) -> &[I2pUrl] {
        &self.subscriptions
    }

    pub(super) fn feeds(&self) -> Option<&Arc<Feeds>> {
        self.feeds.get()
    }

    /// Names have changed.
    pub(super) fn forget(&self) {
        self.resolver.forget();
        self.near.forget();
    }
}

//! Host names in the running proxy: the resolver, the address book, feeds and jump services.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use i2p_name::{B32, Destination, HostName, I2pName};
use i2p_sam::{Bridge, Error};
use i2p_tunnel::{Failure, LogThrottle, NameSource, Resolver, ResolverTimes};

use super::{
    book::SharedBook,
    feeds::FeedReader,
    jump::JumpServices,
    lookup::{HostLookup, why_unknown},
    own_client::OwnClient,
    well_known::WellKnownFeeds,
};
use crate::config::{Config, i2p_url::I2pUrl, names::NamesConfig, session::SessionConfig};

/// Host names in the running proxy.
pub(crate) struct NameService {
    /// The address book, or why there is none.
    book: Result<SharedBook, String>,
    /// Resolves the names that clients ask for.
    resolver: Resolver,
    /// Resolves the hosts of feeds, without asking jump services.
    own_resolver: Resolver,
    config: NamesConfig,
    /// The bridge of the router, once there is one.
    bridge: OnceLock<Bridge>,
    /// Asks for what only a session can, once there is a router.
    client: OnceLock<Arc<OwnClient>>,
    feeds: OnceLock<Arc<FeedReader>>,
    /// The task that reads them.
    reading: OnceLock<tokio::task::AbortHandle>,
}

impl NameService {
    /// Opens the address book, if the configuration wants one and this process owns the state directory. If it cannot be opened, a
    /// warning is logged, and names are looked up without it.
    pub(crate) async fn open(config: &Config, state_dir: Option<&Path>) -> Arc<Self> {
        let book = match state_dir {
            _ if !config.names.book => Err("the proxy has no address book, because the configuration has book = false under [names]".to_owned()),
            None => Err("the proxy has no address book, because it could not use the state directory".to_owned()),
            Some(state_dir) => SharedBook::open(state_dir.to_owned()).await.map_err(|error| {
                tracing::warn!(
                    "{error}. The proxy runs without its address book: no names are found in it or added to it. The file was not changed"
                );
                format!("{error}. The proxy found this when it started: correct it, then restart the proxy")
            }),
        };
        Arc::new(Self::with(config, book))
    }

    fn with(config: &Config, book: Result<SharedBook, String>) -> Self {
        let names = &config.names;
        let mut sources: Vec<Arc<dyn NameSource>> = vec![Arc::new(names.fixed.clone())];
        if let Ok(book) = &book {
            sources.push(Arc::new(book.clone()));
        }
        let times = ResolverTimes::default();
        let mut for_feeds = sources.clone();
        for_feeds.push(Arc::new(WellKnownFeeds));
        let own_resolver = Resolver::new(for_feeds, times).with_router(names.router);
        let mut resolver = Resolver::new(sources, times).with_router(names.router);
        if !names.jump.is_empty() {
            let jump = JumpServices {
                services: names.jump.clone(),
                book: book.clone().ok(),
                failures: LogThrottle::new(),
            };
            resolver = resolver.with_last_resort(Arc::new(jump));
        }
        Self {
            book,
            resolver,
            own_resolver,
            config: names.clone(),
            bridge: OnceLock::new(),
            client: OnceLock::new(),
            feeds: OnceLock::new(),
            reading: OnceLock::new(),
        }
    }

    /// Starts reading feeds through this router, and asks it from now on for [`look_up`](Self::look_up). A second call does nothing.
    pub(crate) fn start_fetching(&self, bridge: &Bridge, session: &SessionConfig) {
        self.bridge.get_or_init(|| bridge.clone());
        let Ok(book) = &self.book else { return };
        let own = || Arc::new(OwnClient::new(bridge.clone(), session, self.own_resolver.clone()));
        let client = Arc::clone(self.client.get_or_init(own));
        self.feeds.get_or_init(|| {
            let resolvers = vec![self.resolver.clone(), self.own_resolver.clone()];
            let feeds = FeedReader::new(
                book.clone(),
                client,
                resolvers,
                self.config.subscriptions.clone(),
                self.config.update_every,
            );
            let reading = tokio::spawn(Arc::clone(&feeds).run());
            // It is set once, like the feeds.
            let _ = self.reading.set(reading.abort_handle());
            feeds
        });
    }

    /// Reads no more feeds: the proxy is stopping, and its router with it.
    pub(crate) fn stop_reading(&self) {
        if let Some(reading) = self.reading.get() {
            reading.abort();
        }
    }

    /// The resolver for the names that clients ask for.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The address book.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn book(&self) -> Result<&SharedBook, &str> {
        self.book.as_ref().map_err(String::as_str)
    }

    /// What is wrong with the address book, if the configuration wants one.
    pub(crate) fn book_failure(&self) -> Option<String> {
        match &self.book {
            Ok(book) => book.failure().map(str::to_owned),
            Err(why) => self.config.book.then(|| why.clone()),
        }
    }

    /// The names in the configuration.
    pub(super) fn fixed_names(&self) -> &HashMap<HostName, I2pName> {
        &self.config.fixed
    }

    /// What the router's address book says of a name, if it is asked for names.
    pub(super) async fn ask_router(&self, name: &HostName) -> Option<Destination> {
        let bridge = self.bridge.get().filter(|_| self.config.router)?;
        bridge.lookup(&name.clone().into()).await.ok()
    }

    pub(super) fn configured(&self) -> &[I2pUrl] {
        &self.config.subscriptions
    }

    /// What each source of names says about a host name.
    pub(super) async fn look_up(&self, host: &HostName) -> HostLookup {
        let book = async {
            let (book, host) = (self.book()?, host.clone());
            book.work(move |book| book.lookup(&host)).await
        };
        let bridge = self.bridge.get().ok_or_else(|| "the proxy has no router yet".to_owned());
        HostLookup::of(host, &self.config, book, bridge).await
    }

    /// The destination behind a base32 address, from the router. emissary looks addresses up for sessions only.
    ///
    /// # Errors
    /// Why it is not known, for people.
    pub(super) async fn destination_of(&self, b32: B32) -> Result<Destination, String> {
        let bridge = self.bridge.get().ok_or_else(|| "the proxy has no router yet".to_owned())?;
        match (bridge.lookup(&b32.into()).await, self.client.get()) {
            (Err(Error::Unsupported { .. }), Some(client)) => {
                client.destination_of(b32).await.map_err(|failure| match failure {
                    // No address book has base32 addresses.
                    Failure::NameUnknown => Failure::Unreachable.row().log.to_owned(),
                    failure => failure.row().log.to_owned(),
                })
            }
            (found, _) => found.map_err(|error| why_unknown(&error)),
        }
    }

    pub(super) fn feeds(&self) -> Option<&Arc<FeedReader>> {
        self.feeds.get()
    }

    /// Forgets resolved names, because names in the address book have changed.
    pub(super) fn forget_resolved(&self) {
        self.resolver.forget();
        self.own_resolver.forget();
    }
}

use std::{
    any::Any,
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::{HostName, I2pName};
use tokio::time::Instant;

use super::cache::{Answer, CachedAnswer, NameCache};
use crate::{failure::Failure, stream::OpenStream};

/// A local source of host names, such as an address book on disk.
pub trait NameSource: Send + Sync + 'static {
    /// Returns the destination of a name, or the hash of one; `None` if this source does not know it. Runs on the async runtime, so
    /// it must not block on anything but a disk.
    fn find(&self, name: &HostName) -> Option<I2pName>;
}

/// A fixed map, such as the names of the configuration.
impl NameSource for HashMap<HostName, I2pName> {
    fn find(&self, name: &HostName) -> Option<I2pName> {
        self.get(name).cloned()
    }
}

/// How long answers are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolverTimes {
    /// The destination of a name.
    pub known: Duration,
    /// The answer that a name is in no address book. Short by default, since the user may be adding the name.
    pub unknown: Duration,
}

impl Default for ResolverTimes {
    fn default() -> Self {
        Self { known: Duration::from_secs(600), unknown: Duration::from_secs(20) }
    }
}

/// Opens streams as one identity.
pub trait OpenStreams: Sync {
    /// Opens a stream to a port of a name. A host name is looked up without the last resort.
    ///
    /// # Errors
    /// The [`Failure`] of the attempt.
    fn open<'a>(
        &'a self,
        name: &'a I2pName,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>>;

    /// Whether no stream can work any more, because the identity's session was lost.
    fn are_lost(&self) -> bool {
        false
    }
}

/// A remote source of names that is queried last, such as a jump service.
pub trait LastResort: Send + Sync + 'static {
    /// Returns the destination of a name, or the hash of one; `None` if it was not found, which is remembered. Should return within the
    /// time that a client waits ([`Limits::dial`](crate::Limits::dial)).
    ///
    /// It must query by `streams` alone, which are those of the identity that looks the name up. On other streams, the source could
    /// tell which identities belong to one proxy. For the same reason the answer is for this identity only: it must not be stored
    /// where others find it.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client if nobody could say whether the name exists. It is not remembered.
    fn find<'a>(
        &'a self,
        name: &'a HostName,
        streams: &'a dyn OpenStreams,
    ) -> Pin<Box<dyn Future<Output = Result<Option<I2pName>, Failure>> + Send + 'a>>;
}

/// The identity that looks a name up.
#[derive(Clone, Copy)]
pub struct LookupIdentity<'a> {
    /// What it has looked up before.
    pub cache: &'a NameCache,
    /// Its streams, on which the last resort is queried.
    pub streams: &'a dyn OpenStreams,
}

/// Resolves host names to destinations: from its sources in order, then the router, then the last resort. Answers concurrent queries
/// of one identity for one name with a single lookup. Clones are the same resolver.
///
/// Each identity has its own [`NameCache`], so that no identity can tell what another one has looked up.
#[derive(Clone)]
pub struct Resolver {
    sources: Arc<[Arc<dyn NameSource>]>,
    asks_router: bool,
    last_resort: Option<Arc<dyn LastResort>>,
    times: ResolverTimes,
    /// The number of the answers that are valid, changed by [`forget`](Resolver::forget). A lookup has the number of its start, so
    /// that an answer that arrives after the change is not used. No two resolvers have the same.
    generation: Arc<AtomicU64>,
}

/// The next generation of any resolver of this process.
static NEXT_GENERATION: AtomicU64 = AtomicU64::new(1);

impl Resolver {
    /// Creates a resolver that queries these sources in order, and then the router.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn NameSource>>, times: ResolverTimes) -> Self {
        let generation = Arc::new(AtomicU64::new(NEXT_GENERATION.fetch_add(1, Relaxed)));
        Self { sources: sources.into(), asks_router: true, last_resort: None, times, generation }
    }

    /// Sets whether names that no source knows are looked up at the router. Initially they are.
    #[must_use]
    pub fn with_router(self, asks_router: bool) -> Self {
        Self { asks_router, ..self }
    }

    /// Sets the source to query for names that neither the other sources nor the router know.
    #[must_use]
    pub fn with_last_resort(self, last_resort: Arc<dyn LastResort>) -> Self {
        Self { last_resort: Some(last_resort), ..self }
    }

    /// Makes all cached answers invalid. Call this when a source has changed.
    pub fn forget(&self) {
        self.generation.store(NEXT_GENERATION.fetch_add(1, Relaxed), Relaxed);
    }

    /// Resolves a name for an identity. Returns `None` if it is in no address book.
    ///
    /// `ask` queries the router and returns `Ok(None)` for an unknown name. It runs only if no source knows the name, and at most
    /// once for concurrent queries of this identity. Cancel-safe: another waiting caller takes over the lookup.
    ///
    /// # Errors
    /// The error of `ask` or of the last resort. Errors are not cached.
    pub async fn resolve<E: From<Failure> + Clone + Send + Sync + 'static>(
        &self,
        identity: LookupIdentity<'_>,
        name: &HostName,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Option<Arc<I2pName>>, E> {
        let generation = self.generation.load(Relaxed);
        if let Some(answer) = identity.cache.get(name, generation) {
            return Ok(answer.found());
        }
        // Boxed: answers are cached, so most connections never need this.
        Box::pin(self.find_and_cache(generation, identity, name, Box::pin(ask))).await
    }

    /// Resolves a name for an identity without the cache and without the last resort, as for the hosts of jump services.
    ///
    /// # Errors
    /// The error of `ask`.
    pub(crate) async fn resolve_once<E>(
        &self,
        name: &HostName,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Option<I2pName>, E> {
        if let Some(found) = self.sources.iter().find_map(|source| source.find(name)) {
            return Ok(Some(found));
        }
        if self.asks_router { ask.await } else { Ok(None) }
    }

    async fn find_and_cache<E: From<Failure> + Clone + Send + Sync + 'static>(
        &self,
        generation: u64,
        identity: LookupIdentity<'_>,
        name: &HostName,
        mut ask: Pin<Box<impl Future<Output = Result<Option<I2pName>, E>> + Send>>,
    ) -> Result<Option<Arc<I2pName>>, E> {
        let joined = identity.cache.join(name, generation);
        let look_up = async {
            // Another task may have stored the answer just before this one began.
            if let Some(answer) = identity.cache.get(name, generation) {
                return Ok(answer);
            }
            let found = self.find(generation, identity, name, &mut ask).await;
            found.map_err(|error| Arc::new(error) as Arc<dyn Any + Send + Sync>)
        };
        match joined.outcome(look_up).await {
            Ok(answer) => Ok(answer.found()),
            Err(error) => match error.downcast_ref::<E>() {
                Some(error) => Err(error.clone()),
                // The lookup of a task with another type of error.
                None => self.resolve_once(name, ask).await.map(|found| found.map(Arc::new)),
            },
        }
    }

    /// Finds a name, and caches the answer.
    async fn find<E: From<Failure>>(
        &self,
        generation: u64,
        LookupIdentity { cache, streams }: LookupIdentity<'_>,
        name: &HostName,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Answer, E> {
        let found = self.resolve_once(name, ask).await?.map(Arc::new);
        let from_last_resort = found.is_none();
        let found = match (found, &self.last_resort) {
            (None, Some(last_resort)) => match cache.known_from_last_resort(name, generation) {
                Some(known) => Some(known),
                None => last_resort.find(name, streams).await?.map(Arc::new),
            },
            (found, _) => found,
        };
        let (answer, time) = match found {
            Some(found) => (Answer::Known(found), self.times.known),
            None => (Answer::Unknown, self.times.unknown),
        };
        let until = Instant::now() + time;
        let cached = CachedAnswer { answer: answer.clone(), from_last_resort, generation, until };
        cache.insert(name, cached);
        Ok(answer)
    }
}

impl Default for Resolver {
    /// Queries only the router.
    fn default() -> Self {
        Self::new(Vec::new(), ResolverTimes::default())
    }
}

/// Shows no names: they tell what clients look for.
impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

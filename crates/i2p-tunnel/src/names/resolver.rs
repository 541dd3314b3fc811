use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use i2p_name::{HostName, I2pName};
use moka::{Expiry, future::Cache};

/// Most names in the cache. Each takes less than a kilobyte.
const MAX_CACHED_NAMES: u64 = 4096;

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

/// A remote source of names that is queried last, such as a jump service.
pub trait LastResort: Send + Sync + 'static {
    /// Returns the destination of a name, or the hash of one; `None` if it was not found. Should return within the time that a client
    /// waits ([`Limits::dial`](crate::Limits::dial)).
    fn find<'a>(&'a self, name: &'a HostName) -> Pin<Box<dyn Future<Output = Option<I2pName>> + Send + 'a>>;
}

/// Resolves host names to destinations: from its sources in order, then the router, then the last resort. Caches the answers, and
/// answers concurrent queries for one name with a single lookup.
///
/// All clients share the cache, since a name has the same destination for all of them. Clones share it too.
#[derive(Clone)]
pub struct Resolver {
    sources: Arc<[Arc<dyn NameSource>]>,
    asks_router: bool,
    last_resort: Option<Arc<dyn LastResort>>,
    answers: Cache<Key, Answer>,
    /// Incremented by [`forget`](Resolver::forget). It is part of the cache key as of the start of a lookup, so that an answer
    /// that arrives after the change is not used.
    generation: Arc<AtomicU64>,
}

type Key = (u64, HostName);

/// A cached answer. In an `Arc`, since it is returned many times.
#[derive(Debug, Clone)]
enum Answer {
    Known(Arc<I2pName>),
    Unknown,
}

impl Answer {
    fn found(self) -> Option<Arc<I2pName>> {
        match self {
            Self::Known(found) => Some(found),
            Self::Unknown => None,
        }
    }
}

impl Resolver {
    /// Creates a resolver that queries these sources in order, and then the router.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn NameSource>>, times: ResolverTimes) -> Self {
        let answers = Cache::builder().max_capacity(MAX_CACHED_NAMES).expire_after(Expire(times)).build();
        Self {
            sources: sources.into(),
            asks_router: true,
            last_resort: None,
            answers,
            generation: Arc::default(),
        }
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

    /// Clears the cache. Call this when a source has changed.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// Resolves a name. Returns `None` if it is in no address book.
    ///
    /// `ask` queries the router and returns `Ok(None)` for an unknown name. It runs only if no source knows the name, and at most
    /// once for concurrent queries. Cancel-safe: another waiting caller takes over the lookup.
    ///
    /// # Errors
    /// The error of `ask`. Errors are not cached.
    pub async fn resolve<E: Clone + Send + Sync + 'static>(
        &self,
        name: &HostName,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Option<Arc<I2pName>>, E> {
        let key = (self.generation.load(Relaxed), name.clone());
        if let Some(answer) = self.answers.get(&key).await {
            return Ok(answer.found());
        }
        // Boxed: this future takes a hundred kilobytes, which every connection would reserve otherwise.
        Box::pin(self.find_and_cache(&key, Box::pin(ask))).await
    }

    async fn find_and_cache<E: Clone + Send + Sync + 'static>(
        &self,
        key: &Key,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Option<Arc<I2pName>>, E> {
        let find = async {
            let found = self.find(&key.1, ask).await?;
            Ok(found.map_or(Answer::Unknown, |found| Answer::Known(Arc::new(found))))
        };
        match self.answers.try_get_with_by_ref(key, find).await {
            Ok(answer) => Ok(answer.found()),
            Err(error) => Err(E::clone(&error)),
        }
    }

    async fn find<E>(
        &self,
        name: &HostName,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Option<I2pName>, E> {
        if let Some(found) = self.sources.iter().find_map(|source| source.find(name)) {
            return Ok(Some(found));
        }
        if self.asks_router
            && let Some(found) = ask.await?
        {
            return Ok(Some(found));
        }
        match &self.last_resort {
            Some(last_resort) => Ok(last_resort.find(name).await),
            None => Ok(None),
        }
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

struct Expire(ResolverTimes);

impl Expiry<Key, Answer> for Expire {
    fn expire_after_create(&self, _: &Key, answer: &Answer, _: Instant) -> Option<Duration> {
        Some(match answer {
            Answer::Known(_) => self.0.known,
            Answer::Unknown => self.0.unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::atomic::AtomicUsize, task::Poll};

    use i2p_name::B32;
    use tokio::sync::Notify;

    use super::*;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn destination(byte: u8) -> I2pName {
        I2pName::B32(B32::from_hash([byte; 32]))
    }

    type Asked = Result<Option<I2pName>, &'static str>;

    fn says(asked: &AtomicUsize, answer: Asked) -> impl Future<Output = Asked> + Send + '_ {
        poll_fn(move |_| {
            asked.fetch_add(1, Relaxed);
            Poll::Ready(answer.clone())
        })
    }

    #[tokio::test]
    async fn sources_are_queried_in_order_and_before_the_router() {
        let book =
            |byte| Arc::new(HashMap::from([(name("a.i2p"), destination(byte))])) as Arc<dyn NameSource>;
        let resolver = Resolver::new(vec![book(1), book(2)], ResolverTimes::default());
        let asked = AtomicUsize::new(0);
        let found = resolver.resolve(&name("a.i2p"), says(&asked, Ok(Some(destination(3))))).await.unwrap();
        assert_eq!(*found.unwrap(), destination(1));
        assert_eq!(asked.load(Relaxed), 0);
        let found = resolver.resolve(&name("b.i2p"), says(&asked, Ok(Some(destination(3))))).await.unwrap();
        assert_eq!(*found.unwrap(), destination(3));
        let alone = Resolver::new(vec![book(1)], ResolverTimes::default()).with_router(false);
        assert_eq!(alone.resolve(&name("b.i2p"), says(&asked, Err("asked"))).await, Ok(None));
    }

    #[tokio::test]
    async fn answers_are_cached_for_their_time_and_errors_are_not() {
        let times = ResolverTimes { known: Duration::from_secs(600), unknown: Duration::from_millis(50) };
        let resolver = Resolver::new(Vec::new(), times);
        let asked = AtomicUsize::new(0);
        for _ in 0..3 {
            assert_eq!(resolver.resolve(&name("x.i2p"), says(&asked, Err("away"))).await, Err("away"));
        }
        assert_eq!(asked.swap(0, Relaxed), 3);
        for _ in 0..3 {
            let found = resolver.resolve(&name("a.i2p"), says(&asked, Ok(Some(destination(1))))).await;
            assert_eq!(*found.unwrap().unwrap(), destination(1));
            assert_eq!(resolver.resolve(&name("b.i2p"), says(&asked, Ok(None))).await, Ok(None));
        }
        assert_eq!(asked.swap(0, Relaxed), 2);
        // The cache uses the system's clock, not tokio's.
        tokio::time::sleep(Duration::from_millis(80)).await;
        let found = resolver.resolve(&name("b.i2p"), says(&asked, Ok(Some(destination(2))))).await;
        assert_eq!(*found.unwrap().unwrap(), destination(2), "added meanwhile");
    }

    /// A last resort that knows one name and counts its queries.
    struct Far(HostName, AtomicUsize);

    impl LastResort for Far {
        fn find<'a>(
            &'a self,
            name: &'a HostName,
        ) -> Pin<Box<dyn Future<Output = Option<I2pName>> + Send + 'a>> {
            self.1.fetch_add(1, Relaxed);
            Box::pin(async move { (*name == self.0).then(|| destination(9)) })
        }
    }

    #[tokio::test]
    async fn the_last_resort_is_queried_last_and_its_answers_are_cached() {
        let far = Arc::new(Far(name("far.i2p"), AtomicUsize::new(0)));
        let resolver = Resolver::default().with_last_resort(far.clone());
        let asked = AtomicUsize::new(0);
        let near = resolver.resolve(&name("near.i2p"), says(&asked, Ok(Some(destination(1))))).await;
        assert_eq!(*near.unwrap().unwrap(), destination(1));
        assert_eq!(far.1.load(Relaxed), 0);
        let away = resolver.resolve(&name("far.i2p"), says(&asked, Err("away"))).await;
        assert_eq!((away, far.1.load(Relaxed)), (Err("away"), 0), "the router may know it once it is back");
        for _ in 0..3 {
            let found = resolver.resolve(&name("far.i2p"), says(&asked, Ok(None))).await.unwrap();
            assert_eq!(*found.unwrap(), destination(9));
            assert_eq!(resolver.resolve(&name("none.i2p"), says(&asked, Ok(None))).await, Ok(None));
        }
        assert_eq!(far.1.load(Relaxed), 2, "once for each name");
    }

    #[tokio::test]
    async fn forgetting_drops_cached_answers_and_those_of_lookups_under_way() {
        let resolver = Resolver::default();
        let asked = AtomicUsize::new(0);
        let (late, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        assert_eq!(resolver.resolve(&name("a.i2p"), says(&asked, Ok(None))).await, Ok(None));
        let under_way = tokio::spawn({
            let (resolver, late, go) = (resolver.clone(), Arc::clone(&late), Arc::clone(&go));
            async move {
                let ask = async {
                    late.notify_one();
                    go.notified().await;
                    Ok::<_, &'static str>(Some(destination(1)))
                };
                resolver.resolve(&name("b.i2p"), ask).await
            }
        });
        late.notified().await;
        resolver.forget();
        go.notify_one();
        assert!(under_way.await.unwrap().is_ok());
        for text in ["a.i2p", "b.i2p"] {
            let found = resolver.resolve(&name(text), says(&asked, Ok(Some(destination(2))))).await;
            assert_eq!(*found.unwrap().unwrap(), destination(2), "{text}");
        }
    }

    #[tokio::test]
    async fn concurrent_queries_for_a_name_ask_the_router_once() {
        let resolver = Resolver::default();
        let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = |resolver: Resolver| {
            let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
            tokio::spawn(async move {
                let ask = async {
                    asked.fetch_add(1, Relaxed);
                    go.notified().await;
                    Ok::<_, &'static str>(Some(destination(1)))
                };
                resolver.resolve(&name("a.i2p"), ask).await
            })
        };
        let tasks: Vec<_> = (0..10).map(|_| ask(resolver.clone())).collect();
        // Wait until one of them has asked.
        while asked.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for task in tasks {
            assert!(task.await.unwrap().unwrap().is_some());
        }
        assert_eq!(asked.load(Relaxed), 1);
    }
}

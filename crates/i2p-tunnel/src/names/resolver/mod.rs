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
mod tests {
    use std::{
        future::{poll_fn, ready},
        sync::{Mutex, atomic::AtomicUsize},
        task::Poll,
    };

    use i2p_name::B32;
    use tokio::sync::Notify;

    use super::*;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn destination(byte: u8) -> I2pName {
        I2pName::B32(B32::from_hash([byte; 32]))
    }

    type Asked = Result<Option<I2pName>, Failure>;

    const AWAY: Failure = Failure::RouterUnavailable;

    fn says(asked: &AtomicUsize, answer: Asked) -> impl Future<Output = Asked> + Send + '_ {
        poll_fn(move |_| {
            asked.fetch_add(1, Relaxed);
            Poll::Ready(answer.clone())
        })
    }

    struct NoStreams;

    impl OpenStreams for NoStreams {
        fn open<'a>(
            &'a self,
            _: &'a I2pName,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>> {
            Box::pin(ready(Err(Failure::CommandNotSupported)))
        }
    }

    /// The identity with this cache.
    fn who(cache: &NameCache) -> LookupIdentity<'_> {
        LookupIdentity { cache, streams: &NoStreams }
    }

    #[tokio::test]
    async fn sources_are_queried_in_order_and_before_the_router() {
        let book =
            |byte| Arc::new(HashMap::from([(name("a.i2p"), destination(byte))])) as Arc<dyn NameSource>;
        let resolver = Resolver::new(vec![book(1), book(2)], ResolverTimes::default());
        let (asked, cache) = (AtomicUsize::new(0), NameCache::default());
        let ask = || says(&asked, Ok(Some(destination(3))));
        let found = resolver.resolve(who(&cache), &name("a.i2p"), ask()).await.unwrap();
        assert_eq!(*found.unwrap(), destination(1));
        assert_eq!(asked.load(Relaxed), 0);
        let found = resolver.resolve(who(&cache), &name("b.i2p"), ask()).await.unwrap();
        assert_eq!(*found.unwrap(), destination(3));
        let alone = Resolver::new(vec![book(1)], ResolverTimes::default()).with_router(false);
        let found = alone.resolve(who(&cache), &name("b.i2p"), says(&asked, Err(Failure::RouterError))).await;
        assert_eq!(found, Ok(None), "the answers of another resolver do not count");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_cached_for_their_time_and_errors_are_not() {
        let resolver = Resolver::default();
        let (asked, cache) = (AtomicUsize::new(0), NameCache::default());
        let resolve = |text, answer| {
            let (resolver, cache, asked) = (&resolver, &cache, &asked);
            async move { resolver.resolve(who(cache), &name(text), says(asked, answer)).await }
        };
        for _ in 0..3 {
            assert_eq!(resolve("x.i2p", Err(AWAY)).await, Err(AWAY));
        }
        assert_eq!(asked.swap(0, Relaxed), 3);
        for _ in 0..3 {
            assert_eq!(*resolve("a.i2p", Ok(Some(destination(1)))).await.unwrap().unwrap(), destination(1));
            assert_eq!(resolve("b.i2p", Ok(None)).await, Ok(None));
        }
        assert_eq!(asked.swap(0, Relaxed), 2);
        tokio::time::advance(ResolverTimes::default().unknown).await;
        let found = resolve("b.i2p", Ok(Some(destination(2)))).await;
        assert_eq!(*found.unwrap().unwrap(), destination(2), "added meanwhile");
        assert_eq!(*resolve("a.i2p", Err(Failure::RouterError)).await.unwrap().unwrap(), destination(1));
        tokio::time::advance(ResolverTimes::default().known).await;
        assert_eq!(*resolve("a.i2p", Ok(Some(destination(3)))).await.unwrap().unwrap(), destination(3));
    }

    /// Known and unknown names alike: an identity that asks for a name makes a lookup of its own, although another identity has
    /// just made one.
    #[tokio::test]
    async fn an_identity_learns_nothing_of_the_lookups_of_another() {
        let resolver = Resolver::default();
        let asked = AtomicUsize::new(0);
        let identities = [NameCache::default(), NameCache::default()];
        for answer in [Some(destination(1)), None] {
            let name = name(if answer.is_some() { "known.i2p" } else { "unknown.i2p" });
            for cache in &identities {
                for _ in 0..3 {
                    let found = resolver.resolve(who(cache), &name, says(&asked, Ok(answer.clone()))).await;
                    assert_eq!(found.unwrap().as_deref(), answer.as_ref());
                }
                assert_eq!(asked.swap(0, Relaxed), 1);
            }
        }
        // Nor does it join the lookup that another identity has begun.
        let slow = name("slow.i2p");
        let never = resolver.resolve(
            who(&identities[0]),
            &slow,
            std::future::pending::<Result<Option<I2pName>, Failure>>(),
        );
        tokio::pin!(never);
        assert!(tokio::time::timeout(Duration::ZERO, &mut never).await.is_err(), "it is under way");
        let own = resolver.resolve(who(&identities[1]), &slow, says(&asked, Ok(None)));
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), own).await, Ok(Ok(None)));
        assert_eq!(asked.load(Relaxed), 1);
    }

    /// A last resort that knows one name, fails for another and counts its queries.
    struct Far(HostName, AtomicUsize);

    impl LastResort for Far {
        fn find<'a>(
            &'a self,
            name: &'a HostName,
            _: &'a dyn OpenStreams,
        ) -> Pin<Box<dyn Future<Output = Result<Option<I2pName>, Failure>> + Send + 'a>> {
            self.1.fetch_add(1, Relaxed);
            Box::pin(async move {
                let is_slow = *name == "slow.i2p".parse().unwrap();
                if is_slow { Err(Failure::TimedOut) } else { Ok((*name == self.0).then(|| destination(9))) }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_resort_is_queried_last_and_once_by_each_identity() {
        let far = Arc::new(Far(name("far.i2p"), AtomicUsize::new(0)));
        let resolver = Resolver::default().with_last_resort(far.clone());
        let (asked, cache, other) = (AtomicUsize::new(0), NameCache::default(), NameCache::default());
        let resolve = |cache, text, answer| {
            let (resolver, asked) = (&resolver, &asked);
            async move { resolver.resolve(who(cache), &name(text), says(asked, answer)).await }
        };
        let near = resolve(&cache, "near.i2p", Ok(Some(destination(1)))).await;
        assert_eq!(*near.unwrap().unwrap(), destination(1));
        assert_eq!(far.1.load(Relaxed), 0);
        let away = resolve(&cache, "far.i2p", Err(AWAY)).await;
        assert_eq!((away, far.1.load(Relaxed)), (Err(AWAY), 0), "the router may know it once it is back");
        for _ in 0..3 {
            let found = resolve(&cache, "far.i2p", Ok(None)).await.unwrap();
            assert_eq!(*found.unwrap(), destination(9));
            assert_eq!(resolve(&cache, "none.i2p", Ok(None)).await, Ok(None));
        }
        assert_eq!(far.1.load(Relaxed), 2, "once for each name");
        for _ in 0..2 {
            assert_eq!(resolve(&cache, "slow.i2p", Ok(None)).await, Err(Failure::TimedOut));
        }
        assert_eq!(far.1.swap(2, Relaxed), 4, "its failures are not remembered");
        assert_eq!(*resolve(&other, "far.i2p", Ok(None)).await.unwrap().unwrap(), destination(9));
        assert_eq!(far.1.load(Relaxed), 3, "each identity asks for itself");
        // Later the router is asked again, since it may know the name by now; the last resort is not.
        tokio::time::advance(ResolverTimes::default().known).await;
        asked.store(0, Relaxed);
        assert_eq!(*resolve(&cache, "far.i2p", Ok(None)).await.unwrap().unwrap(), destination(9));
        assert_eq!((asked.load(Relaxed), far.1.load(Relaxed)), (1, 3));
        tokio::time::advance(ResolverTimes::default().known).await;
        let found = resolve(&cache, "far.i2p", Ok(Some(destination(4)))).await;
        assert_eq!(*found.unwrap().unwrap(), destination(4));
        resolver.forget();
        assert_eq!(*resolve(&cache, "far.i2p", Ok(None)).await.unwrap().unwrap(), destination(9));
        assert_eq!(far.1.load(Relaxed), 4, "everything was forgotten");
    }

    #[tokio::test]
    async fn forgetting_drops_cached_answers_and_those_of_lookups_under_way() {
        let resolver = Resolver::default();
        let (asked, cache) = (AtomicUsize::new(0), NameCache::default());
        let (late, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        assert_eq!(resolver.resolve(who(&cache), &name("a.i2p"), says(&asked, Ok(None))).await, Ok(None));
        let under_way = tokio::spawn({
            let (resolver, cache) = (resolver.clone(), cache.clone());
            let (late, go) = (Arc::clone(&late), Arc::clone(&go));
            async move {
                let ask = async {
                    late.notify_one();
                    go.notified().await;
                    Ok::<_, Failure>(Some(destination(1)))
                };
                resolver.resolve(who(&cache), &name("b.i2p"), ask).await
            }
        });
        late.notified().await;
        resolver.forget();
        go.notify_one();
        assert!(under_way.await.unwrap().is_ok());
        for text in ["a.i2p", "b.i2p"] {
            let ask = says(&asked, Ok(Some(destination(2))));
            let found = resolver.resolve(who(&cache), &name(text), ask).await;
            assert_eq!(*found.unwrap().unwrap(), destination(2), "{text}");
        }
    }

    #[tokio::test]
    async fn concurrent_queries_of_an_identity_for_a_name_ask_the_router_once() {
        for answer in [Ok(Some(destination(1))), Ok(None), Err(AWAY)] {
            let (resolver, cache) = (Resolver::default(), NameCache::default());
            let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
            let ask = || {
                let (resolver, cache, answer) = (resolver.clone(), cache.clone(), answer.clone());
                let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
                tokio::spawn(async move {
                    let ask = async {
                        asked.fetch_add(1, Relaxed);
                        go.notified().await;
                        answer
                    };
                    resolver.resolve(who(&cache), &name("a.i2p"), ask).await
                })
            };
            let first = ask();
            while asked.load(Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            let tasks: Vec<_> = (0..10).map(|_| ask()).collect();
            // Until they wait for the first one.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            go.notify_one();
            for task in tasks.into_iter().chain([first]) {
                assert_eq!(task.await.unwrap().map(|found| found.as_deref().cloned()), answer);
            }
            assert_eq!(asked.load(Relaxed), 1, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_lookup_that_is_given_up_is_taken_over() {
        let (resolver, cache) = (Resolver::default(), NameCache::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let ask = |number: usize, answer: Option<Asked>| {
            let (resolver, cache, order) = (resolver.clone(), cache.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let ask = async {
                    order.lock().unwrap().push(number);
                    match answer {
                        Some(answer) => answer,
                        None => std::future::pending().await,
                    }
                };
                resolver.resolve(who(&cache), &name("a.i2p"), ask).await
            })
        };
        let first = ask(1, None);
        while order.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let second = ask(2, Some(Ok(Some(destination(2)))));
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(*second.await.unwrap().unwrap().unwrap(), destination(2));
        assert_eq!(*order.lock().unwrap(), [1, 2]);
    }
}

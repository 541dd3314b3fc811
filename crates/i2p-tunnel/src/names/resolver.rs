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

/// Names that are remembered. One takes less than a kilobyte.
const REMEMBERED: u64 = 4096;

/// Something that knows host names without asking anybody, such as an address book on disk.
pub trait NameSource: Send + Sync + 'static {
    /// What a name stands for: a destination or the hash of one. Nothing, if it is not known here. Is not to wait for anything but
    /// a disk.
    fn find(&self, name: &HostName) -> Option<I2pName>;
}

/// Names of the configuration.
impl NameSource for HashMap<HostName, I2pName> {
    fn find(&self, name: &HostName) -> Option<I2pName> {
        self.get(name).cloned()
    }
}

/// How long answers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolverTimes {
    /// That a name has this destination.
    pub known: Duration,
    /// That a name is in no address book: short, since somebody may be adding it just now.
    pub unknown: Duration,
}

impl Default for ResolverTimes {
    fn default() -> Self {
        Self { known: Duration::from_secs(600), unknown: Duration::from_secs(20) }
    }
}

/// Somebody far away who may know a name that nobody else knows, such as a jump service.
pub trait LastResort: Send + Sync + 'static {
    /// What a name stands for; nothing, if that is not to be found out. Takes as long as a client can wait, at the most.
    fn find<'a>(&'a self, name: &'a HostName) -> Pin<Box<dyn Future<Output = Option<I2pName>> + Send + 'a>>;
}

/// Finds the destinations of host names: in its sources, in their order, then at the router, then at its last resort, and
/// remembers what was found. However many ask for one name at once, it is looked for once.
///
/// Names are remembered for all clients together: a name has one destination, whoever asks. Clones share what they remember.
#[derive(Clone)]
pub struct Resolver {
    sources: Arc<[Arc<dyn NameSource>]>,
    asks_router: bool,
    last_resort: Option<Arc<dyn LastResort>>,
    answers: Cache<Key, Answer>,
    /// Counts what was forgotten. Answers are kept under the number that was there before anybody was asked, so that one
    /// that was on its way meanwhile is not believed.
    generation: Arc<AtomicU64>,
}

type Key = (u64, HostName);

/// What was found. Shared, since it is handed out again and again.
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
    /// Asks these sources and then, if `router` says so, the router.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn NameSource>>, times: ResolverTimes) -> Self {
        let answers = Cache::builder().max_capacity(REMEMBERED).expire_after(Expire(times)).build();
        Self {
            sources: sources.into(),
            asks_router: true,
            last_resort: None,
            answers,
            generation: Arc::default(),
        }
    }

    /// Sets whether names that no source knows are looked up at the router; a new resolver does so.
    #[must_use]
    pub fn with_router(self, asks_router: bool) -> Self {
        Self { asks_router, ..self }
    }

    /// With somebody to ask for what nobody else knows.
    #[must_use]
    pub fn with_last_resort(self, last_resort: Arc<dyn LastResort>) -> Self {
        Self { last_resort: Some(last_resort), ..self }
    }

    /// Forgets all that it remembers. To be called when a source has changed.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// The destination of a name; nothing, if nobody knows it. `ask` asks the router, and is run at most once for all who
    /// want to know at one time; `Ok(None)` from it is "not known".
    ///
    /// # Errors
    /// What `ask` says; that is not remembered.
    pub async fn resolve<E: Clone + Send + Sync + 'static>(
        &self,
        name: &HostName,
        ask: impl Future<Output = Result<Option<I2pName>, E>> + Send,
    ) -> Result<Option<Arc<I2pName>>, E> {
        let key = (self.generation.load(Relaxed), name.clone());
        if let Some(answer) = self.answers.get(&key).await {
            return Ok(answer.found());
        }
        // Boxed, since every connection would have room for it otherwise, a hundred kilobytes, at all times.
        Box::pin(self.find_once(&key, Box::pin(ask))).await
    }

    async fn find_once<E: Clone + Send + Sync + 'static>(
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
    /// The router alone.
    fn default() -> Self {
        Self::new(Vec::new(), ResolverTimes::default())
    }
}

/// Without the names.
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
    async fn sources_go_first_in_their_order() {
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
    async fn answers_are_remembered_for_their_time_and_failures_are_not() {
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
        // The clock of the memory is the system's.
        tokio::time::sleep(Duration::from_millis(80)).await;
        let found = resolver.resolve(&name("b.i2p"), says(&asked, Ok(Some(destination(2))))).await;
        assert_eq!(*found.unwrap().unwrap(), destination(2), "somebody has added it");
    }

    /// Knows one name, and counts who wants to know it.
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
    async fn the_last_resort_is_asked_last_and_its_answers_are_remembered() {
        let far = Arc::new(Far(name("far.i2p"), AtomicUsize::new(0)));
        let resolver = Resolver::default().with_last_resort(far.clone());
        let asked = AtomicUsize::new(0);
        let near = resolver.resolve(&name("near.i2p"), says(&asked, Ok(Some(destination(1))))).await;
        assert_eq!(*near.unwrap().unwrap(), destination(1));
        assert_eq!(far.1.load(Relaxed), 0);
        let away = resolver.resolve(&name("far.i2p"), says(&asked, Err("away"))).await;
        assert_eq!((away, far.1.load(Relaxed)), (Err("away"), 0), "a router that is away may know it");
        for _ in 0..3 {
            let found = resolver.resolve(&name("far.i2p"), says(&asked, Ok(None))).await.unwrap();
            assert_eq!(*found.unwrap(), destination(9));
            assert_eq!(resolver.resolve(&name("none.i2p"), says(&asked, Ok(None))).await, Ok(None));
        }
        assert_eq!(far.1.load(Relaxed), 2, "once for each name");
    }

    #[tokio::test]
    async fn what_has_changed_is_forgotten_and_answers_that_were_on_their_way_too() {
        let resolver = Resolver::default();
        let asked = AtomicUsize::new(0);
        let (late, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        assert_eq!(resolver.resolve(&name("a.i2p"), says(&asked, Ok(None))).await, Ok(None));
        let on_its_way = tokio::spawn({
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
        assert!(on_its_way.await.unwrap().is_ok());
        for text in ["a.i2p", "b.i2p"] {
            let found = resolver.resolve(&name(text), says(&asked, Ok(Some(destination(2))))).await;
            assert_eq!(*found.unwrap().unwrap(), destination(2), "{text}");
        }
    }

    #[tokio::test]
    async fn the_router_is_asked_once_for_all_who_want_to_know() {
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
        // Whoever asked first may go: another one asks then.
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

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
    let book = |byte| Arc::new(HashMap::from([(name("a.i2p"), destination(byte))])) as Arc<dyn NameSource>;
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

//! Subscriptions: feeds that are read regularly, through I2P.

use std::{
    collections::HashMap,
    io::Cursor,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use hyper::{
    StatusCode,
    header::{ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED},
};
use i2p_address_book::{AddressBook, FeedName, FeedState, ImportReport};
use i2p_tunnel::{OpenStreams, Resolver, Sensitive};
use restart_schedule::{Panicked, again_after_panics, caught};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    book::{SharedBook, was_followed_completely},
    fetch::{FetchError, Fetched, get_following_redirections},
    schedule,
};
use crate::config::i2p_url::I2pUrl;

/// How much of a feed is read. Names beyond that are ignored. The lists of I2P itself are under 1 MiB.
const MAX_FEED_BYTES: usize = 5 * 1024 * 1024;
/// How long reading one feed may take.
const FEED_TIMEOUT: Duration = Duration::from_secs(180);
/// How many feeds are read at the same time.
const CONCURRENT_FEEDS: usize = 4;

/// The result of reading a feed; `None` if it has not changed.
pub(crate) type FeedResult = Result<Option<ImportReport>, FetchError>;

/// Reads the subscribed feeds of the running proxy.
pub(crate) struct FeedReader {
    book: SharedBook,
    client: Arc<dyn OpenStreams + Send>,
    /// The resolvers that must forget resolved names after names have changed.
    resolvers: Vec<Resolver>,
    /// The subscriptions in the configuration. Others are in the address book.
    configured: Vec<I2pUrl>,
    every: Option<Duration>,
    schedules: Mutex<HashMap<I2pUrl, FeedSchedule>>,
    /// Notified if subscriptions were added or removed.
    changed: Notify,
    /// Held while feeds are read, so that a feed is not read twice at the same time.
    reading: tokio::sync::Mutex<()>,
}

/// When a feed is read next, and how the last read went.
#[derive(Debug, Default)]
struct FeedSchedule {
    next: Option<Instant>,
    failures: u32,
    problem: Option<String>,
}

impl FeedReader {
    pub(super) fn new(
        book: SharedBook,
        client: Arc<dyn OpenStreams + Send>,
        resolvers: Vec<Resolver>,
        configured: Vec<I2pUrl>,
        every: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new(Self {
            book,
            client,
            resolvers,
            configured,
            every,
            schedules: Mutex::default(),
            changed: Notify::new(),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// Reads feeds when they are due, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        again_after_panics("the task that reads subscriptions", || self.read_for_ever()).await;
    }

    async fn read_for_ever(self: &Arc<Self>) {
        loop {
            let now = Instant::now();
            let urls = self.subscriptions().await;
            // A subscription that is added again starts anew.
            self.schedules().retain(|url, _| urls.contains(url));
            let planned: Vec<_> = urls.into_iter().map(|url| (self.next_read(&url, now), url)).collect();
            let due: Vec<_> = planned
                .iter()
                .filter(|(next, _)| next.is_some_and(|next| next <= now))
                .map(|(_, url)| url.clone())
                .collect();
            if !due.is_empty() {
                self.update(due).await;
                continue;
            }
            let next = planned.iter().filter_map(|(next, _)| *next).min();
            let sleep = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Applies added or removed subscriptions.
    pub(super) fn subscriptions_changed(&self) {
        self.changed.notify_one();
    }

    /// All subscriptions, those of the configuration first.
    pub(super) async fn subscriptions(&self) -> Vec<I2pUrl> {
        let mut urls = self.configured.clone();
        // A read error of the book is reported by the lookups that need it.
        let kept = self.book.work(AddressBook::subscriptions).await.unwrap_or_default();
        let kept = kept.iter().filter_map(|feed| feed.as_str().parse().ok());
        for url in kept {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// Why the last read of a feed failed, if it did.
    pub(super) fn last_error(&self, url: &I2pUrl) -> Option<String> {
        self.schedules().get(url)?.problem.clone()
    }

    /// Reads these feeds now. The results are in no particular order.
    pub(super) async fn update(self: &Arc<Self>, urls: Vec<I2pUrl>) -> Vec<(I2pUrl, FeedResult)> {
        let _reading = self.reading.lock().await;
        let mut outcomes = Vec::with_capacity(urls.len());
        for some in urls.chunks(CONCURRENT_FEEDS) {
            let mut reading = JoinSet::new();
            for url in some {
                let (feeds, url) = (Arc::clone(self), url.clone());
                reading.spawn(async move {
                    // Otherwise a feed that causes a panic would stay due, and would be read again and again.
                    let outcome = caught(feeds.read(&url)).await;
                    let outcome = outcome.unwrap_or_else(|Panicked| Err(FetchError::Panicked));
                    feeds.schedule_next(&url, &outcome);
                    (url, outcome)
                });
            }
            outcomes.extend(reading.join_all().await);
        }
        outcomes
    }

    /// Reads one feed into the book.
    async fn read(&self, url: &I2pUrl) -> FeedResult {
        let feed = FeedName::new(&url.text());
        let known = {
            let feed = feed.clone();
            self.book.work(move |book| book.feed_state(&feed)).await.map_err(FetchError::Book)?
        };
        let (got, redirected) =
            get_following_redirections(&*self.client, url, &conditions(&known), MAX_FEED_BYTES, FEED_TIMEOUT)
                .await?;
        let checked = Some(SystemTime::now());
        match got.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.etag.is_some() || known.last_modified.is_some() => {
                let state = FeedState { checked, ..known };
                let set = self.book.work(move |book| book.set_feed_state(&feed, &state)).await;
                return set.map(|()| None).map_err(FetchError::Book);
            }
            status => return Err(FetchError::Status(status)),
        }
        let validator = |name: HeaderName| got.header(name).filter(|_| !redirected).map(str::to_owned);
        let validators = (validator(ETAG), validator(LAST_MODIFIED));
        let Fetched { body, cut, .. } = got;
        let imported = self.book.work(move |book| {
            let body = if cut { whole_lines(&body) } else { &body };
            let mut report = book.import(Cursor::new(body), &feed)?;
            report.truncated |= cut;
            // Its validators would make the next answer "not modified".
            if report.is_not_a_feed() {
                return Ok(None);
            }
            let (etag, last_modified) =
                if was_followed_completely(&report) { validators } else { (None, None) };
            book.set_feed_state(&feed, &FeedState { etag, last_modified, checked })?;
            Ok(Some(report))
        });
        let report = imported.await.map_err(FetchError::Book)?.ok_or(FetchError::NotAFeed)?;
        if report.added + report.changed + report.removed > 0 {
            self.resolvers.iter().for_each(Resolver::forget);
        }
        Ok(Some(report))
    }

    /// When a feed is due. On the first call, that is computed from the time of its last read.
    fn next_read(&self, url: &I2pUrl, now: Instant) -> Option<Instant> {
        let every = self.every?;
        let mut schedules = self.schedules();
        let schedule = schedules.entry(url.clone()).or_default();
        Some(*schedule.next.get_or_insert_with(|| {
            let known = self.book.file().feed_state(&FeedName::new(&url.text())).unwrap_or_default();
            let age = known.checked.map(|checked| checked.elapsed().unwrap_or_default());
            now + schedule::first(age, every, schedule::random())
        }))
    }

    fn schedule_next(&self, url: &I2pUrl, outcome: &FeedResult) {
        let mut schedules = self.schedules();
        let schedule = schedules.entry(url.clone()).or_default();
        schedule.failures = if outcome.is_err() { schedule.failures.saturating_add(1) } else { 0 };
        let wait = self.every.map(|every| match schedule.failures {
            0 => schedule::after_success(every, schedule::random()),
            failures => schedule::after_failure(failures, every, schedule::random()),
        });
        schedule.next = wait.map(|wait| Instant::now() + wait);
        schedule.problem = outcome.as_ref().err().map(ToString::to_string);
        tracing::debug!(url = %Sensitive(url.text()), "a subscription was tried");
        match outcome {
            Ok(None) => tracing::info!("a subscription is unchanged"),
            Ok(Some(ImportReport { added, changed, removed, conflicts, refused, .. })) => {
                tracing::info!(added, changed, removed, conflicts, refused, "a subscription was read");
            }
            Err(error) => tracing::warn!(
                "a subscription could not be read: {error}. Its names stay in the address book; {}",
                match wait {
                    Some(wait) => format!("the next attempt is in {} min", wait.as_secs() / 60),
                    None => "the next attempt is on i2p-socks names update".to_owned(),
                }
            ),
        }
    }

    fn schedules(&self) -> MutexGuard<'_, HashMap<I2pUrl, FeedSchedule>> {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The header fields for "only if it has changed" (RFC 9110 section 13.1).
fn conditions(known: &FeedState) -> Vec<(HeaderName, String)> {
    let etag = known.etag.clone().map(|etag| (IF_NONE_MATCH, etag));
    let date = known.last_modified.clone().map(|date| (IF_MODIFIED_SINCE, date));
    etag.into_iter().chain(date).collect()
}

/// The body without its last line, which is cut off.
fn whole_lines(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|&byte| byte == b'\n');
    end.and_then(|end| body.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{error::Error, pin::Pin};

    use i2p_name::I2pName;
    use i2p_tunnel::{Failure, OpenStream};

    use super::*;

    struct PanickingClient;

    impl OpenStreams for PanickingClient {
        fn open<'a>(
            &'a self,
            _: &'a I2pName,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>> {
            Box::pin(async { panic!("a bug in reading a feed") })
        }
    }

    #[tokio::test]
    async fn a_read_that_panics_is_a_failed_read_and_waits_like_one() -> Result<(), Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let book = SharedBook::open(directory.path().to_owned()).await?;
        let url: I2pUrl = "http://feed.i2p/hosts.txt".parse()?;
        let client = Arc::new(PanickingClient);
        let every = Some(Duration::from_secs(3600));
        let feeds = FeedReader::new(book, client, Vec::new(), vec![url.clone()], every);

        let results = feeds.update(vec![url.clone()]).await;
        assert!(matches!(results.as_slice(), [(_, Err(FetchError::Panicked))]), "{results:?}");
        let error = feeds.last_error(&url).ok_or("the failure is remembered")?;
        assert!(error.contains("bug"), "{error}");
        let next = feeds.next_read(&url, Instant::now()).ok_or("it is read again")?;
        assert!(next > Instant::now() + Duration::from_secs(60), "it waits after a failure");
        Ok(())
    }
}

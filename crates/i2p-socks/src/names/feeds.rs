//! Subscriptions: feeds that are read again and again, through I2P.

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
use i2p_tunnel::Resolver;
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    book::{Book, is_done_with},
    fetch::{FetchError, Fetched, get_following},
    own_client::Way,
    schedule,
};
use crate::config::i2p_url::I2pUrl;

/// The largest feed that is read; of a larger one, the names that fit in. I2P's own lists are under 1 MiB.
const MOST: usize = 5 * 1024 * 1024;
/// How long one feed may take.
const LIMIT: Duration = Duration::from_secs(180);
/// Feeds that are read at the same time.
const AT_ONCE: usize = 4;

/// What came of reading a feed; no report: it has not changed.
pub(crate) type Outcome = Result<Option<ImportReport>, FetchError>;

/// The subscriptions of a running proxy.
pub(crate) struct Feeds {
    book: Book,
    way: Arc<Way>,
    /// Who has to forget what they remember when names have changed.
    resolvers: Vec<Resolver>,
    /// Subscriptions of the configuration; the others are in the book.
    configured: Vec<I2pUrl>,
    every: Option<Duration>,
    plans: Mutex<HashMap<I2pUrl, Plan>>,
    /// Subscriptions have changed.
    changed: Notify,
    /// Held while feeds are read: what a person asks for is not read beside what is read anyway.
    reading: tokio::sync::Mutex<()>,
}

/// When a feed is read next, and how it went before.
#[derive(Debug, Default)]
struct Plan {
    next: Option<Instant>,
    failures: u32,
    problem: Option<String>,
}

impl Feeds {
    pub(super) fn new(
        book: Book,
        way: Arc<Way>,
        resolvers: Vec<Resolver>,
        configured: Vec<I2pUrl>,
        every: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new(Self {
            book,
            way,
            resolvers,
            configured,
            every,
            plans: Mutex::default(),
            changed: Notify::new(),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// Reads feeds when it is time, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let now = Instant::now();
            let urls = self.subscriptions().await;
            // One that comes back is as a new one.
            self.plans().retain(|url, _| urls.contains(url));
            let plans: Vec<_> = urls.into_iter().map(|url| (self.planned(&url, now), url)).collect();
            let due: Vec<_> = plans
                .iter()
                .filter(|(next, _)| next.is_some_and(|next| next <= now))
                .map(|(_, url)| url.clone())
                .collect();
            if !due.is_empty() {
                self.update(due).await;
                continue;
            }
            let next = plans.iter().filter_map(|(next, _)| *next).min();
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

    /// Looks at the subscriptions again: some came or went.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    /// All subscriptions, those of the configuration first.
    pub(super) async fn subscriptions(&self) -> Vec<I2pUrl> {
        let mut urls = self.configured.clone();
        // A book that cannot be read is said by those who need a name of it.
        let kept = self.book.work(AddressBook::subscriptions).await.unwrap_or_default();
        let kept = kept.iter().filter_map(|feed| feed.as_str().parse().ok());
        for url in kept {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// What was wrong with a feed when it was last read.
    pub(super) fn problem(&self, url: &I2pUrl) -> Option<String> {
        self.plans().get(url)?.problem.clone()
    }

    /// Reads these feeds now, and says what came of it, in no order.
    pub(super) async fn update(self: &Arc<Self>, urls: Vec<I2pUrl>) -> Vec<(I2pUrl, Outcome)> {
        let _reading = self.reading.lock().await;
        let mut outcomes = Vec::with_capacity(urls.len());
        for some in urls.chunks(AT_ONCE) {
            let mut reading = JoinSet::new();
            for url in some {
                let (feeds, url) = (Arc::clone(self), url.clone());
                reading.spawn(async move {
                    let outcome = feeds.read(&url).await;
                    feeds.plan_next(&url, &outcome);
                    (url, outcome)
                });
            }
            outcomes.extend(reading.join_all().await);
        }
        outcomes
    }

    /// Reads one feed into the book.
    async fn read(&self, url: &I2pUrl) -> Outcome {
        let feed = FeedName::new(&url.to_string());
        let known = {
            let feed = feed.clone();
            self.book.work(move |book| book.feed_state(&feed)).await.map_err(FetchError::Book)?
        };
        let (got, moved) = get_following(&self.way, url, &conditions(&known), MOST, LIMIT).await?;
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
        let validator = |name: HeaderName| got.header(name).filter(|_| !moved).map(str::to_owned);
        let validators = (validator(ETAG), validator(LAST_MODIFIED));
        let Fetched { body, cut, .. } = got;
        let imported = self.book.work(move |book| {
            let body = if cut { whole_lines(&body) } else { &body };
            let mut report = book.import(Cursor::new(body), &feed)?;
            report.truncated |= cut;
            let (etag, last_modified) = if is_done_with(&report) { validators } else { (None, None) };
            book.set_feed_state(&feed, &FeedState { etag, last_modified, checked })?;
            Ok(report)
        });
        let report = imported.await.map_err(FetchError::Book)?;
        if report.added + report.changed + report.removed > 0 {
            self.resolvers.iter().for_each(Resolver::forget);
        }
        Ok(Some(report))
    }

    /// When a feed is to be read; the first time, that is found out.
    fn planned(&self, url: &I2pUrl, now: Instant) -> Option<Instant> {
        let every = self.every?;
        let mut plans = self.plans();
        let plan = plans.entry(url.clone()).or_default();
        Some(*plan.next.get_or_insert_with(|| {
            let known = self.book.file().feed_state(&FeedName::new(&url.to_string())).unwrap_or_default();
            let age = known.checked.map(|checked| checked.elapsed().unwrap_or_default());
            now + schedule::first(age, every, schedule::random())
        }))
    }

    fn plan_next(&self, url: &I2pUrl, outcome: &Outcome) {
        let mut plans = self.plans();
        let plan = plans.entry(url.clone()).or_default();
        plan.failures = if outcome.is_err() { plan.failures.saturating_add(1) } else { 0 };
        let wait = self.every.map(|every| match plan.failures {
            0 => schedule::after_success(every, schedule::random()),
            failures => schedule::after_failure(failures, every, schedule::random()),
        });
        plan.next = wait.map(|wait| Instant::now() + wait);
        plan.problem = outcome.as_ref().err().map(ToString::to_string);
        tracing::debug!("subscription read: {url}");
        match outcome {
            Ok(None) => tracing::info!("a subscription has nothing new"),
            Ok(Some(ImportReport { added, changed, removed, conflicts, refused, .. })) => {
                tracing::info!(added, changed, removed, conflicts, refused, "a subscription was read");
            }
            Err(error) => tracing::warn!(
                "a subscription could not be read: {error}. The names that are known stay; {}",
                match wait {
                    Some(wait) => format!("it is tried again in {} min", wait.as_secs() / 60),
                    None => "it is tried again when i2p-socks names update says so".to_owned(),
                }
            ),
        }
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<I2pUrl, Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// "Only if it has changed" (RFC 9110 section 13.1).
fn conditions(known: &FeedState) -> Vec<(HeaderName, String)> {
    let etag = known.etag.clone().map(|etag| (IF_NONE_MATCH, etag));
    let date = known.last_modified.clone().map(|date| (IF_MODIFIED_SINCE, date));
    etag.into_iter().chain(date).collect()
}

/// Without the last line, which is not whole.
fn whole_lines(body: &[u8]) -> &[u8] {
    let end = body.iter().rposition(|&byte| byte == b'\n');
    end.and_then(|end| body.get(..end)).unwrap_or_default()
}

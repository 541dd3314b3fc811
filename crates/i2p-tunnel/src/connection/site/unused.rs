use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::Target;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::stream::SiteStream;
use crate::{client::IsolationKey, dial::SessionMark, stream::EarlyEnd};

/// How long a stream may be unused. Shorter than web servers keep theirs, so that most streams are open when they are used again.
const MAX_IDLE: Duration = Duration::from_secs(50);

/// Unused streams to one site, as many as browsers open.
const MAX_PER_SITE: usize = 6;

/// Unused streams in all.
const MAX_STREAMS: usize = 256;

/// Streams to sites that are open and unused, for the next request of the same identity to the same site. A new stream through I2P
/// takes seconds.
///
/// They are bounded in number and time. A session that is needed otherwise ends the unused streams that hold it.
#[derive(Clone, Default)]
pub struct SiteStreams(Arc<Shared>);

#[derive(Default)]
struct Shared {
    sites: Mutex<HashMap<SiteKey, Vec<Unused>>>,
    next_id: AtomicU64,
}

/// To whom and to where streams belong. Streams of different identities are never in one place.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SiteKey {
    pub(crate) identity: IsolationKey,
    pub(crate) target: Target,
    pub(crate) port: u16,
}

struct Unused {
    id: u64,
    stream: SiteStream,
    /// The session that it was opened by. A later one of the same clients is another identity.
    session: SessionMark,
    since: Instant,
    /// Removes it when its time is over, it has ended, or its session is needed.
    _watch: AbortOnDropHandle<()>,
}

impl SiteStreams {
    fn sites(&self) -> MutexGuard<'_, HashMap<SiteKey, Vec<Unused>>> {
        self.0.sites()
    }

    /// Takes an unused stream that is still open and was opened by this session. Others to this site are closed if their session
    /// is gone.
    pub(crate) fn take(&self, key: &SiteKey, session: Option<SessionMark>) -> Option<SiteStream> {
        let mut sites = self.sites();
        let unused = sites.get_mut(key)?;
        unused.retain(|stream| Some(stream.session) == session && !stream.stream.is_closed());
        // The latest is the most likely to stay open.
        let at = unused.iter().rposition(|stream| stream.stream.is_ready());
        let taken = at.map(|at| unused.remove(at).stream);
        if unused.is_empty() {
            sites.remove(key);
        }
        taken
    }

    /// The place of a stream that was opened by this session.
    pub(crate) fn home(&self, key: SiteKey, session: SessionMark) -> Home {
        Home { streams: Arc::downgrade(&self.0), key, session }
    }

    /// Keeps a stream whose answer is complete.
    fn put(&self, key: SiteKey, session: SessionMark, stream: SiteStream) {
        if stream.is_closed() {
            return;
        }
        let ended = stream.ended();
        let id = self.0.next_id.fetch_add(1, Relaxed);
        let needed = EarlyEnd::offer([stream.hold(), &()]);
        let shared = Arc::downgrade(&self.0);
        let at = key.clone();
        let watch = tokio::spawn(async move {
            tokio::select! {
                () = sleep(MAX_IDLE) => {}
                () = ended.cancelled() => {}
                () = needed.requested() => {}
            }
            end(&shared, &at, id);
        });
        let unused =
            Unused { id, stream, session, since: Instant::now(), _watch: AbortOnDropHandle::new(watch) };
        let mut sites = self.sites();
        if sites.values().map(Vec::len).sum::<usize>() >= MAX_STREAMS {
            remove_one(&mut sites);
        }
        let of_site = sites.entry(key).or_default();
        if of_site.len() >= MAX_PER_SITE {
            of_site.remove(0);
        }
        of_site.push(unused);
    }
}

/// Where a stream is kept while it is unused.
#[derive(Clone)]
pub(crate) struct Home {
    streams: Weak<Shared>,
    key: SiteKey,
    session: SessionMark,
}

impl Home {
    pub(crate) fn put(self, stream: SiteStream) {
        if let Some(shared) = self.streams.upgrade() {
            SiteStreams(shared).put(self.key, self.session, stream);
        }
    }
}

impl Shared {
    fn sites(&self) -> MutexGuard<'_, HashMap<SiteKey, Vec<Unused>>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a stream, if it is still unused.
fn end(shared: &Weak<Shared>, key: &SiteKey, id: u64) {
    let Some(shared) = shared.upgrade() else { return };
    let mut sites = shared.sites();
    let Some(unused) = sites.get_mut(key) else { return };
    unused.retain(|stream| stream.id != id);
    if unused.is_empty() {
        sites.remove(key);
    }
}

/// Removes the oldest stream of the identity that has the most, so that one client cannot end the unused streams of the others.
fn remove_one(sites: &mut HashMap<SiteKey, Vec<Unused>>) {
    let Some(identity) = with_most(sites.iter().map(|(key, unused)| (&key.identity, unused.len()))) else {
        return;
    };
    let its_sites = sites.iter().filter(|(key, _)| key.identity == identity);
    let oldest = its_sites.min_by_key(|(_, unused)| unused.first().map(|stream| stream.since));
    let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
    if let Some(unused) = sites.get_mut(&key) {
        unused.remove(0);
        if unused.is_empty() {
            sites.remove(&key);
        }
    }
}

/// The identity whose counts add up to the most.
fn with_most<'a>(counts: impl Iterator<Item = (&'a IsolationKey, usize)>) -> Option<IsolationKey> {
    let mut sums: HashMap<&IsolationKey, usize> = HashMap::new();
    for (identity, count) in counts {
        *sums.entry(identity).or_default() += count;
    }
    sums.into_iter().max_by_key(|(_, sum)| *sum).map(|(identity, _)| identity.clone())
}

impl fmt::Debug for SiteStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteStreams(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_with_the_most_streams_loses_one() {
        let [busy, quiet] = ["busy", "quiet"].map(|name| IsolationKey::of_tunnel(name.into()));
        let counts = [(&busy, 2), (&quiet, 3), (&busy, 2)];
        assert_eq!(with_most(counts.into_iter()), Some(busy.clone()));
        assert_eq!(with_most(std::iter::empty()), None);
    }
}

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use i2p_name::{HostName, I2pName};
use tokio::time::Instant;

/// Most names that are remembered for one identity. Each takes less than a kilobyte, unless its keys are unusually long.
const MAX_CACHED_NAMES: usize = 512;

/// The names that one identity has looked up, and its lookups that are under way. Clones share them.
///
/// Identities never share one: an identity could tell by the time that an answer takes what another one has looked up. It lives
/// as long as the identity's session, so there are no more of them than sessions, and none takes the room of another.
#[derive(Clone, Default)]
pub struct NameCache(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Answers, and the value of `clock` at their last use.
    answers: HashMap<HostName, (CachedAnswer, u64)>,
    running: HashMap<HostName, Arc<RunningLookup>>,
    /// Increases with each use of an answer.
    clock: u64,
}

/// The answer to a lookup. In an `Arc`, since it is returned many times.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Known(Arc<I2pName>),
    Unknown,
}

/// An answer, and until when it is used.
#[derive(Debug, Clone)]
pub(super) struct CachedAnswer {
    pub(super) answer: Answer,
    /// Whether the last resort gave it.
    pub(super) from_last_resort: bool,
    /// See [`Resolver::forget`](super::Resolver::forget).
    pub(super) generation: u64,
    pub(super) until: Instant,
}

/// A lookup that one task makes while the others wait for its outcome.
#[derive(Default)]
struct RunningLookup {
    generation: u64,
    /// Locked by the task that makes the lookup. `None` until it is done; also if that task was cancelled, and then the next task
    /// that gets the lock makes the lookup.
    outcome: tokio::sync::Mutex<Option<Outcome>>,
}

/// The result of a lookup, with an error of any type.
pub(super) type Outcome = Result<Answer, Arc<dyn Any + Send + Sync>>;

impl Answer {
    pub(super) fn found(self) -> Option<Arc<I2pName>> {
        match self {
            Self::Known(found) => Some(found),
            Self::Unknown => None,
        }
    }
}

impl NameCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of this generation for a name, unless it is too old.
    pub(super) fn get(&self, name: &HostName, generation: u64) -> Option<Answer> {
        let now = Instant::now();
        let mut state = self.state();
        let State { answers, clock, .. } = &mut *state;
        let (cached, used) = answers.get_mut(name)?;
        if cached.generation != generation || cached.until <= now {
            return None;
        }
        *clock += 1;
        *used = *clock;
        Some(cached.answer.clone())
    }

    /// What the last resort said of a name in this generation, however long ago. It is not asked again, so that it does not learn
    /// how often the identity uses the name.
    pub(super) fn known_from_last_resort(&self, name: &HostName, generation: u64) -> Option<Arc<I2pName>> {
        let state = self.state();
        let (cached, _) = state.answers.get(name)?;
        let is_valid = cached.from_last_resort && cached.generation == generation;
        cached.answer.clone().found().filter(|_| is_valid)
    }

    /// Stores an answer. If there are too many, an outdated one goes first, otherwise the one that was unused for longest.
    pub(super) fn insert(&self, name: &HostName, answer: CachedAnswer) {
        let now = Instant::now();
        let mut state = self.state();
        let State { answers, clock, .. } = &mut *state;
        if answers.len() >= MAX_CACHED_NAMES && !answers.contains_key(name) {
            let oldest = answers.iter().min_by_key(|(_, (cached, used))| (cached.until > now, *used));
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                answers.remove(&oldest);
            }
        }
        *clock += 1;
        answers.insert(name.clone(), (answer, *clock));
    }

    /// Joins the lookup of a name that is under way, or begins one.
    pub(super) fn join<'a>(&'a self, name: &'a HostName, generation: u64) -> JoinedLookup<'a> {
        let mut state = self.state();
        let running = match state.running.get(name) {
            Some(running) if running.generation == generation => Arc::clone(running),
            _ => {
                let running = Arc::new(RunningLookup { generation, ..RunningLookup::default() });
                state.running.insert(name.clone(), Arc::clone(&running));
                running
            }
        };
        JoinedLookup { cache: self, name, running }
    }
}

/// A task's part in a lookup. When the last task leaves it, it is forgotten.
pub(super) struct JoinedLookup<'a> {
    cache: &'a NameCache,
    name: &'a HostName,
    running: Arc<RunningLookup>,
}

impl JoinedLookup<'_> {
    /// Returns the outcome of the lookup. The first task makes it by `look_up`; if that task is cancelled, the next one does.
    pub(super) async fn outcome(&self, look_up: impl Future<Output = Outcome>) -> Outcome {
        let mut outcome = self.running.outcome.lock().await;
        if let Some(outcome) = &*outcome {
            return outcome.clone();
        }
        let made = look_up.await;
        *outcome = Some(made.clone());
        // Tasks that come from now on find the answer in the cache, or ask again after an error.
        self.forget(&mut self.cache.state());
        made
    }

    fn forget(&self, state: &mut State) {
        if state.running.get(self.name).is_some_and(|latest| Arc::ptr_eq(latest, &self.running)) {
            state.running.remove(self.name);
        }
    }
}

impl Drop for JoinedLookup<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        // Parts are taken and dropped under the lock: a lookup with one owner is only in the table. If this part were dropped later, two
        // tasks that leave at the same time would each see the other's.
        let running = Arc::downgrade(&std::mem::take(&mut self.running));
        let latest =
            state.running.get(self.name).is_some_and(|latest| Arc::as_ptr(latest) == running.as_ptr());
        if latest && running.strong_count() == 1 {
            state.running.remove(self.name);
        }
    }
}

/// Shows no names: they tell what the identity looks for.
impl fmt::Debug for NameCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameCache").field("names", &self.state().answers.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use super::*;

    fn name(number: usize) -> HostName {
        format!("n{number}.i2p").parse().unwrap()
    }

    fn unknown(seconds: u64) -> CachedAnswer {
        let until = Instant::now() + Duration::from_secs(seconds);
        CachedAnswer { answer: Answer::Unknown, from_last_resort: false, generation: 1, until }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_drops_outdated_answers_first_and_then_those_unused_for_longest() {
        let cache = NameCache::default();
        (0..MAX_CACHED_NAMES).for_each(|number| cache.insert(&name(number), unknown(60)));
        cache.insert(&name(7), unknown(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(cache.get(&name(7), 1).is_none(), "outdated");
        assert!(cache.get(&name(0), 1).is_some());
        let is_there = |number: usize| cache.state().answers.contains_key(&name(number));
        cache.insert(&name(1000), unknown(60));
        assert!(!is_there(7) && is_there(0) && is_there(1));
        cache.insert(&name(1001), unknown(60));
        assert!(is_there(0) && !is_there(1) && is_there(2), "name 0 was used since");
        assert_eq!(cache.state().answers.len(), MAX_CACHED_NAMES);
        assert!(cache.get(&name(0), 2).is_none(), "of another generation");
    }

    #[tokio::test]
    async fn lookups_that_were_given_up_leave_nothing_behind() {
        let cache = NameCache::default();
        for number in 0..3 {
            let name = name(number);
            let joined = cache.join(&name, 1);
            let never = std::future::pending();
            assert!(tokio::time::timeout(Duration::ZERO, joined.outcome(never)).await.is_err());
        }
        assert!(cache.state().running.is_empty());
    }

    /// Tasks that give up at the same time, on two threads.
    #[test]
    fn lookups_that_several_tasks_give_up_at_once_leave_nothing_behind() {
        let (cache, name) = (NameCache::default(), name(1));
        let (arrived, left_behind) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Spins, so that both threads go on within nanoseconds.
        let meet = |meeting: usize| {
            arrived.fetch_add(1, SeqCst);
            while arrived.load(SeqCst) < 2 * meeting {
                std::hint::spin_loop();
            }
        };
        let task = || {
            for round in 0..20_000 {
                let joined = cache.join(&name, 1);
                meet(3 * round + 1);
                drop(joined);
                meet(3 * round + 2);
                left_behind.fetch_add(cache.state().running.len(), SeqCst);
                meet(3 * round + 3);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(task);
            scope.spawn(task);
        });
        assert_eq!(left_behind.into_inner(), 0);
    }
}

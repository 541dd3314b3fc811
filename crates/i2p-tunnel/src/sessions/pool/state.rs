use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use i2p_sam::{Bridge, EarlyLosses, Identity, PrivateKey, SessionOptions, Supervised};
use tokio::{sync::Notify, time::Instant};

use super::{
    client_numbers::ClientNumbers,
    entry::{Entry, Purpose, SessionLease, SessionStatus},
    options::{NoLease, PoolOptions},
};
use crate::{
    client::{ClientRate, IdentityTable, IsolationKey},
    limits::random_part_of,
};

/// Identities of closed sessions that are remembered, per session that the pool may have.
const REMEMBERED_PER_SESSION: usize = 8;

/// The most identities of which early losses are remembered.
const MAX_IDENTITIES: usize = 1024;

/// How long early losses of an identity are remembered after its latest session was begun. Longer than the longest wait after them.
const EARLY_LOSSES_LIFETIME: Duration = Duration::from_secs(60);

/// Most sessions including replaced ones that still have open streams, as a multiple of the cap.
const MAX_OVERLAP: usize = 2;

/// The sessions of a pool.
pub(super) struct State {
    bridge: Bridge,
    options: PoolOptions,
    /// See [`Entry`].
    changed: Arc<Notify>,
    entries: HashMap<IsolationKey, Arc<Entry>>,
    /// Built for future clients.
    spares: VecDeque<Arc<Entry>>,
    /// Replaced by [`State::renew`], [`State::renew_all`] or [`State::reconfigure`], and still in use.
    replaced: Vec<Weak<Entry>>,
    /// Private keys of closed sessions, the latest last, if sessions keep their identity.
    remembered: VecDeque<(IsolationKey, PrivateKey)>,
    /// Whether a session was lost and none was built since.
    has_lost: bool,
    /// Whether a spare was replaced and none was built since.
    has_renewed: bool,
    /// When the next missing spare is built.
    next_spare: Option<Instant>,
    /// How quickly each client opens sessions.
    opened: ClientRate,
    /// The early losses of each key's sessions. A lost session that is not used is closed, and the next one must not begin at once.
    early_losses: IdentityTable<EarlyLosses>,
    /// By which the status tells clients apart.
    client_numbers: ClientNumbers,
}

/// The numbers of sessions that were closed because nobody has used them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ClosedSessions {
    /// Those that had been ready.
    pub(super) idle: usize,
    /// Those that could not be built in all that time.
    pub(super) never_ready: usize,
}

impl Extend<Arc<Entry>> for ClosedSessions {
    fn extend<T: IntoIterator<Item = Arc<Entry>>>(&mut self, entries: T) {
        for entry in entries {
            match entry.supervised().was_ready() {
                true => self.idle += 1,
                false => self.never_ready += 1,
            }
        }
    }
}

impl State {
    pub(super) fn new(bridge: Bridge, options: PoolOptions, changed: Arc<Notify>) -> Self {
        Self {
            opened: ClientRate::of_sessions(options.max_sessions),
            bridge,
            options,
            changed,
            entries: HashMap::new(),
            spares: VecDeque::new(),
            replaced: Vec::new(),
            remembered: VecDeque::new(),
            has_lost: false,
            has_renewed: false,
            next_spare: None,
            early_losses: IdentityTable::new(MAX_IDENTITIES, EARLY_LOSSES_LIFETIME),
            client_numbers: ClientNumbers::default(),
        }
    }

    pub(super) fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// The number of sessions in any state, including replaced ones in use. Those of which the streams were told to end do not count.
    pub(super) fn count(&mut self) -> usize {
        // The last lease of a session counts as gone once it is being dropped.
        self.replaced.retain(|entry| entry.upgrade().is_some_and(|entry| entry.unused_since().is_none()));
        let stays = |entry: &&Weak<Entry>| entry.upgrade().is_some_and(|entry| entry.stays_in_use());
        self.current() + self.replaced.iter().filter(stays).count()
    }

    /// The sessions that keys have.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&IsolationKey, &Arc<Entry>)> {
        self.entries.iter()
    }

    /// The number of spares.
    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Replaced sessions, of which some may have ended.
    pub(super) fn replaced(&self) -> impl Iterator<Item = &Weak<Entry>> {
        self.replaced.iter()
    }

    /// The number of sessions without replaced ones.
    fn current(&self) -> usize {
        self.entries.len() + self.spares.len()
    }

    /// The cap of sessions, without replaced ones and in all. Replaced sessions do not count towards the first, so that renewing refuses
    /// no client that had a session before. Their number is bounded all the same, since each costs tunnels.
    pub(super) fn caps(&self) -> (usize, usize) {
        let max = self.options.max_sessions.get();
        (max, max * MAX_OVERLAP)
    }

    /// Whether there is room for one more session.
    fn has_room(&mut self) -> bool {
        let (max, max_in_all) = self.caps();
        self.current() < max && self.count() < max_in_all
    }

    /// See [`SessionPool::lease`](super::SessionPool::lease).
    pub(super) fn lease(&mut self, key: &IsolationKey) -> Result<SessionLease, NoLease> {
        let client = key.origin();
        if let Some(entry) = self.entries.get(key) {
            entry.count_for(client);
            return Ok(SessionLease::new(Arc::clone(entry)));
        }
        // Gives back what clients have used up of their rate while the router was away.
        self.close_lost();
        let (now, room) = (Instant::now(), self.find_room(key)?);
        if let Some(next) = self.opened.next(client).filter(|next| *next > now) {
            return Err(NoLease::TooFast(next));
        }
        self.opened.record(client, now);
        self.make_room(room);
        let entry = self.open(key);
        entry.open_for(client);
        self.entries.insert(key.clone(), Arc::clone(&entry));
        self.has_lost = false;
        self.has_renewed = false;
        self.plan_spare();
        Ok(SessionLease::new(entry))
    }

    /// Whether a spare can become the session of a key: its identity must not be one that is remembered.
    pub(super) fn has_spare_for(&self, key: &IsolationKey) -> bool {
        !self.spares.is_empty() && self.remembered.iter().all(|(remembered, _)| remembered != key)
    }

    /// Takes a spare for a key, or begins to build its session.
    fn open(&mut self, key: &IsolationKey) -> Arc<Entry> {
        if self.has_spare_for(key)
            && let Some(spare) = self.spares.pop_front()
        {
            return spare;
        }
        let options = self.options.session.clone();
        let options = match self.take_remembered(key) {
            Some(private_key) => options.private_key(private_key),
            None => options,
        };
        let PoolOptions { max_sessions, whose, .. } = &self.options;
        let space = if whose.is_empty() { "" } else { " " };
        tracing::info!("building I2P session {} of at most {max_sessions}{space}{whose}", self.current() + 1);
        let early_losses = self.early_losses.with(key, |losses| losses.clone());
        self.build(options, Purpose::Client, early_losses)
    }

    fn build(&self, options: SessionOptions, purpose: Purpose, early_losses: EarlyLosses) -> Arc<Entry> {
        let PoolOptions { identity, back_off, .. } = self.options;
        let bridge = self.bridge.clone();
        let supervised = Supervised::start_after(early_losses, bridge, options, identity, back_off);
        Arc::new(Entry::new(supervised, purpose, Arc::clone(&self.changed)))
    }

    /// Begins to build the first session, unless that is delayed until the first client. Spares follow later.
    pub(super) fn open_first(&mut self) {
        if self.options.spares_at_start() > 0 {
            self.open_spare();
        }
        self.plan_spare();
    }

    /// Begins to build a spare, if the cap allows it without closing another session.
    fn open_spare(&mut self) {
        if self.has_room() {
            let purpose = if self.has_lost { Purpose::SpareAfterLoss } else { Purpose::Spare };
            let spare = self.build(self.options.session.clone(), purpose, EarlyLosses::default());
            self.spares.push_back(spare);
        }
    }

    /// Whether there are fewer spares than wanted. After a loss or a renewal, a pool without sessions gets one for the next client, as
    /// at the start.
    fn lacks_spares(&self) -> bool {
        let first =
            (self.has_lost || self.has_renewed) && self.entries.is_empty() && !self.options.delay_open;
        self.spares.len() < self.options.warm_spares.max(usize::from(first))
    }

    /// Plans to build a spare after a random pause, if there are too few.
    fn plan_spare(&mut self) {
        if self.next_spare.is_none() && self.lacks_spares() {
            self.next_spare = Some(Instant::now() + random_part_of(self.options.back_off.unasked));
            self.changed.notify_one();
        }
    }

    /// Begins to build a planned spare if it is due. Returns when the next one will be.
    pub(super) fn build_spare_if_due(&mut self, now: Instant) -> Option<Instant> {
        if self.next_spare.is_some_and(|next| next <= now) {
            self.next_spare = None;
            if self.lacks_spares() {
                self.open_spare();
            }
            self.has_lost = false;
            self.has_renewed = false;
        }
        // Without room, it is planned again when a session closes.
        if self.has_room() {
            self.plan_spare();
        }
        self.next_spare
    }

    /// Closes unused sessions that were lost, or that cannot be built because the router is away. Sessions in use are built again
    /// once a request waits for them. What was never ready does not count towards the rate of the client that had it opened.
    pub(super) fn close_lost(&mut self) {
        let lost = |entry: &Entry| entry.is_lost_and_unused();
        let keys: Vec<_> =
            self.entries.iter().filter(|(_, entry)| lost(entry)).map(|(key, _)| key.clone()).collect();
        let spares = self.spares.len();
        // A spare that was never ready is kept: it is the one that waits for the router.
        self.spares.retain(|spare| !(lost(spare) && spare.supervised().was_ready()));
        self.has_lost |= !keys.is_empty() || spares > self.spares.len();
        for key in &keys {
            let Some(entry) = self.close(key) else { continue };
            if !entry.supervised().was_ready() {
                self.opened.give_back(entry.opened_by());
            }
        }
    }

    /// Closes the session that has been unused for longest, or a spare if all others are in use. Returns whether it closed one.
    fn close_longest_unused(&mut self) -> bool {
        let unused = self.entries.iter().filter_map(|(key, entry)| Some((entry.unused_since()?, key)));
        match unused.min_by_key(|(since, _)| *since).map(|(_, key)| key.clone()) {
            Some(key) => self.close(&key).is_some(),
            None => self.spares.pop_front().is_some(),
        }
    }

    /// Closes the session of `key`, and remembers its identity if sessions keep theirs.
    pub(super) fn close(&mut self, key: &IsolationKey) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(key)?;
        if self.options.identity == Identity::Same
            && let Some(private_key) = entry.supervised().kept_key()
        {
            self.remembered.push_back((key.clone(), private_key.clone()));
            if self.remembered.len() > REMEMBERED_PER_SESSION * self.options.max_sessions.get() {
                self.remembered.pop_front();
            }
        }
        Some(entry)
    }

    /// Closes this number of spares.
    pub(super) fn drop_spares(&mut self, count: usize) {
        self.spares.drain(..count.min(self.spares.len()));
    }

    /// Keeps a session that no key has any more among the replaced ones, until its streams have ended.
    pub(super) fn set_aside(&mut self, entry: &Arc<Entry>) {
        self.replaced.push(Arc::downgrade(entry));
    }

    /// Takes the remembered identity of a key. From now on its session holds it.
    fn take_remembered(&mut self, key: &IsolationKey) -> Option<PrivateKey> {
        let at = self.remembered.iter().position(|(remembered, _)| remembered == key)?;
        self.remembered.remove(at).map(|(_, private_key)| private_key)
    }

    /// See [`SessionPool::renew`](super::SessionPool::renew).
    pub(super) fn renew(&mut self, key: &IsolationKey, lease: &SessionLease) {
        if self.entries.get(key).is_some_and(|entry| lease.is_of(entry)) {
            let entry = self.entries.remove(key);
            entry.iter().for_each(|entry| self.set_aside(entry));
        }
    }

    /// See [`SessionPool::renew_all`](super::SessionPool::renew_all).
    pub(super) fn renew_all(&mut self) -> usize {
        let renewed = self.entries.len();
        self.has_renewed |= !self.spares.is_empty();
        self.replace_all();
        self.plan_spare();
        renewed
    }

    /// See [`SessionPool::renew_of`](super::SessionPool::renew_of).
    pub(super) fn renew_of(&mut self, user: &[u8]) -> usize {
        self.replace_if(|key| key.is_of_user(user))
    }

    /// See [`SessionPool::renew_if`](super::SessionPool::renew_if).
    pub(super) fn renew_if(&mut self, is_renewed: impl Fn(&IsolationKey) -> bool) -> usize {
        if self.options.session.has_private_key() { 0 } else { self.replace_if(is_renewed) }
    }

    pub(super) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    fn replace_if(&mut self, is_replaced: impl Fn(&IsolationKey) -> bool) -> usize {
        self.remembered.retain(|(key, _)| !is_replaced(key));
        let replaced: Vec<_> = self.entries.extract_if(|key, _| is_replaced(key)).collect();
        replaced.iter().for_each(|(_, entry)| self.set_aside(entry));
        replaced.len()
    }

    /// Closes unused sessions and spares, and sets the others aside until their last stream ends.
    fn replace_all(&mut self) {
        self.remembered.clear();
        // The new sessions are not the clients' doing.
        self.opened.reset();
        let entries = self.entries.drain().map(|(_, entry)| Arc::downgrade(&entry));
        self.replaced.extend(entries);
        self.spares.clear();
    }

    /// See [`SessionPool::reconfigure`](super::SessionPool::reconfigure).
    pub(super) fn reconfigure(&mut self, options: PoolOptions) {
        if options.max_sessions != self.options.max_sessions {
            self.opened = ClientRate::of_sessions(options.max_sessions);
        }
        let before = std::mem::replace(&mut self.options, options);
        if before.builds_same_sessions(&self.options) {
            while self.current() > self.options.max_sessions.get() && self.close_longest_unused() {}
            self.spares.truncate(self.options.spares_at_start());
        } else {
            self.replace_all();
        }
        if self.current() == 0 {
            self.open_first();
        }
        self.plan_spare();
    }

    /// Closes sessions that have been unused for `limit`, and spares beyond the wanted number. Returns how many of them had been ready,
    /// and how many never were.
    pub(super) fn close_unused(&mut self, now: Instant, limit: Duration) -> ClosedSessions {
        let due = |entry: &Entry| entry.unused_since().is_some_and(|since| since + limit <= now);
        let keys: Vec<_> =
            self.entries.iter().filter(|(_, entry)| due(entry)).map(|(key, _)| key.clone()).collect();
        let mut closed = ClosedSessions::default();
        for key in &keys {
            closed.extend(self.close(key));
        }
        while self.spares.len() > self.options.warm_spares
            && self.spares.front().is_some_and(|spare| due(spare))
        {
            closed.extend(self.spares.pop_front());
        }
        closed
    }

    /// Returns when the next session will have been unused for `limit` if none is used until then.
    pub(super) fn next_close(&self, limit: Duration) -> Option<Instant> {
        let spares = self.spares.iter().take(self.spares.len().saturating_sub(self.options.warm_spares));
        let unused = self.entries.values().chain(spares).filter_map(|entry| entry.unused_since());
        unused.min().map(|since| since + limit)
    }

    pub(super) fn sessions(&mut self) -> Vec<SessionStatus> {
        self.client_numbers.update(self.entries.keys().filter_map(IsolationKey::origin).collect());
        let number = |client| self.client_numbers.of(client);
        let replaced: Vec<_> = self.replaced.iter().filter_map(Weak::upgrade).collect();
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        let kept = entries.iter().map(|(key, entry)| entry.status_of_key(key, key.origin().and_then(number)));
        let used = kept.chain(replaced.iter().map(|entry| entry.status()));
        used.chain(self.spares.iter().map(|entry| entry.spare_status())).collect()
    }

    /// Any session, preferably a spare or one that is ready. If there is none, begins to build one, unless that is delayed until the
    /// first client.
    pub(super) fn any(&mut self) -> Option<Arc<Entry>> {
        if self.spares.is_empty() && self.entries.is_empty() && self.options.spares_at_start() > 0 {
            self.open_spare();
        }
        let is_ready = |entry: &&Arc<Entry>| entry.supervised().current().is_some();
        let used = || self.entries.values().find(is_ready).or_else(|| self.entries.values().next());
        self.spares.front().or_else(used).cloned()
    }
}

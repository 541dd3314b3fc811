//! Fair shares: how much of a limited resource one client gets while others may need some of it too.
//!
//! Nothing that is in use is ever taken from a client, since its streams would break. So room for others is kept beforehand: a
//! client gets no more than three quarters of what all others leave, of connections as well as of sessions. Contained programs have
//! such a share together, and each of them gets no more than three quarters of what the others leave of it.
//!
//! A session that is not in use can be closed for another one. It does not count against others, and the client that needs a session
//! closes its own first.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::identity::ClientOrigin;

/// One of this many parts of what others leave is kept back: a client gets the other three quarters.
const PARTS: usize = 4;

/// How long an unused session is kept for its client, which may be between two requests, while a client that holds as many or more
/// asks for another one.
const KEPT_UNUSED: Duration = Duration::from_secs(5 * 60);

/// The share of a client that holds `held` things while `free` are left. The last one that is left is not kept back.
fn share(held: usize, free: usize) -> usize {
    let all = held.saturating_add(free.max(1));
    all - all / PARTS
}

/// How many things of one kind each client holds.
#[derive(Default)]
pub(super) struct Holdings {
    total: usize,
    /// Of clients, and of their groups.
    held: HashMap<ClientOrigin, usize>,
}

impl Holdings {
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// How many a client or a group holds.
    pub(super) fn of(&self, holder: ClientOrigin) -> usize {
        self.held.get(&holder).copied().unwrap_or_default()
    }

    /// The share of a client's group, if there can be `limit` in total and there is room for one more.
    pub(super) fn share_of_group(&self, client: ClientOrigin, limit: usize) -> usize {
        share(self.of(client.group()), limit.saturating_sub(self.total))
    }

    /// Whether a client may have one more if its group may have `most`, and there is room for one more.
    pub(super) fn allow_one_more(&self, client: ClientOrigin, most: usize) -> bool {
        self.of(client.group()) < most && self.leave_room_in_group(client, most)
    }

    /// Whether one more for a client leaves enough to others in its group, if the group may have `most`.
    pub(super) fn leave_room_in_group(&self, client: ClientOrigin, most: usize) -> bool {
        let (held, free) = (self.of(client), most.saturating_sub(self.of(client.group())));
        !client.is_one_of_several() || held < share(held, free)
    }

    pub(super) fn add(&mut self, client: ClientOrigin) {
        self.total += 1;
        for holder in client.holders() {
            *self.held.entry(holder).or_default() += 1;
        }
    }

    /// Removes one. Nothing is kept of a client that holds none.
    pub(super) fn remove(&mut self, client: ClientOrigin) {
        self.total -= 1;
        for holder in client.holders() {
            let Some(held) = self.held.get_mut(&holder) else { continue };
            *held -= 1;
            if *held == 0 {
                self.held.remove(&holder);
            }
        }
        if self.held.is_empty() {
            self.held.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

/// A session of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldSession {
    /// The client that holds it. `None`: the program itself.
    pub(crate) holder: Option<ClientOrigin>,
    /// Since when it is unused. `None`: it is in use.
    pub(crate) unused_since: Option<Instant>,
    /// Whether it is unused and its holder never comes back.
    is_abandoned: bool,
}

impl HeldSession {
    pub(crate) fn new(holder: Option<ClientOrigin>, unused_since: Option<Instant>) -> Self {
        let is_abandoned = unused_since.is_some() && holder.is_some_and(ClientOrigin::has_ended);
        Self { holder, unused_since, is_abandoned }
    }

    /// The same, if these clients have used it, too: it is abandoned once they all have ended.
    pub(crate) fn used_by(self, clients: &[ClientOrigin]) -> Self {
        let is_abandoned = self.is_abandoned && clients.iter().all(|client| client.has_ended());
        Self { is_abandoned, ..self }
    }

    /// Whether it belongs to a client, or to a client of a group.
    fn is_of(&self, holder: Option<ClientOrigin>) -> bool {
        self.holder == holder || self.holder.map(ClientOrigin::group) == holder
    }
}

/// The share that keeps a client from one more session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FullShare {
    /// The client's part of its group's share.
    OfClient,
    /// The share of its group.
    OfGroup,
}

/// The share that keeps a client from one more of at most `max` sessions. Unused sessions of others count as free.
pub(crate) fn full_share(all: &[HeldSession], client: Option<ClientOrigin>, max: usize) -> Option<FullShare> {
    let group = client.map(ClientOrigin::group);
    let of_group: Vec<_> = all.iter().copied().filter(|session| session.is_of(group)).collect();
    let most = share_of(all, group, max);
    if client != group && held_by(all, client) >= share_of(&of_group, client, most) {
        return Some(FullShare::OfClient);
    }
    (of_group.len() >= most).then_some(FullShare::OfGroup)
}

/// The share that a client or a group has of at most `max` sessions.
fn share_of(all: &[HeldSession], holder: Option<ClientOrigin>, max: usize) -> usize {
    let is_taken = |session: &&HeldSession| session.is_of(holder) || session.unused_since.is_none();
    share(held_by(all, holder), max.saturating_sub(all.iter().filter(is_taken).count()))
}

/// The number of sessions that a client or a group holds.
fn held_by(all: &[HeldSession], holder: Option<ClientOrigin>) -> usize {
    all.iter().filter(|session| session.is_of(holder)).count()
}

/// Whether the group of a client holds all sessions.
pub(crate) fn holds_all(all: &[HeldSession], client: Option<ClientOrigin>) -> bool {
    held_by(all, client.map(ClientOrigin::group)) == all.len()
}

/// Chooses the unused session of a client itself to close for it, by its place in `all`: the one that has been unused for longest.
pub(crate) fn own_unused_to_close(all: &[HeldSession], client: Option<ClientOrigin>) -> Option<usize> {
    let own = all.iter().enumerate().filter(|(_, session)| session.holder == client);
    own.filter_map(|(at, session)| Some((session.unused_since?, at))).min().map(|(_, at)| at)
}

/// Why an unused session of another client may be closed, the best reason first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// Its client never comes back.
    Abandoned,
    /// Its client holds more than the one that asks. Groups are compared, and within a group its clients, of which none loses its
    /// only session. The group that holds most comes first, and in it the client that holds most.
    HoldsMore(Reverse<(usize, usize)>),
    /// It has been unused for so long that its client will hardly miss it.
    UnusedForLong,
}

/// Chooses the unused session of another client to close for `client`, which has none itself: the one with the best [`Reason`] that
/// has been unused for longest. If a share is full, only a session that counts towards it makes room.
pub(crate) fn others_unused_to_close(
    all: &[HeldSession],
    client: Option<ClientOrigin>,
    full: Option<FullShare>,
    now: Instant,
) -> Option<usize> {
    let group = client.map(ClientOrigin::group);
    let (own, of_group) = (held_by(all, client), held_by(all, group));
    let reason = |session: &HeldSession, since: Instant| {
        let is_of_group = session.is_of(group);
        let makes_room = match full {
            None => true,
            Some(FullShare::OfGroup) => is_of_group,
            Some(FullShare::OfClient) => false,
        };
        let theirs = held_by(all, session.holder);
        let of_theirs = held_by(all, session.holder.map(ClientOrigin::group));
        let holds_more = if is_of_group { theirs > own.max(1) } else { of_theirs > of_group };
        match makes_room {
            false => None,
            true if session.is_abandoned => Some(Reason::Abandoned),
            true if holds_more => Some(Reason::HoldsMore(Reverse((of_theirs, theirs)))),
            true => (since + KEPT_UNUSED <= now).then_some(Reason::UnusedForLong),
        }
    };
    let candidate = |(at, session): (usize, &HeldSession)| {
        let since = session.unused_since?;
        Some((reason(session, since)?, since, at))
    };
    all.iter().enumerate().filter_map(candidate).min().map(|(.., at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientAddress;

    /// A user, or from 100 on a contained program.
    fn client(number: u32) -> Option<ClientOrigin> {
        let address =
            if number < 100 { ClientAddress::User(number) } else { ClientAddress::Contained(number) };
        Some(address.into())
    }

    /// Sessions of clients, each used or unused, the earlier ones last used earlier. No client has ended.
    fn sessions(of: &[(u32, bool)]) -> Vec<HeldSession> {
        let begin = Instant::now();
        let session = |(at, (number, used)): (u64, &(u32, bool))| {
            let since = begin + Duration::from_secs(at);
            let (holder, unused_since) = (client(*number), (!used).then_some(since));
            HeldSession { holder, unused_since, is_abandoned: false }
        };
        (0..).zip(of).map(session).collect()
    }

    fn in_use(holder: Option<ClientOrigin>) -> HeldSession {
        HeldSession::new(holder, None)
    }

    /// The time at which the last of them became unused.
    fn now(all: &[HeldSession]) -> Instant {
        all.iter().filter_map(|session| session.unused_since).max().unwrap()
    }

    /// Whether a client gets one more of what there can be `limit` of.
    fn gets_one(holdings: &Holdings, client: ClientOrigin, limit: usize) -> bool {
        holdings.total() < limit && holdings.allow_one_more(client, holdings.share_of_group(client, limit))
    }

    const USED: bool = true;
    const UNUSED: bool = false;

    #[test]
    fn a_client_that_needs_a_session_closes_its_own_first() {
        for (of, asks, closed) in [
            // The one unused for longest.
            (&[(1, UNUSED), (1, UNUSED), (2, UNUSED)][..], 1, Some(0)),
            // However many others hold.
            (&[(2, UNUSED), (2, UNUSED), (2, UNUSED), (1, UNUSED)], 1, Some(3)),
            (&[(2, UNUSED), (2, UNUSED), (1, USED)], 1, None),
        ] {
            assert_eq!(own_unused_to_close(&sessions(of), client(asks)), closed, "{of:?} {asks}");
        }
    }

    #[test]
    fn a_contained_program_never_closes_the_only_session_of_another() {
        let of_group = Some(FullShare::OfGroup);
        for (of, asks, full, closed) in [
            // One that holds none, whether the share or all is used up.
            (&[(101, USED), (102, UNUSED), (103, UNUSED)][..], 109, of_group, None),
            (&[(101, USED), (102, UNUSED), (103, UNUSED)], 109, None, None),
            // Of the one that holds most.
            (&[(102, UNUSED), (103, UNUSED), (103, UNUSED), (101, USED)], 109, of_group, Some(1)),
            (&[(102, UNUSED), (103, UNUSED), (103, UNUSED), (101, USED)], 101, None, Some(1)),
            // It holds as many or more itself.
            (&[(101, USED), (101, USED), (102, UNUSED), (102, UNUSED)], 101, of_group, None),
            // It has its part of the share.
            (&[(101, USED), (102, UNUSED), (102, UNUSED)], 101, Some(FullShare::OfClient), None),
            // Others have shares of their own.
            (&[(9, UNUSED), (9, UNUSED), (9, UNUSED), (101, USED)], 109, of_group, None),
            (&[(9, UNUSED), (9, UNUSED), (9, UNUSED), (101, USED)], 109, None, Some(0)),
        ] {
            let all = sessions(of);
            assert_eq!(
                others_unused_to_close(&all, client(asks), full, now(&all)),
                closed,
                "{of:?} {asks} {full:?}"
            );
        }
        let all = sessions(&[(9, UNUSED), (101, USED), (102, UNUSED), (103, UNUSED)]);
        let later = now(&all) + KEPT_UNUSED;
        assert_eq!(others_unused_to_close(&all, client(109), of_group, later), Some(2), "unused for long");
        assert_eq!(others_unused_to_close(&all, client(109), Some(FullShare::OfClient), later), None);
    }

    #[test]
    fn the_session_of_a_contained_program_that_has_ended_goes_before_others() {
        let mut all = sessions(&[(102, UNUSED), (102, UNUSED), (101, USED), (103, UNUSED), (9, UNUSED)]);
        let of_group = Some(FullShare::OfGroup);
        assert_eq!(others_unused_to_close(&all, client(101), of_group, now(&all)), Some(0));
        all[3].is_abandoned = true;
        for asks in [101, 102, 109] {
            let closed = others_unused_to_close(&all, client(asks), of_group, now(&all));
            assert_eq!(closed, Some(3), "however few it held");
        }
        assert_eq!(others_unused_to_close(&all, client(8), None, now(&all)), Some(3), "nobody misses it");
        assert_eq!(others_unused_to_close(&all, client(8), of_group, now(&all)), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_session_is_abandoned_once_it_is_unused_and_its_program_has_ended() {
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let of = |process, since| HeldSession::new(Some(ClientAddress::Contained(process).into()), since);
        assert!(of(ended.id(), Some(Instant::now())).is_abandoned);
        assert!(!of(ended.id(), None).is_abandoned);
        assert!(!of(std::process::id(), Some(Instant::now())).is_abandoned);
        let client = |process| ClientOrigin::from(ClientAddress::Contained(process));
        let used_by = |all: &[u32]| {
            let all: Vec<_> = all.iter().map(|process| client(*process)).collect();
            of(ended.id(), Some(Instant::now())).used_by(&all).is_abandoned
        };
        assert!(used_by(&[ended.id()]));
        assert!(!used_by(&[ended.id(), std::process::id()]), "another program with its identity lives");
    }

    #[test]
    fn contained_programs_count_as_one_client_against_others() {
        for (of, asks, closed) in [
            // Three of theirs, two of another.
            (&[(8, UNUSED), (8, UNUSED), (101, UNUSED), (102, USED), (103, UNUSED)][..], 9, Some(2)),
            // Of the one that holds most of them.
            (&[(8, UNUSED), (8, UNUSED), (101, UNUSED), (102, USED), (102, UNUSED)], 9, Some(4)),
            // They take of the client that holds more than all of them.
            (&[(8, UNUSED), (8, UNUSED), (8, UNUSED), (101, UNUSED), (102, USED)], 109, Some(0)),
            (&[(8, UNUSED), (8, UNUSED), (101, UNUSED), (102, USED)], 109, None),
        ] {
            let all = sessions(of);
            assert_eq!(others_unused_to_close(&all, client(asks), None, now(&all)), closed, "{of:?} {asks}");
        }
    }

    #[test]
    fn another_clients_unused_session_is_closed_only_if_it_holds_more() {
        for (of, asks, closed) in [
            (&[(1, USED), (2, UNUSED), (2, UNUSED), (2, UNUSED)][..], 1, Some(1)),
            (&[(1, UNUSED), (2, UNUSED), (3, UNUSED), (3, UNUSED)], 4, Some(2)),
            // The one that holds most uses all of its own.
            (&[(2, USED), (2, USED), (1, UNUSED), (3, UNUSED)], 4, Some(2)),
            // None of a client that holds as many or fewer.
            (&[(1, USED), (2, UNUSED)], 1, None),
            (&[(1, USED), (1, USED), (2, UNUSED), (2, USED)], 1, None),
        ] {
            let all = sessions(of);
            let closed_now = others_unused_to_close(&all, client(asks), None, now(&all));
            assert_eq!(closed_now, closed, "{of:?} {asks}");
        }
    }

    #[test]
    fn a_session_unused_for_long_is_kept_for_nobody() {
        let all = sessions(&[(2, USED), (2, USED), (1, UNUSED)]);
        let of = |after| others_unused_to_close(&all, client(2), None, now(&all) + after);
        assert_eq!(of(KEPT_UNUSED.saturating_sub(Duration::from_secs(1))), None);
        assert_eq!(of(KEPT_UNUSED), Some(2));
    }

    #[test]
    fn a_client_gets_three_quarters_of_the_sessions_that_others_do_not_use() {
        // The sessions that others use and do not use, and how many a client gets of 8.
        for (used, unused, gets) in [(0, 0, 6), (0, 8, 6), (2, 0, 5), (2, 3, 5), (6, 0, 2), (7, 1, 1)] {
            let mut all = sessions(&[vec![(2, USED); used], vec![(3, UNUSED); unused]].concat());
            let mut own = 0;
            while all.len() < 8 + unused && used + own < 8 && full_share(&all, client(1), 8).is_none() {
                all.push(in_use(client(1)));
                own += 1;
            }
            assert_eq!(own, gets, "{used} used, {unused} unused");
        }
    }

    #[test]
    fn contained_programs_together_get_no_more_than_a_client() {
        let mut all = Vec::new();
        for number in 100..200 {
            if full_share(&all, client(number), 12).is_some() {
                break;
            }
            all.push(in_use(client(number)));
        }
        assert_eq!(all.len(), 9);
        assert_eq!(full_share(&all, client(1000), 12), Some(FullShare::OfGroup));
        assert_eq!(full_share(&all, client(1), 12), None, "three are left for others");
        let (mut holdings, origin) = (Holdings::default(), |number| client(number).unwrap());
        let next = (100..).find(|number| {
            let gets_one = gets_one(&holdings, origin(*number), 384);
            if gets_one {
                holdings.add(origin(*number));
            }
            !gets_one
        });
        assert_eq!((holdings.total(), next), (288, Some(388)));
        assert!(gets_one(&holdings, origin(1), 384));
        holdings.remove(origin(100));
        assert!(gets_one(&holdings, origin(1000), 384));
    }

    #[test]
    fn one_contained_program_leaves_a_quarter_of_their_share_and_each_next_one_gets_some() {
        let mut holdings = Holdings::default();
        let got = [100, 101, 102, 103].map(|number| {
            let (origin, before) = (client(number).unwrap(), holdings.total());
            while gets_one(&holdings, origin, 4096) {
                holdings.add(origin);
            }
            holdings.total() - before
        });
        assert_eq!(got, [2304, 576, 144, 36]);
        // The same for sessions. What others of the group do not use counts as free.
        let mut all = Vec::new();
        let got = [100, 101, 102].map(|number| {
            let before = all.len();
            while full_share(&all, client(number), 12).is_none() {
                all.push(in_use(client(number)));
            }
            all.len() - before
        });
        assert_eq!(got, [7, 2, 0]);
        assert_eq!(full_share(&all, client(100), 12), Some(FullShare::OfClient));
        for session in all.iter_mut().filter(|session| session.holder == client(101)) {
            session.unused_since = Some(Instant::now());
        }
        assert_eq!(full_share(&all, client(100), 12), Some(FullShare::OfClient), "two are kept back");
        assert_eq!(full_share(&all, client(102), 12), Some(FullShare::OfGroup));
    }

    #[test]
    fn one_client_leaves_a_quarter_of_what_is_there_and_each_next_one_gets_some() {
        let mut holdings = Holdings::default();
        let mut got = Vec::new();
        for user in 0..4 {
            let origin = ClientOrigin::from(ClientAddress::User(user));
            while gets_one(&holdings, origin, 384) {
                holdings.add(origin);
            }
            got.push(holdings.of(origin.group()));
        }
        assert_eq!(got, [288, 72, 18, 5]);
        // Small limits are used up.
        for (limit, all) in [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6)] {
            let (mut holdings, origin) = (Holdings::default(), ClientAddress::User(1).into());
            while gets_one(&holdings, origin, limit) {
                holdings.add(origin);
            }
            assert_eq!(holdings.total(), all, "{limit}");
        }
    }
}

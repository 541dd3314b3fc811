//! Fair shares: how much of a limited resource one client gets while others may need some of it too.
//!
//! Nothing that is in use is ever taken from a client, since its streams would break. So room for others is kept beforehand: a
//! client gets no more than three quarters of what all others leave, of connections as well as of sessions.
//!
//! A session that is not in use can be closed for another one. It does not count against others, and the client that needs a session
//! closes its own first.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::identity::ClientOrigin;

/// How many times as much as is free a client may hold: 3 is three quarters of what all others leave.
const HELD_PER_FREE: usize = 3;

/// How long an unused session is kept for its client, which may be between two requests, while a client that holds as many or more
/// asks for another one.
const KEPT_UNUSED: Duration = Duration::from_secs(5 * 60);

/// How many things of one kind each client holds.
#[derive(Default)]
pub(super) struct Holdings {
    total: usize,
    /// Those of contained programs.
    contained: usize,
    clients: HashMap<ClientOrigin, usize>,
}

impl Holdings {
    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn of(&self, client: ClientOrigin) -> usize {
        self.clients.get(&client).copied().unwrap_or_default()
    }

    /// Whether one more leaves enough to others, if there can be `limit` in total and there is room for one more.
    pub(super) fn leave_room_for_others(&self, client: ClientOrigin, limit: usize) -> bool {
        let free = limit.saturating_sub(self.total);
        is_within_share(self.of(client), free)
            && (!client.is_contained() || is_within_share(self.contained, free))
    }

    pub(super) fn add(&mut self, client: ClientOrigin) {
        self.total += 1;
        self.contained += usize::from(client.is_contained());
        *self.clients.entry(client).or_default() += 1;
    }

    /// Removes one. Nothing is kept of a client that holds none.
    pub(super) fn remove(&mut self, client: ClientOrigin) {
        let Some(held) = self.clients.get_mut(&client) else { return };
        self.total -= 1;
        self.contained -= usize::from(client.is_contained());
        *held -= 1;
        if *held == 0 {
            self.clients.remove(&client);
        }
        if self.clients.is_empty() {
            self.clients.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.clients.capacity()
    }
}

/// Whether a client that holds `held` things may have one more, if `free` are left. The last one that is left is not kept back.
fn is_within_share(held: usize, free: usize) -> bool {
    held < HELD_PER_FREE.saturating_mul(free.max(1))
}

/// A session of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldSession {
    /// The client that holds it. `None`: the program itself.
    pub(crate) holder: Option<ClientOrigin>,
    /// Since when it is unused. `None`: it is in use.
    pub(crate) unused_since: Option<Instant>,
}

/// Whether a client has its share of at most `max` sessions, or contained programs have theirs together and it is one of them. Unused
/// sessions of others count as free.
pub(crate) fn has_its_share(all: &[HeldSession], client: Option<ClientOrigin>, max: usize) -> bool {
    have_a_share(all, |holder| holder == client, max)
        || (is_contained(client) && have_a_share(all, is_contained, max))
}

/// Whether this is one of the contained programs.
fn is_contained(client: Option<ClientOrigin>) -> bool {
    client.is_some_and(ClientOrigin::is_contained)
}

/// Whether these holders have a share together.
fn have_a_share(all: &[HeldSession], is_one: impl Fn(Option<ClientOrigin>) -> bool, max: usize) -> bool {
    let own = all.iter().filter(|session| is_one(session.holder)).count();
    let taken = all.iter().filter(|session| is_one(session.holder) || session.unused_since.is_none()).count();
    !is_within_share(own, max.saturating_sub(taken))
}

/// The number of sessions that a client holds.
pub(crate) fn held_by(all: &[HeldSession], client: Option<ClientOrigin>) -> usize {
    all.iter().filter(|session| session.holder == client).count()
}

/// Chooses the unused session to close for `client`, by its place in `all`. Its own go first, and of those the one that has been unused
/// for longest. A contained program then takes that of another one: they have a share together, and those that have ended never use
/// theirs again.
pub(crate) fn own_unused_to_close(all: &[HeldSession], client: Option<ClientOrigin>) -> Option<usize> {
    let of_contained = || longest_unused(all, |session| is_contained(session.holder));
    longest_unused(all, |session| session.holder == client)
        .or_else(|| is_contained(client).then(of_contained).flatten())
}

/// Chooses the unused session of another client to close for `client`, which has none itself: of the client that holds most, if it
/// holds more than `client`, the one that has been unused for longest. Otherwise any session that has been unused for so long that
/// its client will hardly miss it.
pub(crate) fn others_unused_to_close(
    all: &[HeldSession],
    client: Option<ClientOrigin>,
    now: Instant,
) -> Option<usize> {
    let unused = all.iter().filter(|session| session.unused_since.is_some());
    let most = unused.map(|session| held_by(all, session.holder)).max()?;
    if most > held_by(all, client) {
        return longest_unused(all, |session| held_by(all, session.holder) == most);
    }
    longest_unused(all, |session| session.unused_since.is_some_and(|since| since + KEPT_UNUSED <= now))
}

/// The place of the session that has been unused for longest, of those that meet a condition.
fn longest_unused(all: &[HeldSession], condition: impl Fn(&HeldSession) -> bool) -> Option<usize> {
    let fits = all.iter().enumerate().filter(|(_, session)| condition(session));
    fits.filter_map(|(at, session)| Some((session.unused_since?, at))).min().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientAddress;

    fn client(user: u32) -> Option<ClientOrigin> {
        Some(ClientAddress::User(user).into())
    }

    /// Sessions of clients, each used or unused, the earlier ones last used earlier.
    fn sessions(of: &[(u32, bool)]) -> Vec<HeldSession> {
        let begin = Instant::now();
        let session = |(at, (user, used)): (u64, &(u32, bool))| {
            let since = begin + Duration::from_secs(at);
            HeldSession { holder: client(*user), unused_since: (!used).then_some(since) }
        };
        (0..).zip(of).map(session).collect()
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
    fn a_contained_program_that_needs_a_session_closes_that_of_another() {
        let run = |process| Some(ClientAddress::Contained(process).into());
        let mut all = sessions(&[(1, UNUSED), (2, UNUSED), (3, USED), (4, UNUSED)]);
        for (session, process) in all.iter_mut().skip(1).zip(2..) {
            session.holder = run(process);
        }
        assert_eq!(own_unused_to_close(&all, run(9)), Some(1), "the one unused for longest");
        assert_eq!(own_unused_to_close(&all, run(4)), Some(3), "its own first");
        assert_eq!(own_unused_to_close(&all, client(9)), None, "others have shares of their own");
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
            let now = all.iter().filter_map(|session| session.unused_since).max().unwrap();
            assert_eq!(others_unused_to_close(&all, client(asks), now), closed, "{of:?} {asks}");
        }
    }

    #[test]
    fn a_session_unused_for_long_is_kept_for_nobody() {
        let all = sessions(&[(2, USED), (2, USED), (1, UNUSED)]);
        let of = |after| others_unused_to_close(&all, client(2), all[2].unused_since.unwrap() + after);
        assert_eq!(of(KEPT_UNUSED.saturating_sub(Duration::from_secs(1))), None);
        assert_eq!(of(KEPT_UNUSED), Some(2));
    }

    #[test]
    fn a_client_gets_three_quarters_of_the_sessions_that_others_do_not_use() {
        // The sessions that others use and do not use, and how many a client gets of 8.
        for (used, unused, gets) in [(0, 0, 6), (0, 8, 6), (2, 0, 5), (2, 3, 5), (6, 0, 2), (7, 1, 1)] {
            let mut all = sessions(&[vec![(2, USED); used], vec![(3, UNUSED); unused]].concat());
            let mut own = 0;
            while all.len() < 8 + unused && used + own < 8 && !has_its_share(&all, client(1), 8) {
                all.push(HeldSession { holder: client(1), unused_since: None });
                own += 1;
            }
            assert_eq!(own, gets, "{used} used, {unused} unused");
        }
    }

    #[test]
    fn contained_programs_together_get_no_more_than_a_client() {
        let run = |process| Some(ClientAddress::Contained(process).into());
        let mut all = Vec::new();
        while !has_its_share(&all, run(u32::try_from(all.len()).unwrap()), 12) {
            all.push(HeldSession { holder: run(u32::try_from(all.len()).unwrap()), unused_since: None });
        }
        assert_eq!(all.len(), 9);
        assert!(!has_its_share(&all, client(1), 12), "three are left for others");
        let mut holdings = Holdings::default();
        while holdings.leave_room_for_others(
            ClientAddress::Contained(u32::try_from(holdings.total()).unwrap()).into(),
            384,
        ) {
            holdings.add(ClientAddress::Contained(u32::try_from(holdings.total()).unwrap()).into());
        }
        assert_eq!(holdings.total(), 288);
        assert!(holdings.leave_room_for_others(ClientAddress::User(1).into(), 384));
        holdings.remove(ClientAddress::Contained(0).into());
        assert!(holdings.leave_room_for_others(ClientAddress::Contained(1000).into(), 384));
    }

    #[test]
    fn one_client_leaves_a_quarter_of_what_is_there_and_each_next_one_gets_some() {
        let mut holdings = Holdings::default();
        let mut got = Vec::new();
        for user in 0..4 {
            let origin = ClientAddress::User(user).into();
            while holdings.total() < 384 && holdings.leave_room_for_others(origin, 384) {
                holdings.add(origin);
            }
            got.push(holdings.of(origin));
        }
        assert_eq!(got, [288, 72, 18, 5]);
        // Small limits are used up.
        for (limit, all) in [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6)] {
            let (mut holdings, origin) = (Holdings::default(), ClientAddress::User(1).into());
            while holdings.total() < limit && holdings.leave_room_for_others(origin, limit) {
                holdings.add(origin);
            }
            assert_eq!(holdings.total(), all, "{limit}");
        }
    }
}

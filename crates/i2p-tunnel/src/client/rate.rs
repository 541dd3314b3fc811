use std::{collections::HashMap, iter, num::NonZeroUsize, time::Duration};

use tokio::time::Instant;

use super::identity::ClientOrigin;

/// Most clients whose use is remembered. Beyond that, the one whose use is closest to forgotten is forgotten early.
const MAX_CLIENTS: usize = 4096;

/// The sessions that a client can always open in a minute. A pool with more sessions allows as many as it has.
const MIN_SESSIONS_PER_MINUTE: usize = 8;

/// The sessions that a client can open in quick succession, as a multiple of those in a minute.
const BURST_MINUTES: usize = 2;

/// Limits how often each client may do something that costs: `burst` times at once, and then once every `interval`. Contained programs
/// may do it as often together, and each of them three quarters as often.
pub(crate) struct ClientRate {
    burst: u32,
    interval: Duration,
    /// When the use of each client and of each group will be forgotten: one interval after the other for each use (a token bucket in
    /// its form as a generic cell rate algorithm).
    forgotten_at: HashMap<Option<ClientOrigin>, Instant>,
}

impl ClientRate {
    /// How quickly each client may open sessions of a pool of at most `max` ones: as many in a minute as the pool has, and twice as
    /// many at once.
    pub(crate) fn of_sessions(max: NonZeroUsize) -> Self {
        let per_minute = max.get().max(MIN_SESSIONS_PER_MINUTE);
        let burst = u32::try_from(per_minute * BURST_MINUTES).unwrap_or(u32::MAX);
        Self::new(burst, Duration::from_secs(60 * BURST_MINUTES as u64) / burst)
    }

    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, forgotten_at: HashMap::new() }
    }

    /// When the client may do it next. That may be in the past.
    pub(crate) fn next(&self, client: Option<ClientOrigin>) -> Option<Instant> {
        let next = |user| {
            let (burst, interval) = self.limits_of(user);
            self.forgotten_at.get(&user)?.checked_sub(interval * burst.saturating_sub(1))
        };
        users(client).filter_map(next).max()
    }

    /// Records that the client does it.
    pub(crate) fn record(&mut self, client: Option<ClientOrigin>, now: Instant) {
        for user in users(client) {
            if self.forgotten_at.len() >= MAX_CLIENTS && !self.forgotten_at.contains_key(&user) {
                self.make_room(now);
            }
            let (_, interval) = self.limits_of(user);
            let at = self.forgotten_at.entry(user).or_insert(now);
            *at = (*at).max(now) + interval;
        }
    }

    /// Takes back what was recorded once, because it has cost nothing.
    pub(crate) fn give_back(&mut self, client: Option<ClientOrigin>) {
        for user in users(client) {
            let (_, interval) = self.limits_of(user);
            let Some(at) = self.forgotten_at.get_mut(&user) else { continue };
            match at.checked_sub(interval) {
                Some(earlier) => *at = earlier,
                None => drop(self.forgotten_at.remove(&user)),
            }
        }
    }

    /// Forgets all use.
    pub(crate) fn reset(&mut self) {
        self.forgotten_at = HashMap::new();
    }

    /// The burst and the interval. A client that is not alone in its group leaves a quarter to the others.
    fn limits_of(&self, user: Option<ClientOrigin>) -> (u32, Duration) {
        match user.is_some_and(ClientOrigin::is_one_of_several) {
            true => (self.burst - self.burst / 4, self.interval + self.interval / 3),
            false => (self.burst, self.interval),
        }
    }

    fn make_room(&mut self, now: Instant) {
        self.forgotten_at.retain(|_, at| *at > now);
        if self.forgotten_at.len() < MAX_CLIENTS {
            return;
        }
        let first = self.forgotten_at.iter().min_by_key(|(_, at)| **at).map(|(user, _)| *user);
        if let Some(first) = first {
            self.forgotten_at.remove(&first);
        }
    }
}

/// Whose rates a client's use counts towards: its group's, and its own if others are in the group.
fn users(client: Option<ClientOrigin>) -> impl Iterator<Item = Option<ClientOrigin>> {
    let member = client.filter(|client| client.is_one_of_several());
    iter::once(client.map(ClientOrigin::group)).chain(member.map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientAddress;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn client(user: u32) -> Option<ClientOrigin> {
        Some(ClientAddress::User(user).into())
    }

    /// How often a client that tries all the time may do it until `end`.
    fn times(rate: &mut ClientRate, user: u32, begin: Instant, end: Instant) -> u32 {
        let (mut now, mut times) = (begin, 0);
        while now <= end {
            if rate.next(client(user)).is_none_or(|at| at <= now) {
                rate.record(client(user), now);
                times += 1;
            } else {
                now += Duration::from_secs(1);
            }
        }
        times
    }

    #[test]
    fn a_client_has_a_burst_and_then_a_rate_and_delays_no_other() {
        let (mut rate, begin) = (ClientRate::new(4, INTERVAL), Instant::now() + INTERVAL * 10);
        assert_eq!(times(&mut rate, 1, begin, begin), 4);
        assert_eq!(rate.next(client(1)), Some(begin + INTERVAL));
        assert_eq!(times(&mut rate, 1, begin, begin + INTERVAL * 3), 3);
        assert_eq!(times(&mut rate, 2, begin, begin), 4);
        // After a pause the burst is there again, and no more than it.
        assert_eq!(times(&mut rate, 1, begin + INTERVAL * 50, begin + INTERVAL * 50), 4);
        rate.give_back(client(1));
        assert_eq!(times(&mut rate, 1, begin + INTERVAL * 50, begin + INTERVAL * 50), 1);
        rate.reset();
        rate.give_back(client(1));
        assert_eq!(times(&mut rate, 1, begin, begin), 4);
    }

    #[test]
    fn contained_programs_have_the_rate_of_one_client_and_one_of_them_leaves_some() {
        let run = |process| Some(ClientAddress::Contained(process).into());
        let (mut rate, begin) = (ClientRate::new(8, INTERVAL), Instant::now() + INTERVAL * 20);
        let may = |rate: &ClientRate, process| rate.next(run(process)).is_none_or(|at| at <= begin);
        let mut times = [0; 3];
        for (process, times) in (0..).zip(&mut times) {
            while may(&rate, process) {
                rate.record(run(process), begin);
                *times += 1;
            }
        }
        assert_eq!(times, [6, 2, 0]);
        assert!(rate.next(client(1)).is_none(), "others have a rate of their own");
        rate.give_back(run(0));
        assert!(may(&rate, 0) && may(&rate, 2));
        rate.record(run(2), begin);
        assert!(!may(&rate, 0) && !may(&rate, 2));
    }

    #[test]
    fn the_number_of_clients_is_bounded() {
        let (mut rate, begin) = (ClientRate::new(2, INTERVAL), Instant::now());
        for user in 0..u32::try_from(MAX_CLIENTS).unwrap() * 2 {
            rate.record(client(user), begin + Duration::from_millis(u64::from(user)));
        }
        assert_eq!(rate.forgotten_at.len(), MAX_CLIENTS);
        let last = u32::try_from(MAX_CLIENTS).unwrap() * 2 - 1;
        assert!(rate.next(client(last)).is_some() && rate.next(client(0)).is_none());
        rate.record(client(0), begin + INTERVAL * 1000);
        assert_eq!(rate.forgotten_at.len(), 1, "the others have expired");
    }
}

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod task;

use std::{collections::VecDeque, time::Duration};

pub use task::{Panicked, TaskRestarts, again_after_panics, caught};

/// Deaths are counted over this much time of running. The time that the program is kept down does not count, or else a longer pause
/// would lead to a shorter one.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// So many deaths within ten minutes of running are no accident.
pub const SUSPICIOUS_DEATHS: usize = 3;

/// The pauses after the first and the second death within [`WINDOW`].
const FIRST_PAUSES: [Duration; SUSPICIOUS_DEATHS - 1] = [Duration::from_secs(1), Duration::from_secs(5)];

/// The pause after [`SUSPICIOUS_DEATHS`]. Each further death doubles it, up to [`MAX_PAUSE`].
const SUSPICIOUS_PAUSE: Duration = Duration::from_secs(60);

const MAX_PAUSE: Duration = Duration::from_secs(30 * 60);

/// No more deaths than this are remembered: with more, the pause is the longest.
const MAX_REMEMBERED: usize = 16;

/// Decides how long a program stays down after a death: longer after each death in a short time.
#[derive(Debug, Default)]
pub struct RestartSchedule {
    /// How long the program has run, all its lives together.
    ran: Duration,
    /// When it died, in this time.
    deaths: VecDeque<Duration>,
    /// The pause after each death, if it does not grow.
    fixed: Option<Duration>,
}

/// How long the program stays down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pause {
    /// The time from the death to the next start.
    pub length: Duration,
    /// Deaths within ten minutes of running, this one included. [`SUSPICIOUS_DEATHS`] or more are no accident.
    pub deaths: usize,
}

impl RestartSchedule {
    /// Returns a schedule with pauses that grow, or one whose pauses are always `fixed`.
    #[must_use]
    pub fn new(fixed: Option<Duration>) -> Self {
        Self { fixed, ..Self::default() }
    }

    /// Records a death after a life of this length.
    pub fn died_after(&mut self, life: Duration) -> Pause {
        self.ran += life;
        self.deaths.push_back(self.ran);
        while self.deaths.len() > MAX_REMEMBERED
            || self.deaths.front().is_some_and(|death| *death + WINDOW < self.ran)
        {
            self.deaths.pop_front();
        }
        let deaths = self.deaths.len();
        let length = self.fixed.unwrap_or_else(|| shortened(pause_after(deaths)));
        Pause { length, deaths }
    }
}

fn pause_after(deaths: usize) -> Duration {
    let doublings = u32::try_from(deaths.saturating_sub(SUSPICIOUS_DEATHS)).unwrap_or(u32::MAX);
    match FIRST_PAUSES.get(deaths.saturating_sub(1)) {
        Some(pause) => *pause,
        None => SUSPICIOUS_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(MAX_PAUSE),
    }
}

/// Shortens a pause by a random part of up to a quarter, so that its end cannot be predicted. A doubled pause is still longer than
/// the one before.
fn shortened(pause: Duration) -> Duration {
    let mut random = [0];
    // Without randomness, the pause is a whole one.
    let _ = getrandom::fill(&mut random);
    pause.mul_f64(1.0 - f64::from(random[0]) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_with_deaths_in_a_short_time_and_differ() {
        let mut schedule = RestartSchedule::default();
        let pauses: Vec<_> = (0..12).map(|_| schedule.died_after(2 * SECOND)).collect();
        let whole = [1, 5, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800, 1800];
        for (index, (pause, whole)) in pauses.iter().zip(whole).enumerate() {
            assert_eq!(pause.deaths, index + 1);
            let whole = whole * SECOND;
            assert!(pause.length <= whole && pause.length >= whole.mul_f64(0.75), "{pause:?} of {whole:?}");
        }
        assert!(pauses.windows(2).take(7).all(|pair| pair[0].length < pair[1].length), "{pauses:?}");
        let last: std::collections::HashSet<_> = pauses[7..].iter().map(|pause| pause.length).collect();
        assert!(last.len() > 1, "the end of a pause can be predicted");
    }

    #[test]
    fn a_long_life_makes_the_next_death_the_first_again() {
        let mut schedule = RestartSchedule::default();
        for _ in 0..40 {
            schedule.died_after(SECOND);
        }
        assert_eq!(schedule.deaths.len(), MAX_REMEMBERED);
        assert_eq!(schedule.died_after(WINDOW + SECOND).deaths, 1);
        assert_eq!(schedule.died_after(WINDOW / 2).deaths, 2);
        assert_eq!(schedule.died_after(WINDOW / 2 + SECOND).deaths, 2);
    }
}

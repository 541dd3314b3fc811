//! Disturbs the proxy while it works: its router is killed and restarted, its configuration changes, it takes new identities.

use std::{convert::Infallible, fmt, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{network::Network, signals::signal};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{event_log::EventLog, work::RouterState};

/// How long the router stays down.
const DOWNTIME: Duration = Duration::from_secs(15);
/// Every fourth reload has an invalid configuration.
const INVALID_EVERY: u32 = 4;
/// What the proxy logs about a reload.
const IN_FORCE: &str = "the new configuration is in effect";
const REFUSED: &str = "the new configuration was refused";

/// One kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    /// The proxy's router is killed and started again.
    Router,
    /// SIGHUP, each time with another configuration.
    Reload,
    /// SIGUSR1. The sessions of open streams stay beside the new ones. There may be eight in all.
    NewIdentities,
}

impl Disturbance {
    const ALL: [Self; 3] = [Self::Router, Self::Reload, Self::NewIdentities];

    /// The time between two of them.
    fn period(self) -> Duration {
        Duration::from_secs(match self {
            Self::Router => 7 * 60,
            Self::Reload => 3 * 60,
            Self::NewIdentities => 10 * 60 + 30,
        })
    }

    /// How long before the end of the load it stops, so that the proxy has recovered before the quiet minute.
    fn stops_before_end(self) -> Duration {
        match self {
            Self::Router | Self::NewIdentities => Duration::from_secs(120),
            Self::Reload => Duration::ZERO,
        }
    }
}

/// When each kind comes next, in time of load.
struct Plan([(Duration, Disturbance); 3]);

impl Plan {
    fn new() -> Self {
        Self(Disturbance::ALL.map(|what| (what.period(), what)))
    }

    /// Returns the next disturbance before `end` and its time, and schedules the one after it.
    fn take(&mut self, end: Duration) -> Option<(Duration, Disturbance)> {
        let pending = self.0.iter_mut().filter(|(at, what)| *at + what.stops_before_end() < end);
        let next = pending.min_by_key(|(at, _)| *at)?;
        let due = *next;
        next.0 += next.1.period();
        Some(due)
    }
}

/// The network and the file to be changed, and the counts of disturbances.
pub(super) struct Disturbances {
    network: Network,
    file: PathBuf,
    configuration: String,
    events: EventLog,
    plan: Plan,
    restarts: u32,
    /// How often the router has exited by itself.
    crashes: u32,
    reloads: u32,
    identities: u32,
}

impl Disturbances {
    /// The proxy reads its `configuration` from `file`.
    pub(super) fn new(network: Network, file: PathBuf, configuration: String, events: EventLog) -> Self {
        let plan = Plan::new();
        Self {
            network,
            file,
            configuration,
            events,
            plan,
            restarts: 0,
            crashes: 0,
            reloads: 0,
            identities: 0,
        }
    }

    /// Disturbs the proxy with this process ID during the time of load from `start` to `end`.
    pub(super) async fn run(
        &mut self,
        start: Duration,
        end: Duration,
        process_id: u32,
        router: &RouterState,
    ) -> Result<()> {
        let zero = Instant::now();
        while let Some((at, what)) = self.plan.take(end) {
            self.wait_until(zero + at.saturating_sub(start), router).await?;
            match what {
                Disturbance::Router => {
                    self.restarts += 1;
                    self.events.print("the router is killed");
                    router.set_down();
                    self.network.kill_client_router().await?;
                    sleep(DOWNTIME).await;
                    self.network.restart_client_router().await?;
                    router.set_up();
                }
                Disturbance::Reload => self.reload(process_id).await?,
                Disturbance::NewIdentities => {
                    self.identities += 1;
                    self.events.print("new identities");
                    signal(process_id, "USR1").await?;
                }
            }
        }
        self.wait_until(zero + end.saturating_sub(start), router).await
    }

    /// Starts the router again whenever it exits by itself.
    pub(super) async fn keep_router_up(&mut self, router: &RouterState) -> Result<Infallible> {
        loop {
            let status = self.network.client_router_exited().await?;
            router.set_down();
            self.crashes += 1;
            self.events.print(format_args!("the router has exited by itself ({status})"));
            self.network.restart_client_router().await?;
            router.set_up();
        }
    }

    /// Waits, and keeps the router up meanwhile.
    async fn wait_until(&mut self, then: Instant, router: &RouterState) -> Result<()> {
        match timeout_at(then, self.keep_router_up(router)).await {
            Err(_) => Ok(()),
            Ok(failed) => failed.map(|never| match never {}),
        }
    }

    /// Reloads another configuration each time, sometimes an invalid one.
    async fn reload(&mut self, process_id: u32) -> Result<()> {
        self.reloads += 1;
        let limit = match self.reloads.is_multiple_of(INVALID_EVERY) {
            true => String::from("\"many\""),
            false => (1000 + self.reloads).to_string(),
        };
        let text = format!("{}[limits]\nper-client = {limit}\n", self.configuration);
        fs::write(&self.file, text).with_context(|| format!("could not write {}", self.file.display()))?;
        signal(process_id, "HUP").await
    }

    /// Fails unless the proxy has logged the outcome of each reload.
    pub(super) fn verdict(&self, log: &str) -> Result<()> {
        check_outcomes(log, self.reloads)
    }
}

impl fmt::Display for Disturbances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { restarts, crashes, reloads, identities, .. } = self;
        let refused = reloads / INVALID_EVERY;
        write!(f, "router killed {restarts} times, exited by itself {crashes} times; ")?;
        write!(f, "{reloads} reloads, {refused} of them refused; new identities {identities} times")
    }
}

fn check_outcomes(log: &str, reloads: u32) -> Result<()> {
    let refused = reloads / INVALID_EVERY;
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    for (words, times) in [(IN_FORCE, reloads - refused), (REFUSED, refused)] {
        ensure!(lines(words) == usize::try_from(times)?, "{} lines say {words:?}, not {times}", lines(words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_at_its_time_even_if_two_coincide() {
        let minutes = |number: u64| Duration::from_secs(number * 60);
        let mut plan = Plan::new();
        let mut first = Vec::new();
        while let Some((at, what)) = plan.take(minutes(5)) {
            first.push((at.as_secs() / 60, what));
        }
        assert_eq!(first, [(3, Disturbance::Reload)]);
        let mut later = Vec::new();
        while let Some((at, what)) = plan.take(minutes(60)) {
            later.push((at, what));
        }
        assert!(later.is_sorted_by_key(|(at, _)| *at), "{later:?}");
        let times = |wanted| {
            let of = later.iter().filter(|(_, what)| *what == wanted);
            of.map(|(at, _)| at.as_secs() / 60).collect::<Vec<_>>()
        };
        assert_eq!(times(Disturbance::Router), [7, 14, 21, 28, 35, 42, 49, 56]);
        assert_eq!(times(Disturbance::Reload), (2..20).map(|time| 3 * time).collect::<Vec<_>>());
        assert_eq!(times(Disturbance::NewIdentities), [10, 21, 31, 42, 52]);
    }

    #[test]
    fn the_router_is_not_killed_shortly_before_the_end() {
        let mut plan = Plan::new();
        let mut minutes = Vec::new();
        while let Some((at, what)) = plan.take(Duration::from_secs(15 * 60)) {
            minutes.push((what, at.as_secs() / 60));
        }
        let (router, reload) = (Disturbance::Router, Disturbance::Reload);
        let identities = (Disturbance::NewIdentities, 10);
        let expected = [(reload, 3), (reload, 6), (router, 7), (reload, 9), identities, (reload, 12)];
        assert_eq!(minutes, expected, "a router killed in minute 14 would not be up in time");
    }

    #[test]
    fn the_log_has_the_outcome_of_each_reload() {
        let log = format!("INFO {IN_FORCE} kept=1\n").repeat(4) + &format!("ERROR {REFUSED}: no number\n");
        check_outcomes(&log, 5).unwrap();
        assert_eq!(
            check_outcomes(&log, 6).unwrap_err().to_string(),
            format!("4 lines say {IN_FORCE:?}, not 5")
        );
        assert_eq!(
            check_outcomes(&log, 8).unwrap_err().to_string(),
            format!("4 lines say {IN_FORCE:?}, not 6")
        );
        let log = log.replace(REFUSED, "");
        assert_eq!(
            check_outcomes(&log, 5).unwrap_err().to_string(),
            format!("0 lines say {REFUSED:?}, not 1")
        );
    }
}

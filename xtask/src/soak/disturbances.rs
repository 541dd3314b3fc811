//! What happens to the proxy while it works: its router goes and comes back, its configuration changes, its
//! identities are thrown away.

use std::{convert::Infallible, fmt, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep, timeout_at};

use super::{diary::Diary, requests::RouterState};
use crate::interop::{i2pd::Network, proxy::signal};

/// How long the router stays away.
const AWAY: Duration = Duration::from_secs(15);
/// Every so many reloads the configuration is one that cannot be used.
const BROKEN: u32 = 4;
/// What the proxy says in its log of a reload.
const IN_FORCE: &str = "the new configuration is in force";
const REFUSED: &str = "nothing of it is in force";

/// One kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    /// The proxy's router is killed and started again.
    Router,
    /// SIGHUP, with another configuration each time.
    Reload,
    /// SIGUSR1. Sessions of streams that are open stay beside the new ones, and there may be eight in all.
    NewIdentities,
}

impl Disturbance {
    const ALL: [Self; 3] = [Self::Router, Self::Reload, Self::NewIdentities];

    /// How often it comes.
    fn period(self) -> Duration {
        Duration::from_secs(match self {
            Self::Router => 7 * 60,
            Self::Reload => 3 * 60,
            Self::NewIdentities => 10 * 60 + 30,
        })
    }

    /// How long before the clients go it comes no more, so that the quiet minute finds everything in order.
    fn last(self) -> Duration {
        match self {
            Self::Router | Self::NewIdentities => Duration::from_secs(120),
            Self::Reload => Duration::ZERO,
        }
    }
}

/// When each kind comes next, in time with clients.
struct Plan([(Duration, Disturbance); 3]);

impl Plan {
    fn new() -> Self {
        Self(Disturbance::ALL.map(|what| (what.period(), what)))
    }

    /// The next that comes before `end` is near, and when. It is put off to its next time.
    fn take(&mut self, end: Duration) -> Option<(Duration, Disturbance)> {
        let open = self.0.iter_mut().filter(|(at, what)| *at + what.last() < end);
        let next = open.min_by_key(|(at, _)| *at)?;
        let due = *next;
        next.0 += next.1.period();
        Some(due)
    }
}

/// The network and the file to be changed, and what was done.
pub(super) struct Disturbances {
    network: Network,
    file: PathBuf,
    configuration: String,
    diary: Diary,
    plan: Plan,
    restarts: u32,
    /// Ends of the router that nobody asked for.
    crashes: u32,
    reloads: u32,
    identities: u32,
}

impl Disturbances {
    /// `file`: where the proxy reads its `configuration`.
    pub(super) fn new(network: Network, file: PathBuf, configuration: String, diary: Diary) -> Self {
        let plan = Plan::new();
        Self { network, file, configuration, diary, plan, restarts: 0, crashes: 0, reloads: 0, identities: 0 }
    }

    /// Does what comes in the time with clients from `start` to `end`, to the proxy with this process number.
    pub(super) async fn go_on(
        &mut self,
        start: Duration,
        end: Duration,
        process: u32,
        router: &RouterState,
    ) -> Result<()> {
        let zero = Instant::now();
        while let Some((at, what)) = self.plan.take(end) {
            self.wait_until(zero + at.saturating_sub(start), router).await?;
            match what {
                Disturbance::Router => {
                    self.restarts += 1;
                    self.diary.tell("the router is killed");
                    router.is_away();
                    self.network.kill_client_router().await?;
                    sleep(AWAY).await;
                    self.network.restart_client_router().await?;
                    router.is_up();
                }
                Disturbance::Reload => self.reload(process).await?,
                Disturbance::NewIdentities => {
                    self.identities += 1;
                    self.diary.tell("new identities");
                    signal(process, "USR1").await?;
                }
            }
        }
        self.wait_until(zero + end.saturating_sub(start), router).await
    }

    /// Starts the router again whenever it ends by itself.
    pub(super) async fn keep_router(&mut self, router: &RouterState) -> Result<Infallible> {
        loop {
            let status = self.network.client_router_ends().await?;
            router.is_away();
            self.crashes += 1;
            self.diary.tell(format_args!("the router has ended by itself ({status})"));
            self.network.restart_client_router().await?;
            router.is_up();
        }
    }

    /// Waits, and keeps the router meanwhile.
    async fn wait_until(&mut self, then: Instant, router: &RouterState) -> Result<()> {
        match timeout_at(then, self.keep_router(router)).await {
            Err(_) => Ok(()),
            Ok(broken) => broken.map(|never| match never {}),
        }
    }

    /// Another configuration each time, and sometimes one that must be refused.
    async fn reload(&mut self, process: u32) -> Result<()> {
        self.reloads += 1;
        let limit = match self.reloads.is_multiple_of(BROKEN) {
            true => String::from("\"many\""),
            false => (1000 + self.reloads).to_string(),
        };
        let text = format!("{}[limits]\nper-client = {limit}\n", self.configuration);
        fs::write(&self.file, text).with_context(|| format!("could not write {}", self.file.display()))?;
        signal(process, "HUP").await
    }

    /// Fails when the proxy's log does not say of each reload what came of it.
    pub(super) fn verdict(&self, log: &str) -> Result<()> {
        all_told(log, self.reloads)
    }
}

impl fmt::Display for Disturbances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { restarts, crashes, reloads, identities, .. } = self;
        let refused = reloads / BROKEN;
        write!(f, "router killed {restarts} times, ended by itself {crashes} times; ")?;
        write!(f, "{reloads} reloads, {refused} of them refused; {identities} times new identities")
    }
}

fn all_told(log: &str, reloads: u32) -> Result<()> {
    let refused = reloads / BROKEN;
    let said = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    for (words, times) in [(IN_FORCE, reloads - refused), (REFUSED, refused)] {
        ensure!(said(words) == usize::try_from(times)?, "{} lines say {words:?}, not {times}", said(words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_when_it_is_its_time_and_two_at_the_same_time_both_come() {
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
    fn the_router_is_left_alone_before_the_end() {
        let mut plan = Plan::new();
        let mut minutes = Vec::new();
        while let Some((at, what)) = plan.take(Duration::from_secs(15 * 60)) {
            minutes.push((what, at.as_secs() / 60));
        }
        let (router, reload) = (Disturbance::Router, Disturbance::Reload);
        let identities = (Disturbance::NewIdentities, 10);
        let expected = [(reload, 3), (reload, 6), (router, 7), (reload, 9), identities, (reload, 12)];
        assert_eq!(minutes, expected, "a router killed in minute 14 would not be back in time");
    }

    #[test]
    fn the_log_says_of_each_reload_what_came_of_it() {
        let log = format!("INFO {IN_FORCE} kept=1\n").repeat(4) + &format!("ERROR {REFUSED}: no number\n");
        all_told(&log, 5).unwrap();
        assert_eq!(all_told(&log, 6).unwrap_err().to_string(), format!("4 lines say {IN_FORCE:?}, not 5"));
        assert_eq!(all_told(&log, 8).unwrap_err().to_string(), format!("4 lines say {IN_FORCE:?}, not 6"));
        let log = log.replace(REFUSED, "");
        assert_eq!(all_told(&log, 5).unwrap_err().to_string(), format!("0 lines say {REFUSED:?}, not 1"));
    }
}

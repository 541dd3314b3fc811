//! Visits the site of one network through both proxies in turns, while its routers hang.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use lab::{namespace::link::Link, router::Router};
use programs::Workspace;
use tokio::runtime::Handle;

use super::{
    kind::{Kind, Pauses, Trouble},
    outcome::{NextDial, Outcome, Session, Turn},
    visit::{Failure, Stage, Visit, visit},
};
use crate::{far_site::FarSite, first_byte::join_sides, subject::Subject};

/// How many pages are fetched through each proxy, at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pages: usize,
    /// The pages of a single client, which pauses before each.
    pages_of_one_client: usize,
    /// After this time, no further page is fetched.
    limit: Duration,
}

impl Extent {
    /// For published numbers.
    pub(crate) const FULL: Self =
        Self { pages: 500, pages_of_one_client: 100, limit: Duration::from_secs(480) };
    /// To see that everything works.
    pub(crate) const SHORT: Self =
        Self { pages: 40, pages_of_one_client: 10, limit: Duration::from_secs(60) };

    fn pages(self, kind: &Kind) -> usize {
        if kind.clients == 1 { self.pages_of_one_client } else { self.pages }
    }
}

/// How often to look whether the measurement has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Forms the network and visits its site. Blocks, and needs a runtime.
pub(crate) fn measure(workspace: &Workspace, lab: &Path, kind: &Kind, extent: Extent) -> Result<Outcome> {
    let (second, link) = join_sides(kind.shape, kind.conditions)?;
    fs::create_dir_all(lab)?;
    let program = workspace.proxy();
    let site = Handle::current().block_on(FarSite::start(&program, lab, &second, kind.shape))?;
    let network = Network { site: &site, link: &link, kind, extent };
    let outcome = network.visit_under_trouble()?;
    println!("{}: the link has lost {:.2} % of the packets", kind.name, link.lost_percent());
    Ok(outcome)
}

/// A network that is measured.
struct Network<'a> {
    site: &'a FarSite,
    link: &'a Link,
    kind: &'a Kind,
    extent: Extent,
}

impl Network<'_> {
    /// Visits the site while the routers have their trouble.
    fn visit_under_trouble(&self) -> Result<Outcome> {
        let has_ended = AtomicBool::new(false);
        let runtime = Handle::current();
        thread::scope(|scope| {
            let trouble = scope.spawn(|| {
                let _entered = runtime.enter();
                self.make_trouble(&runtime, &has_ended)
            });
            let outcome = self.visit_as_all_clients();
            has_ended.store(true, Ordering::Relaxed);
            trouble.join().map_err(|_| anyhow!("the trouble panicked"))??;
            outcome
        })
    }

    fn visit_as_all_clients(&self) -> Result<Outcome> {
        let turn = AtomicUsize::new(0);
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..self.kind.clients).map(|_| scope.spawn(|| self.visit_as_client(&turn))).collect();
            let mut all = Outcome::default();
            for client in clients {
                all.add(client.join().map_err(|_| anyhow!("a client panicked"))?);
            }
            Ok(all)
        })
    }

    /// Takes one turn after the other until all clients together have had all of them.
    fn visit_as_client(&self, next_turn: &AtomicUsize) -> Outcome {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        while start.elapsed() < self.extent.limit {
            let turn = next_turn.fetch_add(1, Ordering::Relaxed);
            if turn >= self.extent.pages(self.kind) {
                break;
            }
            self.take_turn(turn, &mut outcome);
        }
        outcome
    }

    /// Visits one destination of the site through both proxies, which begin alternately.
    fn take_turn(&self, turn: usize, outcome: &mut Outcome) {
        let hosts = self.site.hosts();
        let Some(host) = hosts.get(turn % hosts.len().max(1)) else { return };
        // Each destination is visited first through each of the proxies as often as through the other one.
        let ours_first = (turn / hosts.len().max(1) + turn).is_multiple_of(2);
        let (ours, theirs);
        if ours_first {
            ours = self.visit_through(Subject::Ours, host);
            theirs = self.visit_through(Subject::I2pd, host);
        } else {
            theirs = self.visit_through(Subject::I2pd, host);
            ours = self.visit_through(Subject::Ours, host);
        }
        if ours.as_ref().is_err_and(|failure| failure.stage == Stage::Dial) {
            // Alternately, so that both kinds of dials come equally long after the failure.
            let session =
                if outcome.next_dials.len().is_multiple_of(2) { Session::Same } else { Session::New };
            outcome.next_dials.push(self.dial_again(host, turn, session));
        }
        outcome.turns.push(Turn { ours, theirs });
    }

    fn visit_through(&self, subject: Subject, host: &str) -> Result<Visit, Failure> {
        if self.kind.clients == 1 {
            self.link.wait_for_silence();
        }
        let outcome = visit(self.site.proxy(subject), host, None);
        if let Err(failure) = &outcome {
            println!("{}: {}: {failure}", self.kind.name, subject.title());
        }
        outcome
    }

    /// Visits the site again after a failed dial of our proxy, on this session.
    fn dial_again(&self, host: &str, turn: usize, session: Session) -> NextDial {
        // The proxy gives each user a session.
        let user = format!("user-{turn}");
        let user = (session == Session::New).then_some(user.as_str());
        let outcome = visit(self.site.proxy(Subject::Ours), host, user);
        if let Err(failure) = &outcome {
            println!("{}: the next dial, {session:?} session: {failure}", self.kind.name);
        }
        NextDial { session, worked: outcome.is_ok() }
    }

    /// Stops routers and lets them continue until the measurement has ended.
    fn make_trouble(&self, runtime: &Handle, has_ended: &AtomicBool) -> Result<()> {
        let (floodfills, site) = self.site.far_routers(self.kind.shape);
        match self.kind.trouble {
            Trouble::None => Ok(()),
            Trouble::FloodfillIsSilent => {
                let last = floodfills.last().context("no floodfill")?;
                runtime.block_on(last.hang())
            }
            Trouble::SiteHangs(pauses) => hang_in_turn(site.as_slice(), pauses, runtime, has_ended),
            Trouble::HopsHang(pauses) => {
                hang_in_turn(&floodfills.iter().collect::<Vec<_>>(), pauses, runtime, has_ended)
            }
        }
    }
}

/// Stops one of these routers after the other until the measurement has ended.
fn hang_in_turn(
    routers: &[&Router],
    Pauses { works, hangs }: Pauses,
    runtime: &Handle,
    has_ended: &AtomicBool,
) -> Result<()> {
    for router in routers.iter().cycle() {
        if !sleep_until_ended(works, has_ended) {
            return Ok(());
        }
        runtime.block_on(router.hang())?;
        let goes_on = sleep_until_ended(hangs, has_ended);
        runtime.block_on(router.resume())?;
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

/// Sleeps for this long. Returns false if the measurement ends before.
fn sleep_until_ended(duration: Duration, has_ended: &AtomicBool) -> bool {
    let start = Instant::now();
    while start.elapsed() < duration {
        if has_ended.load(Ordering::Relaxed) {
            return false;
        }
        thread::sleep(LOOK_INTERVAL);
    }
    true
}

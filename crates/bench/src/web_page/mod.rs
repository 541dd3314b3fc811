//! `cargo xtask bench --page`: a page with objects on the far side of a link with latency, through our proxy and through i2pd's own
//! HTTP proxy on the same router, in turns.

mod browser;
mod outcome;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use lab::{
    namespace::{latency::Conditions, link::Link},
    router::version::I2pdVersion,
};
use programs::Workspace;
use tokio::runtime::Handle;

use self::{
    browser::{first_byte_through_http, first_byte_through_socks, visit},
    outcome::{Outcome, Row, Sample},
};
use crate::{
    far_site::{FarSite, Shape, connect},
    first_byte::{LATENCY, join_sides, no_tun},
    in_lab::in_lab,
    measure::Address,
    section::{OF_I2PD, Section},
    site_server::{KEEP_ALIVE, ONCE},
    subject::Subject,
};

/// The section of the page about this.
pub(crate) const SECTION: Section = Section {
    heading: "## A page with 30 objects\n",
    next_heading: "## Lossy and slow networks\n",
    explanation: include_str!("explanation.md"),
    table_heading: OF_I2PD,
};
/// How often each proxy visits the page: for published numbers, and to see that everything works.
pub(crate) const FULL: usize = 10;
pub(crate) const SHORT: usize = 3;
/// How long the streams of a visit may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(KEEP_ALIVE.as_secs() + 20);
/// How often in a turn only the page is fetched, over HTTP and over SOCKS.
const PAGES_PER_TURN: usize = 4;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// After the end of a stream, i2pd acknowledges it within 200 ms. A packet that comes then delays the next ones in its routers (Nagle's
/// algorithm), as in the measurement of the first byte.
const LAST_PACKETS: Duration = Duration::from_millis(500);

/// Visits the page, and returns and prints the table. Blocks.
pub(crate) fn measure(workspace: &Workspace, turns: usize) -> Result<String> {
    if let Some(reason) = no_tun() {
        return Err(anyhow!("the link needs TUN, which this machine does not have ({reason})"));
    }
    let outcome = in_lab(workspace, move |workspace, lab| visit_in_turns(workspace, lab, turns))?;
    let table = format!("### i2pd {}\n\n{}", I2pdVersion::of_routers()?, outcome.table());
    println!("\n{table}");
    Ok(table)
}

fn visit_in_turns(workspace: &Workspace, lab: &Path, turns: usize) -> Result<Outcome> {
    let (second, link) = join_sides(Shape::SMALL, Conditions::latency(LATENCY))?;
    let lab = lab.join("page");
    fs::create_dir_all(&lab)?;
    let program = workspace.proxy();
    let site = Handle::current().block_on(FarSite::start(&program, &lab, &second, Shape::SMALL))?;
    let visits = Visits { site: &site, link: &link };
    let mut outcome = Outcome::default();
    for turn in 0..turns {
        let mut subjects = [Subject::Ours, Subject::I2pd];
        subjects.rotate_left(turn % 2);
        for subject in subjects {
            visits.visit_all(subject, &mut outcome).with_context(|| subject.title())?;
        }
        println!("turn {} of {turns}\n{}", turn + 1, outcome.table());
    }
    ensure!(link.dropped_packets() == 0, "the link has dropped {} packets", link.dropped_packets());
    Ok(outcome)
}

/// What is visited.
struct Visits<'a> {
    site: &'a FarSite,
    link: &'a Link,
}

impl Visits<'_> {
    /// Visits the page in each way through one proxy.
    fn visit_all(&self, subject: Subject, outcome: &mut Outcome) -> Result<()> {
        let proxy = self.site.http_proxy(subject);
        self.wait_until_idle()?;
        outcome.record(Row::First, subject, self.visit(proxy, "")?);
        self.link.wait_for_silence();
        outcome.record(Row::Again, subject, self.visit(proxy, "")?);
        self.wait_until_idle()?;
        outcome.record(Row::Once, subject, self.visit(proxy, ONCE)?);
        for page in 0..PAGES_PER_TURN {
            let mut rows = [Row::Http, Row::Socks];
            rows.rotate_left(page % 2);
            for row in rows {
                self.wait_until_idle()?;
                let first_byte = self.fetch(row, subject)?;
                outcome.record(row, subject, Sample { first_byte, whole: None, streams: 1 });
            }
        }
        Ok(())
    }

    /// Fetches only the page, on a stream that ends with it.
    fn fetch(&self, row: Row, subject: Subject) -> Result<Duration> {
        let (proxy, host) = (self.site.proxy(subject), self.host());
        match row {
            Row::Socks => first_byte_through_socks(|| connect(proxy, host, None)),
            _ => first_byte_through_http(self.site.http_proxy(subject), host, ONCE),
        }
    }

    fn visit(&self, proxy: SocketAddr, folder: &str) -> Result<Sample> {
        let before = self.site.streams().opened();
        let visit = visit(proxy, self.host(), folder)?;
        // Whatever a proxy does, a request and its response cross the link once each.
        ensure!(visit.first_byte >= LATENCY * 2, "a page came in {:?}", visit.first_byte);
        let streams = self.site.streams().opened() - before;
        Ok(Sample { first_byte: visit.first_byte, whole: Some(visit.whole), streams })
    }

    fn host(&self) -> &str {
        self.site.host(Address::Name)
    }

    /// Waits until the site has closed all streams, and the link is silent.
    fn wait_until_idle(&self) -> Result<()> {
        let start = Instant::now();
        while self.site.streams().open() > 0 {
            ensure!(start.elapsed() < END_TIMEOUT, "{} streams stay open", self.site.streams().open());
            thread::sleep(LOOK_INTERVAL);
        }
        thread::sleep(LAST_PACKETS);
        self.link.wait_for_silence();
        Ok(())
    }
}

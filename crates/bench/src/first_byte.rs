//! Measures the time to the first byte of a response on a link with latency, through our proxy and through i2pd's own SOCKS port.
//!
//! Both proxies have one tunnel each way, without hops. So the difference between them is what each adds to the round trips.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lab::namespace::{self, latency::Conditions, link::Link, second::SecondNamespace};
use programs::Workspace;
use tokio::runtime::Handle;

use crate::{
    far_site::{FarSite, Shape, fetch},
    measure::{Address, Measure, Results},
    plan::Plan,
    running,
    subject::Subject,
};

/// How long a packet takes over the link, each way.
pub(crate) const LATENCY: Duration = Duration::from_millis(50);

/// Whether there was a link with latency.
pub(crate) enum LinkCheck {
    /// There was: the round trip over it, before and after the measurement.
    RoundTrips([Duration; 2]),
    /// The machine has no TUN devices, for this reason.
    NoTun(String),
}

/// Makes the link, starts the network and fetches pages through both proxies in turns. Measures nothing on a machine without TUN.
/// Blocks, and needs a runtime.
pub(crate) fn measure(
    workspace: &Workspace,
    lab: &Path,
    plan: &Plan,
    results: &mut Results,
) -> Result<LinkCheck> {
    if let Some(reason) = no_tun() {
        return Ok(LinkCheck::NoTun(reason));
    }
    let (second, link) = join_sides(Shape::SMALL, Conditions::latency(LATENCY))?;
    let before = link.round_trip()?;
    let lab = lab.join("latency");
    fs::create_dir_all(&lab)?;
    let program = running::program(Subject::Ours, workspace)?;
    let site = Handle::current().block_on(FarSite::start(&program, &lab, &second, Shape::SMALL))?;
    fetch_in_turns(&link, &site, plan, results)?;
    let after = link.round_trip()?;
    ensure!(link.dropped_packets() == 0, "the link has dropped {} packets", link.dropped_packets());
    Ok(LinkCheck::RoundTrips([before, after]))
}

/// The device that makes TUN devices.
const TUN: &str = "/dev/net/tun";

/// Returns why no link can be made on this machine, if so.
pub(crate) fn no_tun() -> Option<String> {
    let error = File::options().read(true).write(true).open(TUN).err()?;
    Some(format!("{TUN}: {error}"))
}

/// Gives both sides of a link their addresses and joins them.
pub(crate) fn join_sides(shape: Shape, conditions: Conditions) -> Result<(Arc<SecondNamespace>, Link)> {
    let second = Arc::new(SecondNamespace::new()?);
    let far = shape.far_addresses();
    namespace::set_up(&shape.near_addresses())?;
    second.run(|| namespace::set_up(&far))?;
    let link = Link::new(&second, &Shape::client_address(), &far, conditions)?;
    Ok((second, link))
}

/// Fetches pages through both proxies in turns, which they begin alternately. Each page has the link for itself: otherwise packets
/// of the page before delay it in i2pd's routers (Nagle's algorithm) by up to two round trips.
fn fetch_in_turns(link: &Link, site: &FarSite, plan: &Plan, results: &mut Results) -> Result<()> {
    for address in Address::ALL {
        for turn in 0..plan.fetches {
            let mut subjects = [Subject::Ours, Subject::I2pd];
            subjects.rotate_left(turn % 2);
            for subject in subjects {
                link.wait_for_silence();
                let time = fetch(site.proxy(subject), site.host(address))
                    .with_context(|| format!("{}, {address}", subject.title()))?;
                // Whatever a proxy does, the request and the response cross the link once each.
                ensure!(time >= LATENCY * 2, "a page came in {time:?} over a link of {LATENCY:?} each way");
                results.record(Measure::FirstByte(address), subject, time.as_secs_f64() * 1e3)?;
            }
        }
    }
    Ok(())
}

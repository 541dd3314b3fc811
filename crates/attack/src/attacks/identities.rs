//! What one identity must not learn of another.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use sam_testkit::{Endpoint, TestBridge};
use tokio::time::{Instant, sleep};

use crate::{
    client::{CONNECT, Client},
    proxy::Proxy,
    target::Target,
    wait::{SHORTLY, until},
};

/// How many clients with an identity each.
const IDENTITIES: u8 = 6;

fn lookups(bridge: &TestBridge, name: &str) -> usize {
    let line = format!("NAMING LOOKUP NAME={name}");
    bridge.commands().iter().filter(|command| command.starts_with(&line)).count()
}

/// A client asks for names, to tell by the time that the answer takes whether another client has asked for them before. If each
/// identity asks the router by itself, there is nothing to tell.
pub(super) async fn cache_probe(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let proxy = Proxy::start(target, &bridge, "").await?;
    let (anna, eve) = (Client::local().named("anna"), Client::local().named("eve"));
    for name in ["known.i2p", "nobodyknows.i2p"] {
        anna.ask(proxy.address(), CONNECT, name, 80).await?;
        let of_anna = lookups(&bridge, name);
        ensure!(of_anna > 0, "the router was not asked for {name}");
        anna.ask(proxy.address(), CONNECT, name, 80).await?;
        ensure!(lookups(&bridge, name) == of_anna, "an identity does not remember its own lookup of {name}");
        eve.ask(proxy.address(), CONNECT, name, 80).await?;
        ensure!(
            lookups(&bridge, name) > of_anna,
            "the lookup of {name} was answered from another identity's"
        );
    }
    Ok("each identity asked the router by itself".into())
}

/// A jump service looks at who asks it for names that no other source has.
pub(super) async fn jump_identity(target: &Target) -> Result<String> {
    let bridge = TestBridge::start().await;
    let jump = bridge.host("jump.i2p", Endpoint::Http("nothing".into()));
    let proxy = Proxy::start(target, &bridge, "[names]\njump = [\"http://jump.i2p/?a=\"]\n").await?;
    for name in ["anna", "eve"] {
        let client = Client::local().named(name);
        client.ask(proxy.address(), CONNECT, &format!("only{name}knows.i2p"), 80).await?;
    }
    let asked = || bridge.streams().into_iter().filter(|stream| stream.to == jump || stream.to == "jump.i2p");
    until("both have asked", SHORTLY, || asked().count() >= 2).await?;
    let askers: BTreeSet<_> = asked().map(|stream| stream.from).collect();
    ensure!(askers.len() == 2, "two identities asked from {} destinations", askers.len());
    Ok("two identities asked from two destinations".into())
}

/// The bridge goes away and comes back, and watches which sessions are created at the same time.
pub(super) async fn rebuilt_together(target: &Target) -> Result<String> {
    let mut bridge = TestBridge::start().await;
    let proxy = Proxy::start(target, &bridge, "").await?;
    for number in 0..IDENTITIES {
        Client::local().named(format!("identity{number}")).is_served(proxy.address()).await?;
    }
    let created = |bridge: &TestBridge| {
        bridge.commands().iter().filter(|line| line.starts_with("SESSION CREATE")).count()
    };
    let before = created(&bridge);
    bridge.restart().await;
    let begin = Instant::now();
    // One client waits, so its session comes back at once.
    let waiting = Client::local().named("identity0").is_served(proxy.address()).await?;
    ensure!(waiting < Duration::from_secs(10), "a client that waits was served after {waiting:?}");
    let (mut times, mut seen) = (Vec::new(), 0);
    while begin.elapsed() < Duration::from_secs(4) {
        let now = created(&bridge) - before;
        times.extend((seen..now).map(|_| begin.elapsed()));
        seen = now;
        sleep(Duration::from_millis(5)).await;
    }
    let pauses = times
        .iter()
        .zip(times.iter().skip(1))
        .map(|(earlier, later): (&Duration, &Duration)| *later - *earlier);
    let close = pauses.filter(|pause| *pause < Duration::from_millis(30)).count();
    // The sessions of six identities within a moment say that they are one proxy's.
    ensure!(seen <= 3 && close < 2, "{seen} of {IDENTITIES} sessions came back within 4 s: {times:?}");
    Ok(format!(
        "{seen} of {IDENTITIES} sessions came back within 4 s; who waited was served after {waiting:.1?}"
    ))
}

//! A session that is built again when it is lost.

use std::time::Duration;

use i2p_sam::{BackOff, Bridge, Error, Identity, SessionState, Supervised};

use crate::{
    pair::{Bridges, TUNNEL_TIMEOUT},
    relay::CuttableRelay,
    report::{CheckFailure, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::within,
};

/// How long until a closed connection must be noticed.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn check(bridges: &Bridges<'_>, report: &ConformanceReport) {
    report.check("the loss of a supervised session is noticed, and it is built again", lost(bridges)).await;
}

async fn lost(bridges: &Bridges<'_>) -> CheckResult {
    let relay = CuttableRelay::to(bridges.peer.near.address()).await?;
    let bridge = Bridge::new(relay.address());
    let supervised =
        Supervised::start(bridge.clone(), bridges.unpublished(), Identity::New, BackOff::default());
    let first = within(TUNNEL_TIMEOUT, "a supervised session", supervised.session()).await?;
    ensure(supervised.current().is_some(), || "promised: a current session; there is none".into())?;
    relay.cut();
    within(NOTICE_TIMEOUT, "the session is known to be lost", first.lost()).await?;
    let lookup = first.lookup(&"lost.i2p".parse().promised("a host name")?).await;
    ensure(matches!(lookup, Err(Error::SessionLost)), || format!("promised: SessionLost; {lookup:?}"))?;
    let second = within(TUNNEL_TIMEOUT, "another session", supervised.session()).await?;
    let state = supervised.state();
    let is_ready = matches!(&*state.borrow(), SessionState::Ready(_));
    ensure(is_ready, || "promised: the state Ready; it is another".into())?;
    ensure(second.destination() != first.destination(), || "promised: other keys; they are the same".into())?;
    let capabilities = bridge.capabilities().await.promised("what the bridge can do, learned again")?;
    if capabilities != bridges.capabilities {
        return Err(CheckFailure::new(format!("promised: the same bridge; it is: {capabilities}")));
    }
    holds("")
}

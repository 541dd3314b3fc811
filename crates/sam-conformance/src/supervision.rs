//! A session that is built again when it is lost.

use std::time::Duration;

use i2p_sam::{BackOff, Bridge, Error, Identity, SessionState, Supervised};

use crate::{
    lab::{Bridges, TUNNELS},
    relay::Relay,
    report::{Failure, Outcome, Promised, Report, ensure, holds},
    retry::within,
};

/// For a connection that was closed to be noticed.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn check(bridges: &Bridges<'_>, report: &Report) {
    report.check("a supervised session that is lost is noticed and built again", lost(bridges)).await;
}

async fn lost(bridges: &Bridges<'_>) -> Outcome {
    let relay = Relay::to(bridges.peer.near.address()).await?;
    let bridge = Bridge::new(relay.address());
    let supervised =
        Supervised::start(bridge.clone(), bridges.unpublished(), Identity::New, BackOff::default());
    let first = within(TUNNELS, "a supervised session", supervised.session()).await?;
    ensure(supervised.current().is_some(), || "promised: the current session; there is none".into())?;
    relay.cut();
    within(SOON, "the session is known to be lost", first.lost()).await?;
    let lookup = first.lookup(&"lost.i2p".parse().promised("a host name")?).await;
    ensure(matches!(lookup, Err(Error::SessionLost)), || format!("promised: SessionLost; {lookup:?}"))?;
    let second = within(TUNNELS, "another session", supervised.session()).await?;
    let state = supervised.state();
    let is_ready = matches!(&*state.borrow(), SessionState::Ready(_));
    ensure(is_ready, || "promised: Ready; it says otherwise".into())?;
    ensure(second.destination() != first.destination(), || "promised: other keys; they are the same".into())?;
    let capabilities = bridge.capabilities().await.promised("what the bridge can do, learned again")?;
    if capabilities != bridges.capabilities {
        return Err(Failure::new(format!("promised: the same bridge; it is: {capabilities}")));
    }
    holds("")
}

//! The two bridges, and two sessions between which a stream works.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{Bridge, Capabilities, Session, SessionOptions};

use crate::{
    KnownHost, Peer,
    expected::Expected,
    report::{CheckFailure, ConformanceReport, Promised, ensure, holds},
    retry::until_each,
    service::{EchoService, FIRST_STREAM_DIVISOR, visit},
};

/// How many STREAM ACCEPTs wait at once: more than the streams that are open at once, since a router keeps no stream for which
/// no acceptor waits.
const MAX_WAITING_ACCEPTS: usize = 16;
/// How many sessions are tried until one is found by the network.
const MAX_SESSION_ATTEMPTS: usize = 4;

/// Two bridges that have answered.
pub(crate) struct Bridges<'p> {
    pub(crate) peer: &'p Peer,
    /// What the near bridge can do. The far bridge can do the same.
    pub(crate) capabilities: Capabilities,
    pub(crate) expected: Expected,
}

impl<'p> Bridges<'p> {
    /// Asks both bridges. `None` when one does not answer or they differ.
    pub(crate) async fn ask(peer: &'p Peer, report: &ConformanceReport) -> Option<Self> {
        let (mut near, mut far) = (None, None);
        report
            .check("the bridges answer and report what they can do", async {
                let (a, b) = tokio::join!(peer.near.capabilities(), peer.far.capabilities());
                let (a, b) =
                    (a.promised("an answer of the near bridge")?, b.promised("an answer of the far bridge")?);
                (near, far) = (Some(a), Some(b));
                ensure(a == b, || format!("promised: two bridges of one kind; near: {a}, far: {b}"))?;
                let expected = peer.capabilities.as_deref();
                ensure(expected.is_none_or(|expected| expected == a.to_string()), || {
                    format!("promised: {}; it is: {a}", expected.unwrap_or_default())
                })?;
                holds(a.to_string())
            })
            .await;
        let capabilities = near.filter(|near| Some(*near) == far)?;
        Some(Self { peer, capabilities, expected: Expected::of(capabilities) })
    }

    /// Options of a session that others connect to.
    pub(crate) fn published(&self) -> SessionOptions {
        SessionOptions::default().length(self.peer.hops).quantity(self.peer.tunnels).publish(true)
    }

    /// Options of a session that connects.
    pub(crate) fn unpublished(&self) -> SessionOptions {
        self.published().publish(false)
    }

    pub(crate) fn patience(&self) -> Duration {
        self.peer.patience
    }
}

/// How long to wait for the tunnels of a session: i2pd checks them every 20 s, and up to 60 s were seen. Another attempt begins anew.
pub(crate) const TUNNEL_TIMEOUT: Duration = Duration::from_secs(150);

/// Opens a session. Tries again when it is refused, since a router that has just started refuses sessions.
pub(crate) async fn open(
    bridge: &Bridge,
    options: &SessionOptions,
    patience: Duration,
) -> Result<Session, CheckFailure> {
    let create = async || bridge.create_session(options).await.promised("a session");
    until_each(patience, TUNNEL_TIMEOUT, create).await.map(|tried| tried.value)
}

/// Makes attempts that need a session which the network finds. Each attempt opens a new one, since i2pd 2.45 never publishes
/// some. If all fail, returns the failure of the last.
pub(crate) async fn with_sessions<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, CheckFailure>,
) -> Result<T, CheckFailure> {
    let mut why = CheckFailure::new("no session was tried");
    for number in 1..=MAX_SESSION_ATTEMPTS {
        match Box::pin(attempt()).await {
            Ok(value) => return Ok(value),
            Err(failure) => {
                why = CheckFailure::new(format!("session {number} of {MAX_SESSION_ATTEMPTS}: {failure}"));
            }
        }
    }
    Err(why)
}

/// Two sessions between which a stream works: the near one connects, the far one is an echo.
pub(crate) struct SessionPair<'b> {
    pub(crate) bridges: &'b Bridges<'b>,
    pub(crate) near: Session,
    pub(crate) far: Session,
    pub(crate) service: EchoService,
    /// A name of [`SessionPair::far`], or of a running echo.
    pub(crate) host: Option<&'b KnownHost>,
}

impl<'b> SessionPair<'b> {
    pub(crate) async fn open(bridges: &'b Bridges<'b>, report: &ConformanceReport) -> Option<Self> {
        let mut found_pair = None;
        report
            .check("two sessions are opened, and a stream connects them", async {
                let (found, seen) = Self::find(bridges).await?;
                found_pair = Some(found);
                holds(seen)
            })
            .await;
        found_pair
    }

    async fn find(bridges: &'b Bridges<'b>) -> Result<(Self, String), CheckFailure> {
        let Peer { near, far, hosts, .. } = bridges.peer;
        let patience = bridges.patience();
        let (mut near_session, mut hosts_left) = (None, hosts.iter());
        with_sessions(async || {
            let host = hosts_left.next();
            let keys = host.and_then(|host| host.keys.clone());
            let options = keys.into_iter().fold(bridges.published(), SessionOptions::private_key);
            let near = async {
                match &near_session {
                    Some(session) => Ok(Session::clone(session)),
                    None => open(near, &bridges.unpublished(), patience).await,
                }
            };
            let (far, near) = tokio::try_join!(open(far, &options, patience), near)?;
            near_session = Some(near.clone());
            let service = EchoService::accepting(&far, MAX_WAITING_ACCEPTS);
            let to = I2pName::Destination(Box::new(far.destination().clone()));
            let visit = async || visit(&near, &to, 0).await.map(drop);
            let seen = until_each(patience, patience / FIRST_STREAM_DIVISOR, visit).await?.seen();
            // An echo without keys runs already and needs no session.
            let host = host.or_else(|| hosts.iter().find(|host| host.keys.is_none()));
            Ok((Self { bridges, near, far, service, host }, seen))
        })
        .await
    }

    /// The far session's destination as a name.
    pub(crate) fn far_destination(&self) -> I2pName {
        I2pName::Destination(Box::new(self.far.destination().clone()))
    }
}

//! The bridges, and two sessions that have found each other.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{Bridge, Capabilities, Session, SessionOptions};

use crate::{
    Host, Peer,
    expected::Expected,
    report::{Failure, Promised, Report, ensure, holds},
    retry::until_each,
    service::{FIRST, Service, visit},
};

/// STREAM ACCEPTs that wait at once: more than there are streams at once. A router keeps no stream for later that nobody
/// waits for.
const ACCEPTS: usize = 16;
/// Sessions that are tried before they count as not to be found.
const SESSIONS: usize = 4;

/// Two bridges that answer.
pub(crate) struct Bridges<'p> {
    pub(crate) peer: &'p Peer,
    /// What the near one can do. The far one can do the same.
    pub(crate) capabilities: Capabilities,
    pub(crate) expected: Expected,
}

impl<'p> Bridges<'p> {
    /// Asks both; `None` where there is nothing to go on with.
    pub(crate) async fn ask(peer: &'p Peer, report: &Report) -> Option<Self> {
        let (mut near, mut far) = (None, None);
        report
            .check("the bridges answer and tell what they can do", async {
                let (a, b) = tokio::join!(peer.near.capabilities(), peer.far.capabilities());
                let (a, b) = (a.promised("a near bridge")?, b.promised("a far bridge")?);
                (near, far) = (Some(a), Some(b));
                ensure(a == b, || format!("two bridges of one kind; near: {a}, far: {b}"))?;
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

/// For the tunnels of a session: i2pd looks every 20 s whether they are there.
pub(crate) const TUNNELS: Duration = Duration::from_secs(90);

/// Opens a session; again where it is refused: routers that have just started do.
pub(crate) async fn open(
    bridge: &Bridge,
    options: &SessionOptions,
    patience: Duration,
) -> Result<Session, Failure> {
    let create = async || bridge.create_session(options).await.promised("a session");
    until_each(patience, TUNNELS, create).await.map(|tried| tried.value)
}

/// Does what needs a session that can be found, again with a new one where it fails: i2pd 2.45 fails to publish some, for
/// good. The failure is the last one's.
pub(crate) async fn with_sessions<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut why = Failure::new("no session was tried");
    for number in 1..=SESSIONS {
        match Box::pin(attempt()).await {
            Ok(value) => return Ok(value),
            Err(failure) => why = Failure::new(format!("session {number} of {SESSIONS}: {failure}")),
        }
    }
    Err(why)
}

/// Two sessions that have found each other: the near one connects, the far one is an echo.
pub(crate) struct Lab<'b> {
    pub(crate) bridges: &'b Bridges<'b>,
    pub(crate) near: Session,
    pub(crate) far: Session,
    pub(crate) service: Service,
    /// A name of [`Lab::far`], or of an echo that is there anyway.
    pub(crate) host: Option<&'b Host>,
}

impl<'b> Lab<'b> {
    pub(crate) async fn open(bridges: &'b Bridges<'b>, report: &Report) -> Option<Self> {
        let mut lab = None;
        report
            .check("two sessions are opened, and a stream goes from one to the other", async {
                let (found, seen) = Self::find(bridges).await?;
                lab = Some(found);
                holds(seen)
            })
            .await;
        lab
    }

    async fn find(bridges: &'b Bridges<'b>) -> Result<(Self, String), Failure> {
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
            let service = Service::accepting(&far, ACCEPTS);
            let to = I2pName::Destination(Box::new(far.destination().clone()));
            let visit = async || visit(&near, &to, 0).await.map(drop);
            let seen = until_each(patience, patience / FIRST, visit).await?.seen();
            // An echo without keys is there whatever session it is.
            let host = host.or_else(|| hosts.iter().find(|host| host.keys.is_none()));
            Ok((Self { bridges, near, far, service, host }, seen))
        })
        .await
    }

    /// The far session by its keys.
    pub(crate) fn far_by_keys(&self) -> I2pName {
        I2pName::Destination(Box::new(self.far.destination().clone()))
    }
}

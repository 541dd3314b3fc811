use std::time::Duration;

use i2p_name::{Destination, I2pName};
use i2p_sam::{SamStream, Session, wire::Dialect};
use tokio::time::{Instant, timeout};

use super::{
    attempt_error::AttemptError,
    datagrams::DatagramPool,
    names::SessionIdentity,
    pool::{SessionDeadlines, SessionLease, SessionPool},
};
use crate::{client::IsolationKey, failure::Failure, limits::SessionLimits, names::Resolver};

/// The longest time until a destination's refusal arrives. It takes one round trip, and Java I2P repeats a lost packet after 9 s. Java
/// I2P also reports "Connection reset" when it gives up, after 60 s in which nothing has answered.
const LONGEST_REFUSAL: Duration = Duration::from_secs(20);

/// How long the router may take to say what it is.
const ROUTER_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Dials over SAM, on the sessions of a pool.
#[derive(Debug, Clone)]
pub struct SamDialler {
    pool: SessionPool,
    limits: SessionLimits,
    pub(super) resolver: Resolver,
    pub(super) datagrams: Option<DatagramPool>,
}

impl SamDialler {
    /// Creates a dialler on the sessions of `pool`, without datagrams and with a resolver that asks only the router.
    #[must_use]
    pub fn new(pool: SessionPool) -> Self {
        Self { pool, limits: SessionLimits::default(), resolver: Resolver::default(), datagrams: None }
    }

    /// Sets the resolver. Diallers can share one.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Sets the pool of sessions for datagrams. Without one, [`Dial::associate`](crate::Dial::associate) fails.
    #[must_use]
    pub fn with_datagrams(self, pool: DatagramPool) -> Self {
        Self { datagrams: Some(pool), ..self }
    }

    /// Sets how long requests wait for a session.
    #[must_use]
    pub fn with_limits(self, limits: SessionLimits) -> Self {
        Self { limits, ..self }
    }
}

impl SamDialler {
    /// The deadlines of a request that begins now.
    pub(super) fn deadlines(&self) -> SessionDeadlines {
        let now = Instant::now();
        SessionDeadlines { router: now + self.limits.router, tunnels: now + self.limits.tunnels }
    }

    /// Leases the session of a key. A client that has opened many sessions waits for its turn.
    async fn lease(&self, key: &IsolationKey, deadlines: SessionDeadlines) -> Result<SessionLease, Failure> {
        loop {
            match self.pool.lease(key) {
                Ok(lease) => return Ok(lease),
                Err(none) => none.wait(deadlines.router).await?,
            }
        }
    }

    /// The session of a key, if it can be used now. If there is none, it begins to be built.
    pub(super) fn current_session(&self, key: &IsolationKey) -> Option<Session> {
        self.pool.lease(key).ok()?.current()
    }

    /// Replaces the sessions of these keys.
    pub(super) fn renew_sessions(&self, is_renewed: &dyn Fn(&IsolationKey) -> bool) -> usize {
        self.pool.renew_if(is_renewed)
    }

    /// Asks the router what it is, for people.
    pub(super) async fn describe_router(&self) -> Option<String> {
        let bridge = self.pool.bridge();
        let asked = timeout(ROUTER_ANSWER_TIMEOUT, bridge.probe()).await;
        let router = asked.ok()?.ok()?;
        let kind = match router.dialect() {
            Dialect::I2pd => "i2pd",
            Dialect::Emissary => "emissary",
            _ => "Java I2P, or another router",
        };
        Some(format!("{kind} (SAM {})", router.version()))
    }

    /// Waits for the session of a key.
    pub(super) async fn identity(
        &self,
        key: &IsolationKey,
    ) -> Result<(SessionLease, SessionIdentity), Failure> {
        let deadlines = self.deadlines();
        let lease = self.lease(key, deadlines).await?;
        let session = lease.session_within(deadlines).await?;
        let identity = SessionIdentity::of(&lease, session);
        Ok((lease, identity))
    }

    /// Returns the full destination of a name, which the router looks up for the session of a key: emissary looks names up for sessions
    /// only. Waits for the session.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn destination_of(&self, key: &IsolationKey, name: &I2pName) -> Result<Destination, Failure> {
        // The lease keeps the session open.
        let (_lease, identity) = self.identity(key).await?;
        self.resolver.destination(&identity, name).await
    }

    /// Runs `work` on the session of a key. Runs it again on a new session if the session was lost or the router forgot it:
    /// nothing has been sent on the stream by then.
    pub(super) async fn with_session<T, F: Future<Output = Result<T, AttemptError>>>(
        &self,
        key: &IsolationKey,
        work: impl Fn(SessionIdentity) -> F,
    ) -> Result<(T, SessionLease), Failure> {
        let deadlines = self.deadlines();
        let mut renewed = false;
        loop {
            let lease = self.lease(key, deadlines).await?;
            let session = lease.session_within(deadlines).await?;
            match work(SessionIdentity::of(&lease, session)).await {
                Ok(done) => return Ok((done, lease)),
                // The request waits until the router is back.
                Err(AttemptError::SessionLost) if Instant::now() < deadlines.router => {}
                // Only once, so that a router that always forgets its sessions is not asked for ever.
                Err(AttemptError::SessionForgotten) if !renewed => {
                    renewed = true;
                    self.pool.renew(key, &lease);
                }
                Err(error) => return Err(error.failure()),
            }
        }
    }

    /// Looks a name up and connects.
    pub(super) async fn connect(
        &self,
        identity: &SessionIdentity,
        name: &I2pName,
        port: u16,
    ) -> Result<SamStream, AttemptError> {
        // A separate lookup tells an unknown name from an unreachable destination: routers confuse the two in their answers
        // to STREAM CONNECT. Base32 addresses are in no address book.
        let found = match name {
            I2pName::Host(host) => Some(self.resolver.look_up(identity, host).await?),
            _ => None,
        };
        let target = found.as_deref().unwrap_or(name);
        let begin = Instant::now();
        identity.session.connect(target, port).await.map_err(|error| {
            match (AttemptError::of(&error), target) {
                (AttemptError::Failed(Failure::Unreachable), I2pName::Blinded(name))
                    if name.needs_client_key() =>
                {
                    AttemptError::Failed(Failure::ClientKeyMissing)
                }
                (AttemptError::Failed(Failure::Refused), _) if begin.elapsed() > LONGEST_REFUSAL => {
                    AttemptError::Failed(Failure::TimedOut)
                }
                (error, _) => error,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use i2p_sam::{Error, Phase, ResultWord};
    use sam_testkit::{Act, TestBridge};

    use super::*;
    use crate::{
        dial::Dial,
        sessions::{
            attempt_error::{failure_of, failure_of_answer},
            pool::PoolOptions,
        },
    };

    /// The task of a connection reserves this at all times, so thousands of idle connections would pay for each kilobyte.
    #[tokio::test]
    async fn the_future_of_a_dial_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let dialler = SamDialler::new(pool);
        let (key, name) = (IsolationKey::default(), I2pName::Host("a.i2p".parse().unwrap()));
        let size = size_of_val(&dialler.dial(&key, &name, 80));
        assert!(size < 8 * 1024, "{size} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_that_arrives_late_is_a_timeout_and_no_refusal() {
        let bridge = TestBridge::start().await;
        let dialler = SamDialler::new(SessionPool::new(
            i2p_sam::Bridge::new(bridge.address()),
            PoolOptions { delay_open: true, ..PoolOptions::default() },
        ));
        let (key, name) = (IsolationKey::default(), I2pName::Host("known.i2p".parse().unwrap()));
        let reset = "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection reset\"";
        for (milliseconds, expected) in [(600, Failure::Refused), (60_000, Failure::TimedOut)] {
            let wait = Act::Wait(Duration::from_millis(milliseconds));
            bridge.once("STREAM CONNECT", [wait, Act::line(reset), Act::Close]);
            assert_eq!(dialler.dial(&key, &name, 80).await.unwrap_err(), expected, "{milliseconds} ms");
        }
    }

    #[test]
    fn every_answer_of_a_router_maps_to_its_failure() {
        use Phase::{Hello, NamingLookup, StreamConnect};
        use ResultWord as Word;
        for (phase, result, message, expected) in [
            (NamingLookup, Word::KeyNotFound, None, Failure::NameUnknown),
            (NamingLookup, Word::InvalidKey, None, Failure::NameUnknown),
            (NamingLookup, Word::LeasesetNotFound, None, Failure::Unreachable),
            (NamingLookup, Word::I2pError, None, Failure::RouterError),
            (StreamConnect, Word::CantReachPeer, None, Failure::Unreachable),
            (StreamConnect, Word::CantReachPeer, Some("LeaseSet not found"), Failure::Unreachable),
            (StreamConnect, Word::CantReachPeer, Some("Connection reset"), Failure::Refused),
            (StreamConnect, Word::CantReachPeer, Some("Connection timed out"), Failure::TimedOut),
            (StreamConnect, Word::CantReachPeer, Some("Local router failure"), Failure::RouterError),
            (StreamConnect, Word::ConnectionRefused, None, Failure::Refused),
            (StreamConnect, Word::Timeout, None, Failure::TimedOut),
            (StreamConnect, Word::InvalidKey, Some("Lease set not found: x"), Failure::Unreachable),
            (StreamConnect, Word::PeerNotFound, None, Failure::Unreachable),
            (StreamConnect, Word::InvalidId, None, Failure::RouterUnavailable),
            (StreamConnect, Word::I2pError, None, Failure::RouterError),
            (StreamConnect, Word::Other("NEW".into()), None, Failure::RouterError),
            (Hello, Word::NoVersion, None, Failure::RouterUnavailable),
        ] {
            assert_eq!(failure_of_answer(phase, &result, message), expected, "{phase} {result} {message:?}");
        }
        let limit = Duration::from_secs(1);
        for (error, expected) in [
            (Error::SessionLost, Failure::RouterUnavailable),
            (Error::Timeout { phase: StreamConnect, limit }, Failure::TimedOut),
            (Error::Timeout { phase: Hello, limit }, Failure::RouterUnavailable),
            (Error::Timeout { phase: NamingLookup, limit }, Failure::RouterError),
            (Error::Closed { phase: Hello }, Failure::RouterUnavailable),
            (Error::ClosedAtHello { address: "".into() }, Failure::RouterUnavailable),
            (Error::Closed { phase: StreamConnect }, Failure::RouterError),
            (Error::Unexpected { phase: StreamConnect }, Failure::RouterError),
            (Error::WrongDestination { phase: NamingLookup }, Failure::WrongDestination),
            (Error::NotSam { address: "".into() }, Failure::RouterUnavailable),
            (Error::ExpectsTls { address: "".into() }, Failure::RouterUnavailable),
            (Error::NoTls { address: "".into() }, Failure::RouterUnavailable),
            (Error::Certificate { address: "".into(), why: String::new() }, Failure::RouterUnavailable),
        ] {
            assert_eq!(failure_of(&error), expected, "{error}");
        }
    }
}

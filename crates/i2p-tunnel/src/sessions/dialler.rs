use i2p_name::I2pName;
use i2p_sam::Session;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{
    datagrams::DatagramPool,
    pool::{SessionDeadlines, SessionLease, SessionPool},
    refusal::Refusal,
};
use crate::{client::IsolationKey, failure::Failure, limits::SessionLimits, names::Resolver};

/// Dials through the sessions of a pool.
#[derive(Debug, Clone)]
pub struct SamDialler {
    pool: SessionPool,
    limits: SessionLimits,
    pub(super) resolver: Resolver,
    pub(super) datagrams: Option<DatagramPool>,
}

impl SamDialler {
    /// Dials through the sessions of this pool, and looks names up at its router alone.
    #[must_use]
    pub fn new(pool: SessionPool) -> Self {
        Self { pool, limits: SessionLimits::default(), resolver: Resolver::default(), datagrams: None }
    }

    /// With other sources of names than the router alone. A resolver is best shared by all diallers: it remembers.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// With sessions for datagrams.
    #[must_use]
    pub fn with_datagrams(self, pool: DatagramPool) -> Self {
        Self { datagrams: Some(pool), ..self }
    }

    /// With other limits than the default ones.
    #[must_use]
    pub fn with_limits(self, limits: SessionLimits) -> Self {
        Self { limits, ..self }
    }
}

impl SamDialler {
    fn wait(&self) -> SessionDeadlines {
        let now = Instant::now();
        SessionDeadlines { router: now + self.limits.router, tunnels: now + self.limits.tunnels }
    }

    /// Waits for the session of a key.
    pub(super) async fn session(&self, key: &IsolationKey) -> Result<(SessionLease, Session), Failure> {
        let wait = self.wait();
        let lease = self.pool.lease(key).map_err(|_| Failure::TooManySessions)?;
        let session = lease.session_within(wait).await?;
        Ok((lease, session))
    }

    /// Does something with the session of a key, and once more if the session was lost before anything was sent.
    pub(super) async fn with_session<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        key: &IsolationKey,
        work: impl Fn(Session) -> F,
    ) -> Result<(T, SessionLease), Failure> {
        let wait = self.wait();
        let mut renewed = false;
        loop {
            let lease = self.pool.lease(key).map_err(|_| Failure::TooManySessions)?;
            let session = lease.session_within(wait).await?;
            match work(session).await {
                Ok(done) => return Ok((done, lease)),
                // The router has gone, and nothing was sent yet: what is asked for may wait until it is back.
                Err(Refusal::SessionLost) if Instant::now() < wait.router => {}
                // The router has forgotten a session that it has not closed. Once: a router that does so at once again is
                // not to be asked for ever.
                Err(Refusal::SessionForgotten) if !renewed => {
                    renewed = true;
                    self.pool.renew(key, &lease);
                }
                Err(refusal) => return Err(refusal.failure()),
            }
        }
    }

    /// Looks a name up and connects.
    pub(super) async fn connect(
        &self,
        session: &Session,
        name: &I2pName,
        port: u16,
    ) -> Result<TcpStream, Refusal> {
        // A lookup of its own tells an unknown name from a destination that cannot be reached: in the answers to
        // STREAM CONNECT routers mix the two up. Addresses by hash have nothing to look up in a book.
        let found = match name {
            I2pName::Host(host) => Some(self.resolver.look_up(session, host).await?),
            _ => None,
        };
        let target = found.as_deref().unwrap_or(name);
        session.connect(target, port).await.map_err(|error| match (Refusal::of(&error), target) {
            (Refusal::Failed(Failure::Unreachable), I2pName::Blinded(name)) if name.needs_client_key() => {
                Refusal::Failed(Failure::ClientKeyMissing)
            }
            (refusal, _) => refusal,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use i2p_sam::{Error, Phase, ResultWord};

    use super::*;
    use crate::{
        dial::Dial,
        sessions::{
            pool::PoolOptions,
            refusal::{failure, refused},
        },
    };

    /// What a connection's task holds, at all times: kilobytes that thousands of idle connections would pay for.
    #[tokio::test]
    async fn dialling_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let dialler = SamDialler::new(pool);
        let (key, name) = (IsolationKey::default(), I2pName::Host("a.i2p".parse().unwrap()));
        let size = size_of_val(&dialler.dial(&key, &name, 80));
        assert!(size < 8 * 1024, "{size} bytes");
    }

    #[test]
    fn every_answer_of_a_router_has_its_failure() {
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
            (StreamConnect, Word::InvalidKey, Some("SessionLease set not found: x"), Failure::Unreachable),
            (StreamConnect, Word::PeerNotFound, None, Failure::Unreachable),
            (StreamConnect, Word::InvalidId, None, Failure::RouterUnavailable),
            (StreamConnect, Word::I2pError, None, Failure::RouterError),
            (StreamConnect, Word::Other("NEW".into()), None, Failure::RouterError),
            (Hello, Word::NoVersion, None, Failure::RouterUnavailable),
        ] {
            assert_eq!(refused(phase, &result, message), expected, "{phase} {result} {message:?}");
        }
        let limit = Duration::from_secs(1);
        for (error, expected) in [
            (Error::SessionLost, Failure::RouterUnavailable),
            (Error::Timeout { phase: StreamConnect, limit }, Failure::TimedOut),
            (Error::Timeout { phase: Hello, limit }, Failure::RouterUnavailable),
            (Error::Timeout { phase: NamingLookup, limit }, Failure::RouterError),
            (Error::Closed { phase: Hello }, Failure::RouterUnavailable),
            (Error::Closed { phase: StreamConnect }, Failure::RouterError),
            (Error::Unexpected { phase: StreamConnect }, Failure::RouterError),
            (Error::NotSam { address: String::new() }, Failure::RouterUnavailable),
        ] {
            assert_eq!(failure(&error), expected, "{error}");
        }
    }
}

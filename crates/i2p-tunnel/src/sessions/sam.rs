use std::sync::Arc;

use i2p_name::{I2pName, Target};
use i2p_sam::Session;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{
    datagrams::DatagramPool,
    pool::{SessionDeadlines, SessionLease, SessionPool},
    refusal::Refusal,
};
use crate::{
    client::{Client, Isolate, IsolationKey},
    failure::Failure,
    limits::SessionLimits,
    names::Resolver,
    stream::Opened,
};

/// How a tunnel uses the sessions of a pool.
#[derive(Debug, Clone, Default)]
pub struct Tunnel {
    /// What keeps its requests apart.
    pub isolate: Isolate,
    /// Its name, if it shares sessions with no other tunnel.
    pub dedicated: Option<Arc<str>>,
    /// Whether peers may open streams to its clients, with BIND. The sessions of its pool have to be published then.
    pub incoming: bool,
}

/// Dials through the sessions of a pool.
#[derive(Debug, Clone)]
pub struct SamDialler {
    pool: SessionPool,
    pub(crate) tunnel: Tunnel,
    limits: SessionLimits,
    pub(crate) resolver: Resolver,
    pub(crate) datagrams: Option<DatagramPool>,
}

impl SamDialler {
    /// Dials through the sessions of this pool, by the rules of this tunnel.
    #[must_use]
    pub fn new(pool: SessionPool, tunnel: Tunnel) -> Self {
        Self {
            pool,
            tunnel,
            limits: SessionLimits::default(),
            resolver: Resolver::default(),
            datagrams: None,
        }
    }

    /// With other sources of names than the router alone. A resolver is best shared by all diallers: it remembers.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// With sessions for datagrams. Isolation by host or port has no meaning for them: a client's datagrams have one session,
    /// whomever they are for; where it is asked for, there are none.
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
    /// The session of what a client asks of no host in particular. Where hosts or ports are kept apart there is none: what
    /// comes in is of any.
    pub(crate) async fn session_of(
        &self,
        client: &Client,
    ) -> Result<(IsolationKey, SessionLease, Session), Failure> {
        let isolate = &self.tunnel.isolate;
        if isolate.dest_host || isolate.dest_port {
            return Err(Failure::CommandNotSupported);
        }
        let key = self.client_key(client);
        let now = Instant::now();
        let wait = SessionDeadlines { router: now + self.limits.router, tunnels: now + self.limits.tunnels };
        let lease = self.pool.lease(&key).map_err(|_| Failure::TooManySessions)?;
        let session = lease.session_within(wait).await?;
        Ok((key, lease, session))
    }
}

impl SamDialler {
    /// Opens a stream to a name on behalf of a client that asked for something, which may be the same or lie behind it, as a
    /// host of the internet lies behind an outproxy. What it asked for is what keeps it apart from others.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    pub async fn open(
        &self,
        client: &Client,
        asked: (&Target, u16),
        name: &I2pName,
        port: u16,
    ) -> Result<Opened, Failure> {
        let open = async |session: Session| self.connect(&session, name, port).await;
        let (stream, lease) = self.with_session(client, asked, open).await?;
        Ok(Opened::over_sam(stream.into(), lease))
    }

    /// What keeps a request apart from others at this dialler.
    pub(crate) fn isolation_key(&self, client: &Client, (target, port): (&Target, u16)) -> IsolationKey {
        let Tunnel { isolate, dedicated, .. } = &self.tunnel;
        IsolationKey::new(*isolate, dedicated.clone(), client, target, port)
    }

    /// What keeps a client apart from others in what it asks of no host in particular.
    pub(crate) fn client_key(&self, client: &Client) -> IsolationKey {
        IsolationKey::of_client(self.tunnel.isolate, self.tunnel.dedicated.clone(), client)
    }

    /// Waits until the session of a request is there.
    pub(crate) async fn session(&self, client: &Client, asked: (&Target, u16)) -> Result<(), Failure> {
        self.with_session(client, asked, async |_| Ok(())).await.map(|_| ())
    }

    /// Does something with the session of a request, and again where that session has gone before anything was sent.
    pub(crate) async fn with_session<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        client: &Client,
        asked: (&Target, u16),
        work: impl Fn(Session) -> F,
    ) -> Result<(T, SessionLease), Failure> {
        let key = self.isolation_key(client, asked);
        let now = Instant::now();
        let wait = SessionDeadlines { router: now + self.limits.router, tunnels: now + self.limits.tunnels };
        let mut renewed = false;
        loop {
            let lease = self.pool.lease(&key).map_err(|_| Failure::TooManySessions)?;
            let session = lease.session_within(wait).await?;
            match work(session).await {
                Ok(done) => return Ok((done, lease)),
                // The router has gone, and nothing was sent yet: what is asked for may wait until it is back.
                Err(Refusal::SessionLost) if Instant::now() < wait.router => {}
                // The router has forgotten a session that it has not closed. Once: a router that does so at once again is
                // not to be asked for ever.
                Err(Refusal::SessionForgotten) if !renewed => {
                    renewed = true;
                    self.pool.renew(&key, &lease);
                }
                Err(refusal) => return Err(refusal.failure()),
            }
        }
    }
}

impl SamDialler {
    /// Looks a name up and connects.
    async fn connect(&self, session: &Session, name: &I2pName, port: u16) -> Result<TcpStream, Refusal> {
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
        client::{ClientAddress, ClientCredentials},
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
        let dialler = SamDialler::new(pool, Tunnel::default());
        let client = Client {
            address: ClientAddress::User(0),
            listener: "x".into(),
            protocol: crate::ClientProtocol::Socks5,
            credentials: ClientCredentials::None,
        };
        let target = Target::parse(b"a.i2p").unwrap();
        let size = size_of_val(&dialler.dial(&client, &target, 80));
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
            (StreamConnect, Word::InvalidKey, Some("Lease set not found: x"), Failure::Unreachable),
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

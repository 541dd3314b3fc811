//! The client that fetches feeds, with an I2P session of its own.

use std::{num::NonZeroUsize, pin::Pin, time::Duration};

use i2p_name::{B32, Destination, I2pName};
use i2p_sam::{Bridge, Identity};
use i2p_tunnel::{
    Dial, Failure, IsolationKey, OpenStream, OpenStreams, PoolOptions, Resolver, SamDialler, SessionPool,
};

use crate::config::session::SessionConfig;

/// How long its session stays open for the next request.
const IDLE_CLOSE: Duration = Duration::from_secs(5 * 60);

/// A client with one session, which clients of the proxy never use and which is open only while it is needed. So the operator of a
/// feed cannot connect the proxy with the identities of its clients.
#[derive(Debug)]
pub(crate) struct OwnClient {
    dialler: SamDialler,
    key: IsolationKey,
}

impl OwnClient {
    /// A client that uses this bridge, and this resolver for host names.
    pub(crate) fn new(bridge: Bridge, session: &SessionConfig, resolver: Resolver) -> Self {
        let options = PoolOptions {
            identity: Identity::New,
            idle_close: Some(IDLE_CLOSE),
            warm_spares: 0,
            delay_open: true,
            whose: "for reading feeds".to_owned(),
            ..session.pool(NonZeroUsize::MIN)
        };
        let dialler = SamDialler::new(SessionPool::new(bridge, options)).with_resolver(resolver);
        Self { dialler, key: IsolationKey::of_tunnel("names".into()) }
    }
}

impl OwnClient {
    /// The destination behind a base32 address, looked up for the session of this client.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) async fn destination_of(&self, b32: B32) -> Result<Destination, Failure> {
        self.dialler.destination_of(&self.key, &b32.into()).await
    }
}

impl OpenStreams for OwnClient {
    fn open<'a>(
        &'a self,
        host: &'a I2pName,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>> {
        Box::pin(self.dialler.dial(&self.key, host, port))
    }
}

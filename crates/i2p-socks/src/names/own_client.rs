//! Our own way into I2P, by which feeds are read and jump services asked.

use std::{num::NonZeroUsize, time::Duration};

use i2p_name::I2pName;
use i2p_sam::{Bridge, Identity};
use i2p_tunnel::{Dial, Failure, IsolationKey, Opened, PoolOptions, Resolver, SamDialler, SessionPool};

use crate::config::session::SessionConfig;

/// How long its session is kept for the next request.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// A pool of one session that no client ever uses, and that is there only while it is needed: whoever serves a feed cannot tell
/// which clients come from the same proxy.
#[derive(Debug)]
pub(crate) struct Way {
    dialler: SamDialler,
    key: IsolationKey,
}

impl Way {
    /// A way through this bridge, whose hosts this resolver finds.
    pub(crate) fn new(bridge: Bridge, session: &SessionConfig, resolver: Resolver) -> Self {
        let options = PoolOptions {
            identity: Identity::New,
            idle_close: Some(IDLE),
            warm_spares: 0,
            delay_open: true,
            ..session.pool(NonZeroUsize::MIN)
        };
        let dialler = SamDialler::new(SessionPool::new(bridge, options)).with_resolver(resolver);
        Self { dialler, key: IsolationKey::of_tunnel("names".into()) }
    }

    /// Opens a stream.
    pub(crate) async fn open(&self, host: &I2pName, port: u16) -> Result<Opened, Failure> {
        self.dialler.dial(&self.key, host, port).await
    }
}

use std::{fmt, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use moka::future::Cache;

use crate::{client::IsolationKey, failure::Failure};

/// The username of all made-up credentials. It is not the client's own, which the outproxy must not learn.
pub(super) const USERNAME: &str = "i2p-socks";
/// Most tokens that are remembered, and for how long after their last use. After that, the client is a new one to the outproxy.
const MAX_TOKENS: u64 = 16_384;
const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Made-up passwords: one random token per isolation key. They isolate clients and tell nothing else.
pub(super) struct IsolationTokens(Cache<IsolationKey, Arc<str>>);

impl IsolationTokens {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_TOKENS).time_to_idle(TOKEN_LIFETIME).build())
    }

    /// Returns the token of a key.
    pub(super) async fn token_of(&self, key: &IsolationKey) -> Result<Arc<str>, Failure> {
        let make = async {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map(|()| Arc::from(HEXLOWER.encode(&bytes)))
        };
        // Without random numbers, clients would not be isolated.
        self.0.try_get_with_by_ref(key, make).await.map_err(|_| Failure::OutproxiesFailed)
    }

    /// Forgets all tokens, so that every client gets a new one.
    pub(super) fn renew(&self) {
        self.0.invalidate_all();
    }
}

impl fmt::Debug for IsolationTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolationTokens(..)")
    }
}

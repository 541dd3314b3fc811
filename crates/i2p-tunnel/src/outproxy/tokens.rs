use std::{fmt, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use moka::future::Cache;

use crate::{client::IsolationKey, failure::Failure};

/// What all usernames are. Not what the client said of itself: that is nobody else's business.
pub(super) const USERNAME: &str = "i2p-socks";
/// The most that are remembered, and for how long after their last use: whoever comes back later is somebody else to the
/// outproxy.
const REMEMBERED: u64 = 16_384;
const UNUSED: Duration = Duration::from_secs(60 * 60);

/// Passwords that say nothing but who is to be kept apart: a random one for each isolation key.
pub(super) struct Tokens(Cache<IsolationKey, Arc<str>>);

impl Tokens {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_idle(UNUSED).build())
    }

    /// The password of a key.
    pub(super) async fn of(&self, key: &IsolationKey) -> Result<Arc<str>, Failure> {
        let make = async {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map(|()| Arc::from(HEXLOWER.encode(&bytes)))
        };
        // Without random numbers, clients would share what is to be kept apart.
        self.0.try_get_with_by_ref(key, make).await.map_err(|_| Failure::OutproxiesFailed)
    }

    /// From now on, everybody is somebody else.
    pub(super) fn renew(&self) {
        self.0.invalidate_all();
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

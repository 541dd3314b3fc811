use std::{fmt, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;

use crate::{
    client::{IdentityTable, IsolationKey},
    failure::Failure,
};

/// The username of all made-up credentials. It is not the client's own, which the outproxy must not learn.
pub(super) const USERNAME: &str = "i2p-socks";
/// Most tokens that are remembered, and for how long after their last use. After that, the client is a new one to the outproxy.
const MAX_TOKENS: usize = 16_384;
const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Made-up passwords: one random token per isolation key. They isolate clients and tell nothing else.
pub(super) struct IsolationTokens(IdentityTable<Option<Arc<str>>>);

impl IsolationTokens {
    pub(super) fn new() -> Self {
        Self(IdentityTable::new(MAX_TOKENS, TOKEN_LIFETIME))
    }

    /// Returns the token of a key.
    pub(super) fn token_of(&self, key: &IsolationKey) -> Result<Arc<str>, Failure> {
        self.0.with(key, |known| {
            if let Some(token) = known {
                return Ok(Arc::clone(token));
            }
            let mut bytes = [0; 16];
            // Without random numbers, clients would not be isolated.
            getrandom::fill(&mut bytes).map_err(|_| Failure::OutproxiesFailed)?;
            Ok(Arc::clone(known.insert(Arc::from(HEXLOWER.encode(&bytes)))))
        })
    }

    /// Forgets the tokens of these identities.
    pub(super) fn renew_if(&self, is_renewed: impl Fn(&IsolationKey) -> bool) {
        self.0.forget_if(is_renewed);
    }

    /// Forgets all tokens, so that every client gets a new one.
    pub(super) fn renew(&self) {
        self.0.clear();
    }
}

impl fmt::Debug for IsolationTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolationTokens(..)")
    }
}

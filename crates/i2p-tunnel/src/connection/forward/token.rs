//! Tokens of forms: proof that a form was sent from a page which the proxy has shown to the same client.

use std::{
    hash::{Hash, Hasher},
    sync::LazyLock,
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::client::IsolationKey;

/// How long a person may look at a page before its form expires.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What makes tokens unguessable. A new one for each process; `None` if the system provides no random numbers.
static SECRET: LazyLock<Option<Secret>> = LazyLock::new(|| {
    let mut key = [0; 32];
    getrandom::fill(&mut key).ok()?;
    Some(Secret { key, since: Instant::now() })
});

struct Secret {
    key: [u8; 32],
    since: Instant,
}

/// What a token is for: a form of this purpose, of this identity, about what the page shows.
pub(super) struct Token<'a> {
    purpose: &'static str,
    identity: &'a IsolationKey,
    shown: Vec<String>,
}

impl<'a> Token<'a> {
    pub(super) fn new(purpose: &'static str, identity: &'a IsolationKey, shown: Vec<String>) -> Self {
        Self { purpose, identity, shown }
    }

    /// The token for a form that is shown now; `None` if the system provides no random numbers.
    pub(super) fn issue(&self) -> Option<String> {
        let secret = SECRET.as_ref()?;
        Some(self.at(secret, secret.since.elapsed().as_secs()))
    }

    /// Whether a form has the token, and in time.
    pub(super) fn is_valid(&self, given: &str) -> bool {
        SECRET
            .as_ref()
            .is_some_and(|secret| self.is_valid_at(secret, given, secret.since.elapsed().as_secs()))
    }

    fn is_valid_at(&self, secret: &Secret, given: &str, now: u64) -> bool {
        let issued = given.split_once('-').and_then(|(issued, _)| issued.parse::<u64>().ok());
        let in_time = |issued: &u64| *issued <= now && now - issued <= LIFETIME.as_secs();
        let Some(issued) = issued.filter(in_time) else { return false };
        are_equal(self.at(secret, issued).as_bytes(), given.as_bytes())
    }

    /// The token of this second.
    fn at(&self, secret: &Secret, issued: u64) -> String {
        let mut content = Content(Sha256::new());
        (self.purpose, self.identity, &self.shown, issued).hash(&mut content);
        // Two hashes, so that nothing can be appended to what the inner one has seen.
        let inner = Sha256::new().chain_update(secret.key).chain_update(content.0.finalize()).finalize();
        let outer = Sha256::new().chain_update(secret.key).chain_update(inner).finalize();
        format!("{issued}-{}", HEXLOWER.encode(&outer))
    }
}

/// Compares without telling by its time where the difference is.
fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

/// Feeds a cryptographic hash with what a value consists of.
struct Content(Sha256);

impl Hasher for Content {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Never asked for: the hash itself is taken.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_form_its_identity_and_a_time() {
        let secret = |byte| Secret { key: [byte; 32], since: Instant::now() };
        let [anna, bert] = ["anna", "bert"].map(|tunnel| IsolationKey::of_tunnel(tunnel.into()));
        let shown = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let token = Token::new("a", &anna, shown(&["x", "y"]));
        let given = token.at(&secret(1), 100);
        let valid = |token: &Token<'_>, byte, now| token.is_valid_at(&secret(byte), &given, now);
        assert!(valid(&token, 1, 100) && valid(&token, 1, 100 + LIFETIME.as_secs()));
        assert!(!valid(&token, 1, 101 + LIFETIME.as_secs()), "too late");
        assert!(!valid(&token, 1, 99), "from the future");
        assert!(!valid(&token, 2, 100), "of another process");
        assert!(!valid(&Token::new("b", &anna, shown(&["x", "y"])), 1, 100), "for something else");
        assert!(!valid(&Token::new("a", &bert, shown(&["x", "y"])), 1, 100), "of somebody else");
        for other in [&["xy", ""][..], &["x"], &["x", "y", ""], &["y", "x"]] {
            assert!(!valid(&Token::new("a", &anna, shown(other)), 1, 100), "{other:?}");
        }
        let later = given.replacen("100", "101", 1);
        for other in
            ["", "100", "100-", "-", &later, given.get(..given.len() - 1).unwrap(), &format!("{given}0")]
        {
            assert!(!token.is_valid_at(&secret(1), other, 101), "{other}");
        }
        let issued = token.issue().unwrap();
        assert!(token.is_valid(&issued) && !Token::new("a", &bert, shown(&["x", "y"])).is_valid(&issued));
    }
}

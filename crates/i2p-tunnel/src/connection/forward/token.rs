//! Tokens of forms: proof that a form was sent from a page which the proxy has shown to the same client.

use std::{
    hash::{Hash, Hasher},
    sync::LazyLock,
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::client::IsolationKey;

/// How long a person may look at a page before its form expires.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What makes tokens unguessable. A new one for each process; `None` if the system provides no random numbers.
static SECRET: LazyLock<Option<Secret>> = LazyLock::new(|| {
    let mut key = [0; 64];
    getrandom::fill(&mut key).ok()?;
    Some(Secret { key, since: Instant::now() })
});

struct Secret {
    /// As long as a block of the hash.
    key: [u8; 64],
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
        let Some((second, code)) = given.split_once('-') else { return false };
        let issued = second.parse().ok().filter(|issued: &u64| issued.to_string() == second);
        let in_time = |issued: &u64| *issued <= now && now - issued <= LIFETIME.as_secs();
        let (Some(issued), Ok(code)) = (issued.filter(in_time), HEXLOWER.decode(code.as_bytes())) else {
            return false;
        };
        // In constant time.
        self.code(secret, issued).verify_slice(&code).is_ok()
    }

    /// The token of this second.
    fn at(&self, secret: &Secret, issued: u64) -> String {
        format!("{issued}-{}", HEXLOWER.encode(&self.code(secret, issued).finalize().into_bytes()))
    }

    fn code(&self, secret: &Secret, issued: u64) -> Hmac<Sha256> {
        let mut content = Content(Hmac::new(&secret.key.into()));
        (self.purpose, self.identity, &self.shown, issued).hash(&mut content);
        content.0
    }
}

/// Feeds a message authentication code with what a value consists of.
struct Content(Hmac<Sha256>);

impl Hasher for Content {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Never asked for: the code itself is taken.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_form_its_identity_and_a_time() {
        let secret = |byte| Secret { key: [byte; 64], since: Instant::now() };
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

use std::{fmt, sync::Arc, time::Duration};

use i2p_name::{HostName, I2pName};
use tokio::time::Instant;

use crate::{
    client::{IdentityTable, IsolationKey},
    dial::SessionMark,
};

/// Identities that are remembered at most.
const MAX_IDENTITIES: usize = 256;

/// Names of one identity that are remembered at most.
const MAX_NAMES: usize = 32;

/// How long a name is remembered.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Names that people have followed an address helper for without keeping them. Each is for the identity that chose it, and ends with
/// its session: a destination that only one identity was given would recognize the next one by it. Clones are the same names.
#[derive(Clone)]
pub struct ChosenNames(Arc<IdentityTable<OfIdentity>>);

#[derive(Default)]
struct OfIdentity {
    /// The session that they belong to; `None` as long as there was none since the choice.
    session: Option<SessionMark>,
    names: Vec<ChosenName>,
}

struct ChosenName {
    name: HostName,
    destination: I2pName,
    until: Instant,
}

impl Default for ChosenNames {
    fn default() -> Self {
        Self(Arc::new(IdentityTable::new(MAX_IDENTITIES, LIFETIME)))
    }
}

impl ChosenNames {
    /// Remembers a name for an identity, whose session is now `session`. If there are too many names, the oldest goes.
    pub(crate) fn choose(
        &self,
        key: &IsolationKey,
        session: Option<SessionMark>,
        name: HostName,
        destination: I2pName,
    ) {
        let until = Instant::now() + LIFETIME;
        self.0.with(key, |chosen| {
            chosen.follow(session);
            chosen.names.retain(|old| old.name != name);
            if chosen.names.len() >= MAX_NAMES {
                chosen.names.remove(0);
            }
            chosen.names.push(ChosenName { name, destination, until });
        });
    }

    /// The destination that an identity has chosen for a name. `session` tells its session, if it has one now.
    pub(crate) fn find(
        &self,
        key: &IsolationKey,
        session: impl FnOnce() -> Option<SessionMark>,
        name: &HostName,
    ) -> Option<I2pName> {
        let found = self.0.with_known(key, |chosen| {
            if chosen.names.iter().any(|chosen| chosen.name == *name) {
                chosen.follow(session());
            }
            let now = Instant::now();
            chosen.names.retain(|chosen| chosen.until > now);
            let found = chosen.names.iter().find(|chosen| chosen.name == *name);
            found.map(|found| found.destination.clone())
        });
        found.flatten()
    }

    /// Forgets what these identities have chosen.
    pub(crate) fn forget_if(&self, is_forgotten: impl Fn(&IsolationKey) -> bool) {
        self.0.forget_if(is_forgotten);
    }

    /// Forgets what an identity has chosen for a name.
    pub(crate) fn forget(&self, key: &IsolationKey, name: &HostName) {
        self.0.with_known(key, |chosen| chosen.names.retain(|chosen| chosen.name != *name));
    }
}

impl OfIdentity {
    /// Forgets all names if their session is gone.
    fn follow(&mut self, session: Option<SessionMark>) {
        if self.session.is_some() && self.session != session {
            self.names.clear();
        }
        self.session = session;
    }
}

/// Shows no name.
impl fmt::Debug for ChosenNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChosenNames(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> HostName {
        format!("name{number}.i2p").parse().unwrap()
    }

    fn destination(letter: &str) -> I2pName {
        I2pName::parse(&format!("{}a.b32.i2p", letter.repeat(51))).unwrap()
    }

    fn key(tunnel: &str) -> IsolationKey {
        IsolationKey::of_tunnel(tunnel.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_choice_is_for_its_identity_and_ends_with_its_session_or_its_time() {
        let names = ChosenNames::default();
        let (anna, bert) = (key("anna"), key("bert"));
        let mark = |number| Some(SessionMark::new(number));
        let find = |key, session| names.find(key, || session, &name(1));
        names.choose(&anna, None, name(1), destination("a"));
        assert_eq!(find(&anna, None), Some(destination("a")), "there is no session yet");
        assert_eq!(find(&bert, None), None);
        assert_eq!(find(&anna, mark(1)), Some(destination("a")), "this is its session");
        assert_eq!(names.find(&anna, || panic!("asked for nothing"), &name(2)), None);
        assert_eq!(find(&anna, mark(2)), None, "another session");
        assert_eq!(find(&anna, mark(1)), None, "it was forgotten");
        names.choose(&anna, mark(2), name(1), destination("a"));
        assert_eq!(find(&anna, None), None, "its session is gone");
        names.choose(&anna, mark(3), name(1), destination("a"));
        names.choose(&anna, mark(3), name(1), destination("b"));
        tokio::time::advance(LIFETIME / 2).await;
        assert_eq!(find(&anna, mark(3)), Some(destination("b")));
        tokio::time::advance(LIFETIME / 2).await;
        assert_eq!(find(&anna, mark(3)), None);
    }

    #[tokio::test]
    async fn choices_are_bounded() {
        let names = ChosenNames::default();
        let anna = key("anna");
        for number in 0..=MAX_NAMES {
            names.choose(&anna, None, name(number), destination("a"));
        }
        let found = |number| names.find(&anna, || None, &name(number)).is_some();
        assert!(!found(0) && found(1) && found(MAX_NAMES));
        for number in 0..MAX_IDENTITIES + 1 {
            names.choose(&key(&number.to_string()), None, name(0), destination("a"));
        }
        let known = (0..=MAX_IDENTITIES)
            .filter(|number| names.find(&key(&number.to_string()), || None, &name(0)).is_some());
        assert!(known.count() <= MAX_IDENTITIES);
    }
}

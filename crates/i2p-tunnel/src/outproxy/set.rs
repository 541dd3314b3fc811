use std::{fmt, sync::Arc, time::Duration};

use i2p_name::Target;
use moka::future::Cache;

use super::{connect::Outproxy, definition::OutproxyDefinition, health::OutproxyStatus};
use crate::client::IsolationKey;

/// Most choices that are remembered, and for how long after their last use.
const MAX_CHOICES: u64 = 16_384;
const CHOICE_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// All outproxies of a configuration, their health, and which client uses which. Clones share this state.
#[derive(Clone)]
pub struct Outproxies {
    all: Arc<[Arc<Outproxy>]>,
    choices: Cache<ChoiceKey, Arc<str>>,
}

/// Identifies a choice of an outproxy: the client, the target, and the outproxies of the matching route. A route for another port,
/// with other outproxies, makes another choice.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChoiceKey {
    pub(crate) key: IsolationKey,
    pub(crate) target: Target,
    pub(crate) names: Vec<Arc<str>>,
}

/// The error for two outproxies with the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two outproxies are called {0}")]
pub struct DuplicateOutproxy(pub Arc<str>);

impl Outproxies {
    /// Creates a set of outproxies.
    ///
    /// # Errors
    /// [`DuplicateOutproxy`] if two have the same name.
    pub fn new(definitions: Vec<OutproxyDefinition>) -> Result<Self, DuplicateOutproxy> {
        Self::default().replaced_by(definitions)
    }

    /// Creates the set of a changed configuration. Outproxies with an unchanged definition keep their health, and choices are
    /// remembered.
    ///
    /// # Errors
    /// [`DuplicateOutproxy`] if two have the same name.
    pub fn replaced_by(&self, definitions: Vec<OutproxyDefinition>) -> Result<Self, DuplicateOutproxy> {
        let mut all: Vec<Arc<Outproxy>> = Vec::with_capacity(definitions.len());
        for definition in definitions {
            if all.iter().any(|other| *other.name() == definition.name) {
                return Err(DuplicateOutproxy(definition.name));
            }
            let same = self.all.iter().find(|outproxy| outproxy.definition == definition);
            all.push(same.cloned().unwrap_or_else(|| Arc::new(Outproxy::new(definition))));
        }
        Ok(Self { all: all.into(), choices: self.choices.clone() })
    }

    /// The state of each outproxy, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<OutproxyStatus> {
        self.all.iter().map(|outproxy| outproxy.health.status()).collect()
    }

    /// Gives all clients new identities: forgets which client used which outproxy, and makes up new credentials.
    pub fn renew(&self) {
        self.choices.invalidate_all();
        self.all.iter().for_each(|outproxy| outproxy.tokens.renew());
    }

    /// Whether there is an outproxy of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all.iter().any(|outproxy| **outproxy.name() == *name)
    }

    /// The outproxies of a route in the order to try: first the one that this target used last, then the order of the route.
    /// Ejected ones are left out, unless all are ejected: then the one whose ejection ends first comes first.
    pub(crate) async fn ordered_for(&self, choice: &ChoiceKey) -> Vec<Arc<Outproxy>> {
        match self.healthy_or_all(&choice.names, |_| true) {
            Ok(mut well) => {
                let chosen = self.choices.get(choice).await;
                well.sort_by_key(|outproxy| Some(outproxy.name()) != chosen.as_ref());
                well
            }
            Err(out) => out,
        }
    }

    /// The outproxies of a route that carry datagrams, in the order of the route. Ejected ones are left out, unless all are
    /// ejected.
    pub(crate) fn for_datagrams(&self, names: &[Arc<str>]) -> Vec<Arc<Outproxy>> {
        self.healthy_or_all(names, Outproxy::carries_datagrams).unwrap_or_else(|out| out)
    }

    /// Returns the outproxies of a route that are not ejected. If all are, returns all of them as an error, the one whose ejection
    /// ends first coming first.
    fn healthy_or_all(
        &self,
        names: &[Arc<str>],
        fits: impl Fn(&Outproxy) -> bool,
    ) -> Result<Vec<Arc<Outproxy>>, Vec<Arc<Outproxy>>> {
        let named = |name| self.all.iter().find(|outproxy| outproxy.name() == name);
        let all = names.iter().filter_map(named).filter(|outproxy| fits(outproxy));
        let all = all.map(|outproxy| (outproxy.health.ejected_until(), Arc::clone(outproxy)));
        let (mut out, well): (Vec<_>, Vec<_>) = all.partition(|(until, _)| until.is_some());
        if well.is_empty() {
            out.sort_by_key(|(until, _)| *until);
            return Err(out.into_iter().map(|(_, outproxy)| outproxy).collect());
        }
        Ok(well.into_iter().map(|(_, outproxy)| outproxy).collect())
    }

    /// Remembers which outproxy serves a target.
    pub(crate) async fn remember_choice(&self, choice: ChoiceKey, outproxy: &Outproxy) {
        self.choices.insert(choice, Arc::clone(outproxy.name())).await;
    }
}

/// An empty set.
impl Default for Outproxies {
    fn default() -> Self {
        let choices = Cache::builder().max_capacity(MAX_CHOICES).time_to_idle(CHOICE_LIFETIME).build();
        Self { all: Arc::default(), choices }
    }
}

/// Shows the names.
impl fmt::Debug for Outproxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|outproxy| outproxy.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outproxy::{definition::OutproxyAt, fault::OutproxyFailure, protocol::OutproxyProtocol};

    fn definition(name: &str, port: u16) -> OutproxyDefinition {
        OutproxyDefinition {
            name: name.into(),
            at: OutproxyAt::Tcp(vec![([127, 0, 0, 1], port).into()]),
            protocol: OutproxyProtocol::Socks5,
            credentials: None,
            pass_isolation: true,
        }
    }

    #[test]
    fn names_are_unique() {
        let two = Outproxies::new(vec![definition("a", 1), definition("b", 1), definition("a", 2)]);
        assert_eq!(two.unwrap_err(), DuplicateOutproxy("a".into()));
    }

    #[tokio::test]
    async fn state_is_kept_for_outproxies_whose_definition_does_not_change() {
        let before = Outproxies::new(vec![definition("a", 1), definition("b", 1)]).unwrap();
        let choice = || ChoiceKey {
            key: IsolationKey::of_tunnel("t".into()),
            target: Target::parse(b"example.com").unwrap(),
            names: ["c", "a", "b"].map(Arc::from).into(),
        };
        for outproxy in before.all.iter() {
            outproxy.health.record_attempt();
            outproxy.health.record::<()>(&Err(OutproxyFailure::Declined));
            before.remember_choice(choice(), outproxy).await;
        }
        let after =
            before.replaced_by(vec![definition("c", 1), definition("b", 1), definition("a", 2)]).unwrap();
        let attempts: Vec<_> =
            after.status().into_iter().map(|status| (status.name.to_string(), status.attempts)).collect();
        assert_eq!(attempts, [("c".into(), 0), ("b".into(), 1), ("a".into(), 0)]);
        let order = after.ordered_for(&choice()).await;
        let order: Vec<_> = order.iter().map(|outproxy| &**outproxy.name()).collect();
        assert_eq!(order, ["b", "c", "a"], "who served it last goes first");
        after.renew();
        assert_eq!(&**after.ordered_for(&choice()).await[0].name(), "c");
    }
}

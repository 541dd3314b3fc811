use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use i2p_name::Target;

use super::{
    connect::Outproxy,
    definition::OutproxyDefinition,
    fault::OutproxyFailure,
    health::{Ejections, OutproxyStatus},
};
use crate::client::{IdentityTable, IsolationKey};

/// Most identities whose experience is remembered, and for how long after their last request.
const MAX_IDENTITIES: usize = 2_048;
const EXPERIENCE_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Most choices that are remembered for one identity. The oldest is forgotten first.
const MAX_CHOICES: usize = 64;

/// All outproxies of a configuration, their health, and what each identity has experienced with them. Clones share this state.
#[derive(Clone)]
pub struct Outproxies {
    all: Arc<[Arc<Outproxy>]>,
    identities: Arc<IdentityTable<Experience>>,
}

/// What one identity has experienced. It changes how this identity uses outproxies, and nothing for the others.
#[derive(Default)]
struct Experience {
    /// The outproxies that served targets, the latest last.
    choices: VecDeque<(ChoiceKey, Arc<str>)>,
    /// Outproxies that failed requests of this identity.
    failing: Vec<(Arc<str>, Ejections)>,
    /// Whether it has reached an outproxy in I2P.
    has_reached_i2p: bool,
}

/// Identifies a choice of an outproxy: the target, and the outproxies of the matching route. A route for another port, with other
/// outproxies, makes another choice.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ChoiceKey {
    pub(crate) target: Target,
    pub(crate) names: Vec<Arc<str>>,
}

impl Experience {
    fn chosen(&self, choice: &ChoiceKey) -> Option<Arc<str>> {
        self.choices.iter().find(|(known, _)| known == choice).map(|(_, name)| Arc::clone(name))
    }

    fn choose(&mut self, choice: ChoiceKey, name: &Arc<str>) {
        self.choices.retain(|(known, _)| *known != choice);
        if self.choices.len() >= MAX_CHOICES {
            self.choices.pop_front();
        }
        self.choices.push_back((choice, Arc::clone(name)));
    }

    fn is_failing(&self, name: &Arc<str>) -> bool {
        self.failing.iter().any(|(known, ejections)| known == name && ejections.until().is_some())
    }

    /// Counts a failure. Returns whether the outproxy is set aside for this identity from now on.
    fn record_failure(&mut self, name: &Arc<str>) -> bool {
        let known = self.failing.iter().position(|(known, _)| known == name);
        let known = known.unwrap_or_else(|| {
            self.failing.push((Arc::clone(name), Ejections::default()));
            self.failing.len() - 1
        });
        self.failing.get_mut(known).is_some_and(|(_, ejections)| ejections.record_fault().is_some())
    }

    fn record_success(&mut self, name: &Arc<str>) {
        self.failing.retain(|(known, _)| known != name);
    }
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
        Ok(Self { all: all.into(), identities: Arc::clone(&self.identities) })
    }

    /// The state of each outproxy, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<OutproxyStatus> {
        self.all.iter().map(|outproxy| outproxy.health.status()).collect()
    }

    /// Gives all clients new identities: forgets which client used which outproxy, and makes up new credentials.
    pub fn renew(&self) {
        self.identities.clear();
        self.all.iter().for_each(|outproxy| outproxy.tokens.renew());
    }

    /// Whether there is an outproxy of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all.iter().any(|outproxy| **outproxy.name() == *name)
    }

    /// The outproxies of a route in the order in which an identity tries them: first the one that served this target last, then the
    /// order of the route, but those that fail this identity's requests come last. Ejected ones are left out, unless all are
    /// ejected: then the one whose ejection ends first comes first.
    pub(crate) fn ordered_for(&self, key: &IsolationKey, choice: &ChoiceKey) -> Vec<Arc<Outproxy>> {
        match self.healthy_or_all(key, &choice.names, |_| true) {
            // Nothing is remembered for rules that leave no choice.
            Ok(well) if well.len() < 2 => well,
            Ok(mut well) => {
                self.identities.with(key, |experience| {
                    let chosen = experience.chosen(choice);
                    well.sort_by_key(|outproxy| {
                        let name = outproxy.name();
                        (Some(name) != chosen.as_ref(), experience.is_failing(name))
                    });
                });
                well
            }
            Err(out) => out,
        }
    }

    /// Whether an identity has reached an outproxy in I2P before.
    pub(crate) fn has_reached_i2p(&self, key: &IsolationKey) -> bool {
        self.identities.with(key, |experience| experience.has_reached_i2p)
    }

    /// The outproxies of a route that carry datagrams, in the order of the route. Ejected ones are left out, unless all are
    /// ejected.
    pub(crate) fn for_datagrams(&self, key: &IsolationKey, names: &[Arc<str>]) -> Vec<Arc<Outproxy>> {
        self.healthy_or_all(key, names, Outproxy::carries_datagrams).unwrap_or_else(|out| out)
    }

    /// Returns the outproxies of a route that are not ejected for the client of this key. If all are, returns all of them as an error, the one whose ejection
    /// ends first coming first.
    fn healthy_or_all(
        &self,
        key: &IsolationKey,
        names: &[Arc<str>],
        fits: impl Fn(&Outproxy) -> bool,
    ) -> Result<Vec<Arc<Outproxy>>, Vec<Arc<Outproxy>>> {
        let named = |name| self.all.iter().find(|outproxy| outproxy.name() == name);
        let all = names.iter().filter_map(named).filter(|outproxy| fits(outproxy));
        let all = all.map(|outproxy| (outproxy.health.ejected_until(key.origin()), Arc::clone(outproxy)));
        let (mut out, well): (Vec<_>, Vec<_>) = all.partition(|(until, _)| until.is_some());
        if well.is_empty() {
            out.sort_by_key(|(until, _)| *until);
            return Err(out.into_iter().map(|(_, outproxy)| outproxy).collect());
        }
        Ok(well.into_iter().map(|(_, outproxy)| outproxy).collect())
    }

    /// Remembers for an identity how an outproxy served its request.
    pub(crate) fn record<T>(
        &self,
        key: &IsolationKey,
        choice: &ChoiceKey,
        outproxy: &Outproxy,
        outcome: &Result<T, OutproxyFailure>,
    ) {
        let name = outproxy.name();
        let is_set_aside = self.identities.with(key, |experience| {
            match outcome {
                Ok(_) if choice.names.len() > 1 => experience.choose(choice.clone(), name),
                Err(OutproxyFailure::Request(_)) => return experience.record_failure(name),
                Ok(_) | Err(OutproxyFailure::Target(_)) => {}
                Err(_) => return false,
            }
            experience.record_success(name);
            experience.has_reached_i2p |= outproxy.is_in_i2p();
            false
        });
        if let (true, Err(OutproxyFailure::Request(fault))) = (is_set_aside, outcome) {
            outproxy.warn_once_for_one_client(*fault);
        }
    }
}

/// An empty set.
impl Default for Outproxies {
    fn default() -> Self {
        let identities = Arc::new(IdentityTable::new(MAX_IDENTITIES, EXPERIENCE_LIFETIME));
        Self { all: Arc::default(), identities }
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
    use crate::outproxy::{definition::OutproxyAt, protocol::OutproxyProtocol};

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
        let key = IsolationKey::of_tunnel("t".into());
        let choice = ChoiceKey {
            target: Target::parse(b"example.com").unwrap(),
            names: ["c", "a", "b"].map(Arc::from).into(),
        };
        for outproxy in before.all.iter() {
            outproxy.health.record_attempt();
            outproxy.health.record::<()>(None, &Err(OutproxyFailure::Declined));
            before.record(&key, &choice, outproxy, &Ok(()));
        }
        let after =
            before.replaced_by(vec![definition("c", 1), definition("b", 1), definition("a", 2)]).unwrap();
        let attempts: Vec<_> =
            after.status().into_iter().map(|status| (status.name.to_string(), status.attempts)).collect();
        assert_eq!(attempts, [("c".into(), 0), ("b".into(), 1), ("a".into(), 0)]);
        let order = after.ordered_for(&key, &choice);
        let order: Vec<_> = order.iter().map(|outproxy| &**outproxy.name()).collect();
        assert_eq!(order, ["b", "c", "a"], "who served it last goes first");
        after.renew();
        assert_eq!(&**after.ordered_for(&key, &choice)[0].name(), "c");
    }
}

use std::{fmt, sync::Arc, time::Duration};

use i2p_name::Target;
use moka::future::Cache;

use super::{connect::Outproxy, definition::OutproxyDefinition, health::OutproxyStatus};
use crate::client::IsolationKey;

/// Choices that are remembered, and for how long after their last use.
const REMEMBERED: u64 = 16_384;
const UNUSED: Duration = Duration::from_secs(60 * 60);

/// The outproxies of a configuration, how each does, and who is served by which. Clones share all of that.
#[derive(Clone)]
pub struct Outproxies {
    all: Arc<[Arc<Outproxy>]>,
    chosen: Cache<Asking, Arc<str>>,
}

/// The key of a remembered choice: the identity, its target, and the outproxies of the matching route. Two routes for different
/// ports of one host have different lists, and so separate choices.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asking {
    pub(crate) key: IsolationKey,
    pub(crate) target: Target,
    pub(crate) names: Vec<Arc<str>>,
}

/// Two outproxies have one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two outproxies are called {0}")]
pub struct TwoOutproxies(pub Arc<str>);

impl Outproxies {
    /// These outproxies, of which nothing is known yet.
    ///
    /// # Errors
    /// [`TwoOutproxies`].
    pub fn new(definitions: Vec<OutproxyDefinition>) -> Result<Self, TwoOutproxies> {
        Self::default().replaced_by(definitions)
    }

    /// The outproxies of another configuration. Those with a definition that was here before are the same as before, with
    /// all that is known of them; and who was served by which is remembered.
    ///
    /// # Errors
    /// [`TwoOutproxies`].
    pub fn replaced_by(&self, definitions: Vec<OutproxyDefinition>) -> Result<Self, TwoOutproxies> {
        let mut all: Vec<Arc<Outproxy>> = Vec::with_capacity(definitions.len());
        for definition in definitions {
            if all.iter().any(|other| *other.name() == definition.name) {
                return Err(TwoOutproxies(definition.name));
            }
            let same = self.all.iter().find(|outproxy| outproxy.definition == definition);
            all.push(same.cloned().unwrap_or_else(|| Arc::new(Outproxy::new(definition))));
        }
        Ok(Self { all: all.into(), chosen: self.chosen.clone() })
    }

    /// How each does, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<OutproxyStatus> {
        self.all.iter().map(|outproxy| outproxy.health.status()).collect()
    }

    /// New identities: forgets who was served by which, and tells outproxies of everybody as of somebody new.
    pub fn renew(&self) {
        self.chosen.invalidate_all();
        self.all.iter().for_each(|outproxy| outproxy.tokens.renew());
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|outproxy| **outproxy.name() == *name)
    }

    /// Those of a rule, in the order in which they are to be asked for this target: the one that has served it last, then the
    /// rule's order. Those that are left alone are not asked, unless all are: then that for the shortest time goes first.
    pub(crate) async fn in_order(&self, asking: &Asking) -> Vec<Arc<Outproxy>> {
        match self.that_are_well(&asking.names, |_| true) {
            Ok(mut well) => {
                let chosen = self.chosen.get(asking).await;
                well.sort_by_key(|outproxy| Some(outproxy.name()) != chosen.as_ref());
                well
            }
            Err(out) => out,
        }
    }

    /// Those of a rule that datagrams may go by, in the rule's order, and without those that are left alone, unless all are.
    pub(crate) fn with_datagrams(&self, names: &[Arc<str>]) -> Vec<Arc<Outproxy>> {
        self.that_are_well(names, Outproxy::carries_datagrams).unwrap_or_else(|out| out)
    }

    /// Those of a rule that are not left alone; an error holds all, where all are, that for the shortest time first.
    fn that_are_well(
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

    /// Remembers who serves a target.
    pub(crate) async fn choose(&self, asking: Asking, outproxy: &Outproxy) {
        self.chosen.insert(asking, Arc::clone(outproxy.name())).await;
    }
}

/// None.
impl Default for Outproxies {
    fn default() -> Self {
        let chosen = Cache::builder().max_capacity(REMEMBERED).time_to_idle(UNUSED).build();
        Self { all: Arc::default(), chosen }
    }
}

/// Their names.
impl fmt::Debug for Outproxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|outproxy| outproxy.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outproxy::{definition::OutproxyAt, fault::Fault, protocol::OutproxyProtocol};

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
        assert_eq!(two.unwrap_err(), TwoOutproxies("a".into()));
    }

    #[tokio::test]
    async fn what_is_known_outlives_another_configuration_where_the_definition_is_the_same() {
        let before = Outproxies::new(vec![definition("a", 1), definition("b", 1)]).unwrap();
        let asking = || Asking {
            key: IsolationKey::of_tunnel("t".into()),
            target: Target::parse(b"example.com").unwrap(),
            names: ["c", "a", "b"].map(Arc::from).into(),
        };
        for outproxy in before.all.iter() {
            outproxy.health.attempt();
            outproxy.health.note::<()>(&Err(Fault::Declined));
            before.choose(asking(), outproxy).await;
        }
        let after =
            before.replaced_by(vec![definition("c", 1), definition("b", 1), definition("a", 2)]).unwrap();
        let attempts: Vec<_> =
            after.status().into_iter().map(|status| (status.name.to_string(), status.attempts)).collect();
        assert_eq!(attempts, [("c".into(), 0), ("b".into(), 1), ("a".into(), 0)]);
        let order = after.in_order(&asking()).await;
        let order: Vec<_> = order.iter().map(|outproxy| &**outproxy.name()).collect();
        assert_eq!(order, ["b", "c", "a"], "who served it last goes first");
        after.renew();
        assert_eq!(&**after.in_order(&asking()).await[0].name(), "c");
    }
}

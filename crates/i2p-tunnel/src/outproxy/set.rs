use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use i2p_name::Target;
use tokio::time::Instant;

use super::{
    connect::Outproxy,
    definition::OutproxyDefinition,
    fault::OutproxyFailure,
    health::{Ejections, OutproxyStatus},
};
use crate::{
    client::{IdentityTable, IsolationKey},
    dial::SessionMark,
};

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
    /// Outproxies that failed requests of this identity since the last one that they served.
    failing: Vec<(Weak<Outproxy>, Failing)>,
    /// The session by which it has reached an outproxy in I2P last. A later session, even with the same destination, may have tunnels
    /// that do not work.
    proven_session: Option<SessionMark>,
}

/// How an outproxy fails an identity.
#[derive(Default)]
struct Failing {
    /// Before it knew the target: it may be unavailable, so it is skipped.
    before_target: Ejections,
    /// Since it knew the target, or by a session that may be at fault: new targets go to other outproxies first.
    with_target: Ejections,
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

    fn failing(&self, outproxy: &Arc<Outproxy>) -> Option<&Failing> {
        let own = Arc::downgrade(outproxy);
        self.failing.iter().find(|(known, _)| known.ptr_eq(&own)).map(|(_, failing)| failing)
    }

    /// The end of the ejection of an outproxy, for this identity or for all.
    fn ejected_until(&self, outproxy: &Arc<Outproxy>) -> Option<Instant> {
        let own = self.failing(outproxy).and_then(|failing| failing.before_target.until());
        own.max(outproxy.health.ejected_until())
    }

    /// Whether new targets go to others first.
    fn prefers_others_to(&self, outproxy: &Arc<Outproxy>) -> bool {
        self.failing(outproxy).is_some_and(|failing| failing.with_target.until().is_some())
    }

    /// Leaves out the outproxies that are ejected. If all are, returns all of them as an error, the one whose ejection ends first
    /// coming first.
    fn healthy_or_all(&self, all: Vec<Arc<Outproxy>>) -> Result<Vec<Arc<Outproxy>>, Vec<Arc<Outproxy>>> {
        let all = all.into_iter().map(|outproxy| (self.ejected_until(&outproxy), outproxy));
        let (mut out, well): (Vec<_>, Vec<_>) = all.partition(|(until, _)| until.is_some());
        if well.is_empty() {
            out.sort_by_key(|(until, _)| *until);
            return Err(out.into_iter().map(|(_, outproxy)| outproxy).collect());
        }
        Ok(well.into_iter().map(|(_, outproxy)| outproxy).collect())
    }

    /// Counts a failure. Returns for how long the outproxy is ejected, or others are preferred to it, if that begins now.
    fn record_failure(&mut self, outproxy: &Arc<Outproxy>, failure: OutproxyFailure) -> Option<Duration> {
        // Those that a reload has removed or changed are gone.
        self.failing.retain(|(known, _)| known.strong_count() > 0);
        let own = Arc::downgrade(outproxy);
        let known = self.failing.iter().position(|(known, _)| known.ptr_eq(&own));
        let known = known.unwrap_or_else(|| {
            self.failing.push((own, Failing::default()));
            self.failing.len() - 1
        });
        let (_, failing) = self.failing.get_mut(known)?;
        match failure {
            OutproxyFailure::Outproxy(_) => failing.before_target.record_fault(),
            OutproxyFailure::Request(_) => failing.with_target.record_fault(),
            OutproxyFailure::Target(_) | OutproxyFailure::Declined | OutproxyFailure::Router(_) => None,
        }
    }

    fn record_success(&mut self, outproxy: &Arc<Outproxy>) {
        let own = Arc::downgrade(outproxy);
        self.failing.retain(|(known, _)| !known.ptr_eq(&own));
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

    /// The same for clients that send this user ID or username, if their credentials keep them apart.
    pub fn renew_of(&self, user: &[u8]) {
        self.renew_if(|key| key.is_of_user(user));
    }

    /// The same for the identities that `is_renewed` chooses.
    pub(crate) fn renew_if(&self, is_renewed: impl Fn(&IsolationKey) -> bool) {
        self.identities.forget_if(&is_renewed);
        self.all.iter().for_each(|outproxy| outproxy.tokens.renew_if(&is_renewed));
    }

    /// Whether there is an outproxy of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all.iter().any(|outproxy| **outproxy.name() == *name)
    }

    /// The outproxies of a route in the order in which an identity tries them: first the one that served this target last, then the
    /// order of the route, but those that fail this identity's requests come last. Ejected ones are left out, unless all are
    /// ejected: then the one whose ejection ends first comes first.
    pub(crate) fn ordered_for(&self, key: &IsolationKey, choice: &ChoiceKey) -> Vec<Arc<Outproxy>> {
        let all = self.named(&choice.names, |_| true);
        // Nothing is remembered for routes that leave no choice.
        if all.len() < 2 {
            return all;
        }
        self.identities.with(key, |experience| match experience.healthy_or_all(all) {
            Ok(mut well) => {
                let chosen = experience.chosen(choice);
                well.sort_by_key(|outproxy| {
                    (Some(outproxy.name()) != chosen.as_ref(), experience.prefers_others_to(outproxy))
                });
                well
            }
            Err(out) => out,
        })
    }

    /// The session by which an identity has reached an outproxy in I2P last.
    pub(crate) fn proven_session(&self, key: &IsolationKey) -> Option<SessionMark> {
        self.identities.with(key, |experience| experience.proven_session)
    }

    /// The outproxies of a route that carry datagrams, in the order of the route. Ejected ones are left out, unless all are
    /// ejected.
    pub(crate) fn for_datagrams(&self, key: &IsolationKey, names: &[Arc<str>]) -> Vec<Arc<Outproxy>> {
        let all = self.named(names, Outproxy::carries_datagrams);
        if all.len() < 2 {
            return all;
        }
        self.identities.with(key, |experience| experience.healthy_or_all(all).unwrap_or_else(|out| out))
    }

    /// The outproxies of these names that are fit.
    fn named(&self, names: &[Arc<str>], is_fit: impl Fn(&Outproxy) -> bool) -> Vec<Arc<Outproxy>> {
        let named = |name| self.all.iter().find(|outproxy| outproxy.name() == name);
        names.iter().filter_map(named).filter(|outproxy| is_fit(outproxy)).cloned().collect()
    }

    /// Remembers for an identity how an outproxy served its request, by which session if the outproxy is in I2P.
    pub(crate) fn record<T>(
        &self,
        (key, session): (&IsolationKey, Option<SessionMark>),
        choice: &ChoiceKey,
        outproxy: &Arc<Outproxy>,
        outcome: &Result<T, OutproxyFailure>,
    ) {
        let failure = self.identities.with(key, |experience| {
            if let Ok(_) | Err(OutproxyFailure::Target(_)) = outcome {
                experience.record_success(outproxy);
                experience.proven_session = session.or(experience.proven_session);
            }
            match outcome {
                Ok(_) if choice.names.len() > 1 => experience.choose(choice.clone(), outproxy.name()),
                Err(failure) => return Some((*failure, experience.record_failure(outproxy, *failure)?)),
                Ok(_) => {}
            }
            None
        });
        match failure {
            Some((OutproxyFailure::Outproxy(fault), duration)) => {
                outproxy.health.note_ejection_for_one(duration);
                outproxy.warn_for_one_client(fault);
            }
            Some((OutproxyFailure::Request(fault), _)) => outproxy.warn_for_one_client(fault),
            _ => {}
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
            before.record((&key, None), &choice, outproxy, &Ok(()));
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

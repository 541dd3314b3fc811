//! Routing: decides whether a request goes to I2P, to an outproxy or nowhere. I2P names go to I2P, whatever the rules say.
//!
//! Imports nothing from this crate.

mod host;
mod local;
mod outside;
mod port;

use std::{fmt, sync::Arc};

use i2p_name::Target;

pub use self::{
    host::{HostPattern, HostPatternError, HostPatternKind},
    local::{LOCAL_DOMAINS, LOCAL_NETWORKS},
    outside::OutsideHost,
    port::{PortSet, PortSetError},
};

/// The rules for hosts outside I2P. The first rule that matches decides; a request that no rule matches is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<Rule>);

/// Sends requests for certain hosts and ports to outproxies, or rejects them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The hosts that it matches.
    pub host: HostPattern,
    /// The ports that it matches.
    pub ports: PortSet,
    /// Where it sends requests.
    pub via: Via,
}

/// Where a rule sends requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Nowhere: it refuses them.
    Reject,
    /// To the first of these outproxies that connects.
    Outproxies(Vec<Arc<str>>),
}

/// The routing decision for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes to I2P.
    I2p,
    /// It goes to outproxies.
    Outproxies {
        /// Index of the rule that decided, from 0.
        rule: usize,
        /// Names of the outproxies, in the order to try.
        names: &'a [Arc<str>],
        /// The host to request from them.
        host: OutsideHost<'a>,
    },
    /// A rule rejects it.
    Rejected {
        /// Index of the rule, from 0.
        rule: usize,
    },
    /// No rule matches, so it is refused.
    NoRule,
}

/// Whether a rule matches a request, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The rule matches.
    Matches,
    /// The rule is for other hosts.
    OtherHost,
    /// The rule is for this host, but for other ports.
    OtherPort,
    /// The rule's pattern matches the host, but the host is local and the rule excludes local hosts.
    LocalHost,
}

impl Rule {
    /// Compares this rule with a request.
    #[must_use]
    pub fn compare(&self, host: OutsideHost<'_>, port: u16) -> Comparison {
        if !self.host.covers(host) {
            Comparison::OtherHost
        } else if !self.ports.contains(port) {
            Comparison::OtherPort
        } else if self.excludes_local_hosts() && local::is_local(host) {
            Comparison::LocalHost
        } else {
            Comparison::Matches
        }
    }

    /// Whether this rule excludes local hosts: addresses in [`LOCAL_NETWORKS`], names without a dot and names below
    /// [`LOCAL_DOMAINS`]. Rules that reject never do.
    #[must_use]
    pub fn excludes_local_hosts(&self) -> bool {
        self.leads_out() && !self.host.names_local_hosts()
    }

    /// Whether this rule matches every request that `later` matches.
    fn shadows(&self, later: &Self) -> bool {
        let leaves_local =
            self.leads_out() && !self.host.matches_local_hosts() && later.may_match_local_hosts();
        self.host.is_superset_of(&later.host) && self.ports.is_superset_of(&later.ports) && !leaves_local
    }

    fn may_match_local_hosts(&self) -> bool {
        if self.leads_out() { self.host.matches_local_hosts() } else { self.host.covers_local_hosts() }
    }

    /// Whether this rule sends requests to outproxies.
    fn leads_out(&self) -> bool {
        self.via != Via::Reject
    }
}

impl fmt::Display for Rule {
    /// Writes the rule in one line, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}, ", self.host)?;
        match self.ports == PortSet::all() {
            true => f.write_str("all ports, ")?,
            false => write!(f, "port {}, ", self.ports)?,
        }
        match &self.via {
            Via::Reject => f.write_str("reject"),
            Via::Outproxies(names) => write!(f, "via {}", names.join(", ")),
        }
    }
}

impl Routes {
    /// Routes with these rules, in this order. Without rules, every request outside I2P is refused.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Finds rules that never decide because an earlier rule matches everything that they match. Returns pairs of indexes from 0:
    /// the shadowed rule, and the first rule that shadows it. It may miss some, but reports no rule wrongly.
    #[must_use]
    pub fn shadowed_rules(&self) -> Vec<(usize, usize)> {
        let rules = self.0.iter().enumerate();
        let shadowed = |(index, rule): (usize, &Rule)| {
            let first = self.0.iter().take(index).position(|earlier| earlier.shadows(rule));
            first.map(|first| (index, first))
        };
        rules.filter_map(shadowed).collect()
    }

    /// Decides where a request goes. I2P targets are never compared with rules: see [`OutsideHost::of`].
    #[must_use]
    pub fn decide<'a>(&'a self, target: &'a Target, port: u16) -> Verdict<'a> {
        let Some(host) = OutsideHost::of(target) else { return Verdict::I2p };
        let mut rules = self.0.iter().enumerate();
        match rules.find(|(_, rule)| rule.compare(host, port) == Comparison::Matches) {
            Some((rule, Rule { via: Via::Outproxies(names), .. })) => {
                Verdict::Outproxies { rule, names, host }
            }
            Some((rule, Rule { via: Via::Reject, .. })) => Verdict::Rejected { rule },
            None => Verdict::NoRule,
        }
    }
}

#[cfg(test)]
mod tests;

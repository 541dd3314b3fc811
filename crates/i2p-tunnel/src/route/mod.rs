//! Which way a request goes: the rules of the configuration, and what is of I2P whatever they say.
//!
//! Imports nothing of this crate.

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

/// The rules for what is not of I2P: the first that matches decides, and what none matches is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<Rule>);

/// Where requests of a kind go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which hosts.
    pub host: HostPattern,
    /// Which ports.
    pub ports: PortSet,
    /// Where to.
    pub via: Via,
}

/// Where a rule sends what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Nowhere.
    Reject,
    /// To one of these outproxies, the first that works.
    Outproxies(Vec<Arc<str>>),
}

/// What is to become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes to I2P, and nowhere else.
    I2p,
    /// It is asked of outproxies.
    Outproxies {
        /// The rule that says so, counted from 0.
        rule: usize,
        /// Their names, in the rule's order.
        names: &'a [Arc<str>],
        /// What they are asked for.
        host: OutsideHost<'a>,
    },
    /// A rule refuses it.
    Rejected {
        /// The rule, counted from 0.
        rule: usize,
    },
    /// No rule matches: it is refused.
    NoRule,
}

/// How a rule and a request compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The rule matches.
    Matches,
    /// It is about other hosts.
    OtherHost,
    /// It is about the host, and about other ports.
    OtherPort,
    /// It would be about the host, which is local and not named by it.
    LocalHost,
}

impl Rule {
    /// How it compares with a request.
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

    /// Whether local hosts are not meant: addresses of [`LOCAL_NETWORKS`], names without a dot and below [`LOCAL_DOMAINS`].
    #[must_use]
    pub fn excludes_local_hosts(&self) -> bool {
        self.leads_out() && !self.host.names_local()
    }

    /// Whether this rule matches all that another one could match after it.
    fn leaves_nothing_for(&self, later: &Self) -> bool {
        let spares_local = self.leads_out() && !self.host.means_local() && later.may_match_local();
        self.host.holds(&later.host) && self.ports.hold(&later.ports) && !spares_local
    }

    fn may_match_local(&self) -> bool {
        if self.leads_out() { self.host.means_local() } else { self.host.covers_local() }
    }

    /// A rule that refuses everything refuses local hosts too.
    fn leads_out(&self) -> bool {
        self.via != Via::Reject
    }
}

impl fmt::Display for Rule {
    /// In one line, for people.
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
    /// These rules, in this order. Without any, everything outside I2P is refused.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// The rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Rules that never decide, since one before them matches all that they match: pairs of such a rule and the first one that
    /// does so, counted from 0. Not all can be found; those that are found are sure.
    #[must_use]
    pub fn shadowed_rules(&self) -> Vec<(usize, usize)> {
        let rules = self.0.iter().enumerate();
        let before = |(index, rule): (usize, &Rule)| {
            let first = self.0.iter().take(index).position(|earlier| earlier.leaves_nothing_for(rule));
            first.map(|first| (index, first))
        };
        rules.filter_map(before).collect()
    }

    /// Decides which way a request goes. What is of I2P never comes near a rule: see [`OutsideHost::of`].
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

use i2p_name::Target;
use stream_filters::Protocol;

use crate::route::{AnyHostPattern, PortSet};

/// The ports of protocols that have a filter.
const PORTS: [(u16, Protocol); 8] = [
    (80, Protocol::Http),
    (5222, Protocol::Xmpp),
    (21, Protocol::Ftp),
    (25, Protocol::Smtp),
    (110, Protocol::Pop3),
    (143, Protocol::Imap),
    (587, Protocol::Smtp),
    (6667, Protocol::Irc),
];

/// The filter of the protocol that servers usually speak at a port.
#[must_use]
pub fn filter_of_port(port: u16) -> Option<Protocol> {
    PORTS.iter().find(|(of, _)| *of == port).map(|(_, protocol)| *protocol)
}

/// The rules of a tunnel. The first one that matches a stream decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Vec<FilterRule>);

/// Chooses the filter of streams to certain hosts and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRule {
    /// What people call it: its place among all rules of the configuration, from 1.
    pub number: usize,
    /// The hosts that it matches.
    pub host: AnyHostPattern,
    /// The ports that it matches.
    pub ports: PortSet,
    /// The filter; `None`: these streams are not filtered.
    pub protocol: Option<Protocol>,
}

/// Which filter a stream gets, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterVerdict {
    /// A rule decides.
    Rule {
        /// Its [number](FilterRule::number).
        number: usize,
        /// The filter, if it says one.
        protocol: Option<Protocol>,
    },
    /// No rule matches, and the port decides.
    Port(Protocol),
    /// The stream is not filtered.
    None,
}

impl FilterVerdict {
    /// The filter.
    #[must_use]
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Rule { protocol, .. } => protocol,
            Self::Port(protocol) => Some(protocol),
            Self::None => None,
        }
    }
}

impl Filters {
    /// The list of these rules, in this order.
    #[must_use]
    pub fn new(rules: Vec<FilterRule>) -> Self {
        Self(rules)
    }

    /// Decides for a stream. With `by_port`, one that no rule matches gets the filter of its port.
    #[must_use]
    pub fn decide(&self, target: &Target, port: u16, by_port: bool) -> FilterVerdict {
        let mut matching = self.0.iter().filter(|rule| rule.ports.contains(port) && rule.host.covers(target));
        match matching.next() {
            Some(rule) => FilterVerdict::Rule { number: rule.number, protocol: rule.protocol },
            None => by_port
                .then(|| filter_of_port(port))
                .flatten()
                .map_or(FilterVerdict::None, FilterVerdict::Port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(number: usize, host: &str, ports: &str, protocol: Option<Protocol>) -> FilterRule {
        FilterRule { number, host: host.parse().unwrap(), ports: ports.parse().unwrap(), protocol }
    }

    #[test]
    fn the_first_matching_rule_decides_and_then_the_port() {
        let filters = Filters::new(vec![
            rule(1, "plain.i2p", "6667", None),
            rule(4, ".i2p", "6667,7000", Some(Protocol::Irc)),
            rule(5, "198.51.100.0/24", "1-65535", Some(Protocol::Smtp)),
        ]);
        let decided = |host: &str, port, by_port| {
            filters.decide(&Target::parse(host.as_bytes()).unwrap(), port, by_port)
        };
        let by_rule = |number, protocol| FilterVerdict::Rule { number, protocol };
        for (host, port, by_port, verdict) in [
            ("plain.i2p", 6667, true, by_rule(1, None)),
            ("irc.i2p", 6667, true, by_rule(4, Some(Protocol::Irc))),
            ("irc.i2p", 7000, false, by_rule(4, Some(Protocol::Irc))),
            ("198.51.100.9", 7, false, by_rule(5, Some(Protocol::Smtp))),
            ("example.com", 6667, false, FilterVerdict::None),
            ("example.com", 6667, true, FilterVerdict::Port(Protocol::Irc)),
            ("mail.i2p", 587, true, FilterVerdict::Port(Protocol::Smtp)),
            ("mail.i2p", 587, false, FilterVerdict::None),
            ("mail.i2p", 22, true, FilterVerdict::None),
        ] {
            assert_eq!(decided(host, port, by_port), verdict, "{host}:{port}, by port: {by_port}");
        }
    }
}

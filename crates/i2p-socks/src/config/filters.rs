//! All `[[filter]]`s together: what each tunnel gets of them, and what is wrong with them.

use i2p_tunnel::{Filtering, Filters, OwnMachine};

use super::{Config, filter::FilterConfig, problem::Problem, tunnel::TunnelConfig};

impl Config {
    /// The filters of a tunnel, in order.
    pub(crate) fn filters(&self, tunnel: &TunnelConfig) -> Filters {
        let numbered = self.filter.iter().zip(1..).filter(|(filter, _)| filter.is_for(tunnel));
        Filters::new(numbered.map(|(filter, number)| filter.rule(number)).collect())
    }

    /// The filters that no stream reaches, each with the first one that takes all of its streams. Both are counted from 1.
    pub(super) fn shadowed_filters(&self) -> Vec<(usize, usize)> {
        let shadowed = |(index, later): (usize, &FilterConfig)| {
            let first = self.filter.iter().take(index).position(|earlier| earlier.shadows(later))?;
            Some((index + 1, first + 1))
        };
        self.filter.iter().enumerate().filter_map(shadowed).collect()
    }

    /// How the streams of a tunnel are filtered.
    pub(crate) fn filtering(&self, tunnel: &TunnelConfig, machine: &OwnMachine) -> Filtering {
        let (filters, leak_guard) = (self.filters(tunnel).into(), tunnel.leak_guard(machine));
        Filtering { filters, by_port: false, leak_guard }
    }

    /// What is wrong with the filters.
    pub(super) fn filter_contradictions(&self, tunnels: &[TunnelConfig]) -> Vec<Problem> {
        let numbered = self.filter.iter().enumerate();
        numbered.flat_map(|(index, filter)| filter.contradictions(index, tunnels)).collect()
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::Target;

    use super::*;

    /// The number of the rule and the filter for a stream of a tunnel.
    fn decided(config: &Config, tunnel: usize, host: &str, port: u16) -> String {
        let target = Target::parse(host.as_bytes()).unwrap();
        let filters = config.filters(&config.tunnels()[tunnel]);
        format!("{:?}", filters.decide(&target, port, false))
    }

    #[test]
    fn each_tunnel_has_its_filters() {
        let text = "[[tunnel]]\nname = 'a'\n[[tunnel]]\nname = 'b'\nlisten = '127.0.0.1:1'\n\
                    [[filter]]\nhost = 'plain.i2p'\nprotocol = 'none'\n\
                    [[filter]]\nport = 6667\ntunnel = 'b'\nprotocol = 'irc'\n\
                    [[filter]]\nport = '25,587'\nhost = '.i2p'\nprotocol = 'smtp'\n";
        let config = Config::parse(text).unwrap();
        config.check().unwrap();
        for (tunnel, host, port, expected) in [
            (0, "irc.i2p", 6667, "None"),
            (1, "irc.i2p", 6667, "Rule { number: 2, protocol: Some(Irc) }"),
            (1, "plain.i2p", 6667, "Rule { number: 1, protocol: None }"),
            (0, "mail.i2p", 587, "Rule { number: 3, protocol: Some(Smtp) }"),
            (0, "mail.example", 587, "None"),
        ] {
            assert_eq!(decided(&config, tunnel, host, port), expected, "{tunnel} {host}:{port}");
        }
    }

    #[test]
    fn mistakes_say_where_and_what_is_expected() {
        for (text, says) in [
            ("port = 6667", "missing field `protocol`"),
            ("protocol = 'irk'", "expected \"irc\", \"smtp\""),
            ("protocol = 'irc'", "filter 1 has no port"),
            ("protocol = 'none'\ntunnel = 'x'", "filter 1 is for the tunnel x, but there is no [[tunnel]]"),
            ("protocol = 'none'\ntunnel = 'A'", "lower-case letters"),
            ("protocol = 'none'\nhost = 'a b'", "line 3, column 8"),
            ("protocol = 'irc'\nports = 1", "unknown field `ports`"),
        ] {
            let parsed = Config::parse(&format!("[[filter]]\n{text}\n")).map_err(|error| error.to_string());
            let error = parsed.and_then(|config| config.check()).unwrap_err();
            assert!(error.contains(says), "{text}\n{error}");
        }
    }
}

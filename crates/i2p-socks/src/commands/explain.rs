//! `explain HOST PORT`: which way a request would go, and which rule says so. Asks nobody: all of it is in the configuration.

use std::net::IpAddr;

use i2p_name::{I2pName, NamedTarget, Target, VirtualOptions};
use i2p_tunnel::{Comparison, OutsideHost, Routes, Verdict};
use serde::Serialize;

use crate::{config::Config, failure::Failure, terminal::output::say};

/// All that there is to say of a request.
#[derive(Debug, Serialize)]
struct Report {
    /// The host in its canonical form, or as it was given where it has none.
    host: String,
    port: u16,
    /// What kind of host it is.
    form: String,
    /// The rules that were compared, up to the one that decides.
    rules: Vec<Compared>,
    decision: Decision,
    /// The decision in words.
    why: String,
    /// The outproxies that are asked, in their order.
    outproxies: Vec<Asked>,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    I2p,
    Outproxies,
    Refused,
}

/// A rule, and what it has to do with the request.
#[derive(Debug, Serialize)]
struct Compared {
    /// Its number, counted from 1.
    rule: usize,
    says: String,
    outcome: &'static str,
}

/// An outproxy.
#[derive(Debug, Serialize)]
struct Asked {
    name: String,
    /// What it is and where.
    what: String,
}

/// Says on stdout what would become of a request.
pub(crate) fn run(config: &Config, host: &str, port: u16, json: bool) -> Result<(), Failure> {
    let report = Report::of(config, host, port)?;
    let text = if json {
        serde_json::to_string_pretty(&report).map_err(Failure::run_time)? + "\n"
    } else {
        report.plain()
    };
    say(&text)
}

impl Report {
    fn of(config: &Config, host: &str, port: u16) -> Result<Self, Failure> {
        let target = match Target::parse(host.as_bytes()) {
            Ok(target) => target,
            Err(error) => {
                // As Rust writes strings: nothing in it is a command to a terminal.
                let report = Self::new(format!("{host:?}"), port, "no name and no address".into());
                return Ok(report.refused(format!("it is malformed: {error}")));
            }
        };
        Ok(match &target {
            Target::I2p(name) => Self::new(name.to_string(), port, form(name).into())
                .into_i2p("names of I2P go there and nowhere else"),
            Target::Ip(address) => {
                let options = config.virtual_addresses.options()?;
                match means(&options, *address) {
                    Some(Meaning::Target(mapped)) => {
                        let form = format!("an address that stands for {mapped}, by [virtual-addresses.map]");
                        let report = Self::new(address.to_string(), port, form);
                        match mapped {
                            NamedTarget::I2p(_) => report.into_i2p("it stands for a name of I2P"),
                            host @ NamedTarget::ClearNet(_) => report.routed(config, &host.into()),
                        }
                    }
                    Some(Meaning::Virtual) => {
                        let why = "to the client that was given it by RESOLVE it is that name of I2P; to all others it is \
                                   nothing, and refused";
                        Self::new(address.to_string(), port, "a virtual address".into()).into_i2p(why)
                    }
                    None => {
                        Self::new(address.to_string(), port, "an IP address".into()).routed(config, &target)
                    }
                }
            }
            Target::ClearNet(name) => {
                Self::new(name.as_str().into(), port, "a host outside I2P".into()).routed(config, &target)
            }
            _ => Self::new(host.into(), port, "something else".into())
                .refused("nothing is known about it".into()),
        })
    }

    fn new(host: String, port: u16, form: String) -> Self {
        let (rules, outproxies) = (Vec::new(), Vec::new());
        Self { host, port, form, rules, decision: Decision::Refused, why: String::new(), outproxies }
    }

    fn refused(self, why: String) -> Self {
        Self { why, ..self }
    }

    fn into_i2p(self, why: &str) -> Self {
        Self { decision: Decision::I2p, why: why.into(), ..self }
    }

    /// What the rules say.
    fn routed(mut self, config: &Config, target: &Target) -> Self {
        let routes = config.routes();
        let verdict = routes.decide(target, self.port);
        let decides = match verdict {
            Verdict::Outproxies { rule, .. } | Verdict::Rejected { rule } => Some(rule),
            _ => None,
        };
        if let Some(host) = OutsideHost::of(target) {
            self.compare(&routes, host, decides);
        }
        (self.decision, self.why) = match verdict {
            Verdict::I2p => (Decision::I2p, String::new()),
            Verdict::Outproxies { rule, names, .. } => {
                let named = names
                    .iter()
                    .filter_map(|name| config.outproxy.iter().find(|known| *known.name() == **name));
                self.outproxies =
                    named.map(|known| Asked { name: known.name().into(), what: known.to_string() }).collect();
                let why = match names {
                    [_] => format!("rule {} sends it to an outproxy", rule + 1),
                    _ => format!(
                        "rule {} sends it to the first of these outproxies that connects; the one that has served the client \
                         there before goes first, one in repeated trouble is left out",
                        rule + 1
                    ),
                };
                (Decision::Outproxies, why)
            }
            Verdict::Rejected { rule } => (Decision::Refused, format!("rule {} refuses it", rule + 1)),
            Verdict::NoRule if routes.rules().is_empty() => {
                (Decision::Refused, "there is no [[route]]: only names of I2P go anywhere".into())
            }
            Verdict::NoRule => (Decision::Refused, "no rule matches".into()),
        };
        self
    }

    fn compare(&mut self, routes: &Routes, host: OutsideHost<'_>, decides: Option<usize>) {
        let compared = routes.rules().iter().take(decides.map_or(usize::MAX, |rule| rule + 1));
        self.rules = compared
            .enumerate()
            .map(|(index, rule)| {
                let outcome = match rule.compare(host, self.port) {
                    Comparison::Matches => "decides",
                    Comparison::OtherHost => "is about other hosts",
                    Comparison::OtherPort => "is about other ports",
                    Comparison::LocalHost => spared(host),
                };
                Compared { rule: index + 1, says: rule.to_string(), outcome }
            })
            .collect();
    }

    fn plain(&self) -> String {
        let mut text = format!("{} is {}\n", self.host, self.form);
        for Compared { rule, says, outcome } in &self.rules {
            text += &format!("  rule {rule} ({says}) {outcome}\n");
        }
        let decision = match self.decision {
            Decision::I2p => "goes to I2P",
            Decision::Outproxies => "goes out of I2P",
            Decision::Refused => "is refused",
        };
        text += &format!("port {} of it {decision}: {}\n", self.port, self.why);
        for Asked { name, what } in &self.outproxies {
            text += &format!("  outproxy {name}: {what}\n");
        }
        text
    }
}

/// Why a rule leaves out this host, and what a rule has to say that does not.
fn spared(host: OutsideHost<'_>) -> &'static str {
    match host.name() {
        None => "leaves out hosts of one's own network: an address or range of their own names them",
        Some(name) if name == "onion" || name.ends_with(".onion") => {
            "leaves out what is Tor's (RFC 7686): *.onion names it"
        }
        Some(_) => {
            "leaves out names of one's own network, which are those without a dot and .local, .lan, .home.arpa and the like: the \
             name or its domain, such as *.lan, names them"
        }
    }
}

fn form(name: &I2pName) -> &'static str {
    match name {
        I2pName::Host(_) => "a host name of I2P",
        I2pName::B32(_) => "a base32 address of I2P",
        I2pName::Blinded(_) => "a base32 address of an encrypted lease set",
        I2pName::Destination(_) => "a destination",
    }
}

/// What an address means that is none of the internet.
enum Meaning {
    Target(NamedTarget),
    Virtual,
}

fn means(options: &VirtualOptions, address: IpAddr) -> Option<Meaning> {
    let is_virtual = match address {
        IpAddr::V4(address) => options.ranges.v4().is_some_and(|range| range.contains(&address)),
        IpAddr::V6(address) => options.ranges.v6().is_some_and(|range| range.contains(&address)),
    };
    let mapped = options.map.get(&address).cloned().map(Meaning::Target);
    mapped.or(is_virtual.then_some(Meaning::Virtual))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
        [[outproxy]]
        name = 'tor'
        at = '127.0.0.1:9050'
        via = 'tcp'
        protocol = 'socks5'
        [[outproxy]]
        name = 'exit'
        at = 'exit.example.i2p'
        protocol = 'http-connect'
        [[route]]
        host = '*.onion'
        via = ['tor']
        [[route]]
        port = 25
        via = 'reject'
        [[route]]
        port = '80,443'
        via = ['exit', 'tor']
        [virtual-addresses.map]
        '192.0.2.80' = 'site.i2p'
    ";

    fn report(host: &str, port: u16) -> Report {
        Report::of(&toml::from_str(CONFIG).unwrap(), host, port).unwrap()
    }

    #[test]
    fn every_kind_of_decision() {
        for (host, port, decision, says) in [
            ("Example.COM", 443, Decision::Outproxies, "rule 3"),
            ("a.onion", 1, Decision::Outproxies, "rule 1"),
            ("example.com", 25, Decision::Refused, "rule 2"),
            ("example.com", 22, Decision::Refused, "no rule"),
            ("10.0.0.1", 80, Decision::Refused, "no rule"),
            ("KNOWN.i2p.", 25, Decision::I2p, "nowhere else"),
            ("192.0.2.80", 25, Decision::I2p, "stands for"),
            ("250.1.2.3", 80, Decision::I2p, "RESOLVE"),
            ("a b", 80, Decision::Refused, "malformed"),
            ("2130706433", 80, Decision::Refused, "malformed"),
        ] {
            let report = report(host, port);
            assert_eq!(report.decision, decision, "{host}:{port} {report:?}");
            assert!(report.why.contains(says), "{host}:{port} {report:?}");
        }
    }

    #[test]
    fn the_text_names_the_rules_and_the_outproxies() {
        assert_eq!(
            report("example.com", 80).plain(),
            "example.com is a host outside I2P\n  \
             rule 1 (host *.onion, all ports, via tor) is about other hosts\n  \
             rule 2 (host *, port 25, reject) is about other ports\n  \
             rule 3 (host *, port 80,443, via exit, tor) decides\n\
             port 80 of it goes out of I2P: rule 3 sends it to the first of these outproxies that connects; the one that has \
             served the client there before goes first, one in repeated trouble is left out\n  \
             outproxy exit: HTTP CONNECT, in I2P: exit.example.i2p\n  \
             outproxy tor: SOCKS5, over TCP: 127.0.0.1:9050\n"
        );
        let local = report("127.0.0.1", 80).plain();
        assert!(
            local.contains(
                "rule 3 (host *, port 80,443, via exit, tor) leaves out hosts of one's own network"
            ),
            "{local}"
        );
        for host in ["nas.local", "router"] {
            let local = report(host, 80);
            assert_eq!(local.decision, Decision::Refused, "{host}");
            assert!(local.plain().contains("leaves out names of one's own network"), "{local:?}");
        }
        let exit = CONFIG.replace("'*.onion'", "'*.example'");
        let onion = Report::of(&toml::from_str(&exit).unwrap(), "abc.onion", 80).unwrap();
        assert_eq!(onion.decision, Decision::Refused);
        assert!(onion.plain().contains("leaves out what is Tor's (RFC 7686)"), "{onion:?}");
        let nothing = Report::of(&Config::default(), "example.com", 80).unwrap().plain();
        assert_eq!(
            nothing,
            "example.com is a host outside I2P\nport 80 of it is refused: there is no [[route]]: only names of I2P go anywhere\n"
        );
        assert!(report("a\u{1b}[2J", 80).plain().starts_with("\"a\\u{1b}[2J\" is no name"));
    }

    #[test]
    fn json_has_all_of_it() {
        let json = serde_json::to_value(report("198.51.100.7", 443)).unwrap();
        assert_eq!(json["decision"], "outproxies");
        assert_eq!((&json["host"], &json["port"]), (&"198.51.100.7".into(), &443.into()));
        assert_eq!(json["rules"][2]["outcome"], "decides");
        assert_eq!(json["outproxies"][1]["name"], "tor");
    }
}

//! `[[route]]`: where requests for hosts outside I2P go.

use std::{str::FromStr, sync::Arc};

use i2p_tunnel::{HostPattern, PortSet, Route, Via};
use serde::{Deserialize, Deserializer, de::Error as _};

/// `[[route]]`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteConfig {
    /// Which hosts; all by default.
    #[serde(default, deserialize_with = "from_text")]
    host: HostPattern,
    /// Which ports; all by default.
    #[serde(default, deserialize_with = "ports")]
    port: PortSet,
    /// Where their requests go.
    #[serde(deserialize_with = "via")]
    via: Via,
}

impl RouteConfig {
    /// The route for the tunnel server.
    pub(crate) fn route(&self) -> Route {
        Route { host: self.host.clone(), ports: self.port.clone(), via: self.via.clone() }
    }

    /// The names of its outproxies.
    pub(crate) fn outproxies(&self) -> &[Arc<str>] {
        match &self.via {
            Via::Reject => &[],
            Via::Outproxies(names) => names,
        }
    }
}

pub(super) fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    from: D,
) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// A number is a single port.
pub(super) fn ports<'de, D: Deserializer<'de>>(from: D) -> Result<PortSet, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a port, or ports such as \"80,443,8000-8999\"")]
    enum Written {
        Number(i64),
        Text(String),
    }
    let text = match Written::deserialize(from)? {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map_err(D::Error::custom)
}

/// `"reject"`, or the names of outproxies.
fn via<'de, D: Deserializer<'de>>(from: D) -> Result<Via, D::Error> {
    const EXPECTED: &str = "expected a list of outproxies such as [\"exit\"], or \"reject\"";
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of outproxies such as [\"exit\"], or \"reject\"")]
    enum Written {
        Word(String),
        Names(Vec<String>),
    }
    let names = match Written::deserialize(from)? {
        Written::Word(word) if word == "reject" => return Ok(Via::Reject),
        Written::Word(name) => vec![name],
        Written::Names(names) => names,
    };
    match names.is_empty() {
        true => Err(D::Error::custom(EXPECTED)),
        false => {
            let mut rest = names.as_slice();
            while let [name, others @ ..] = rest {
                if name == "reject" {
                    return Err(D::Error::custom("\"reject\" cannot be in a list: write via = \"reject\""));
                }
                if others.contains(name) {
                    return Err(D::Error::custom(format_args!("{name:?} is in the list twice")));
                }
                rest = others;
            }
            Ok(Via::Outproxies(names.into_iter().map(Arc::from).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RouteConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn all_keys_and_defaults() {
        for (text, expected) in [
            ("via = 'reject'", "host *, all ports, reject"),
            ("host = '*.Onion'\nvia = ['tor']", "host *.onion, all ports, via tor"),
            ("port = 25\nvia = 'reject'", "host *, port 25, reject"),
            (
                "host = '198.51.100.0/24'\nport = '80, 8000-8999'\nvia = ['a', 'b']",
                "host 198.51.100.0/24, port 80,8000-8999, via a, b",
            ),
        ] {
            assert_eq!(parse(text).unwrap().route().to_string(), expected);
        }
        assert_eq!(parse("via = 'a'").unwrap().outproxies(), ["a".into()]);
        assert_eq!(parse("via = ['a', 'b']").unwrap().outproxies(), ["a".into(), "b".into()]);
        assert!(parse("via = 'reject'").unwrap().outproxies().is_empty());
    }

    #[test]
    fn mistakes_say_where_and_what_is_expected() {
        for (text, says) in [
            ("host = '*'", "missing field `via`"),
            ("via = []", "expected a list of outproxies"),
            ("via = 5", "expected a list of outproxies"),
            ("via = ['a', 'reject']", "cannot be in a list"),
            ("via = ['a', 'b', 'a']", "\"a\" is in the list twice"),
            ("via = 'reject'\nhost = '*.i2p'", "always go to I2P"),
            ("via = 'reject'\nhost = '10.0.0.1/8'", "write 10.0.0.0/8"),
            ("via = 'reject'\nhost = 'a b'", "line 2, column 8"),
            ("via = 'reject'\nport = '0'", "\"0\" is not a port or a range"),
            ("via = 'reject'\nport = 70000", "\"70000\" is not a port or a range"),
            ("via = 'reject'\nport = [80]", "expected a port, or ports such as"),
            ("via = 'reject'\nhosts = '*'", "unknown field `hosts`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}\n{error}");
        }
    }
}

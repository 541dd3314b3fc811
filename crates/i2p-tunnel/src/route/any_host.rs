use std::{fmt, str::FromStr};

use i2p_name::{I2pName, Target};

use super::host::{HostPattern, HostPatternError};

/// Hosts in I2P or outside. It is written like a [`HostPattern`]; `.i2p` stands for all hosts in I2P. A star excludes no host.
///
/// A destination in base64 is compared by its base32 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnyHostPattern(HostPattern);

impl AnyHostPattern {
    /// Whether this pattern covers a host.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        match target {
            Target::I2p(I2pName::Destination(destination)) => {
                self.0.covers_name(&destination.b32().to_string())
            }
            Target::I2p(name) => self.0.covers_name(&name.to_string()),
            Target::ClearNet(host) => self.0.covers_name(host.as_str()),
            Target::Ip(address) => self.0.covers_address(*address),
            // Kinds that are added later are filtered as far as `*` says so.
            _ => self.0 == HostPattern::all(),
        }
    }

    /// Whether this pattern covers all hosts that the other one covers, as far as the patterns themselves say so.
    #[must_use]
    pub fn is_superset_of(&self, other: &Self) -> bool {
        self.0.is_superset_of(&other.0)
    }
}

impl FromStr for AnyHostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        HostPattern::parse_anywhere(text).map(Self)
    }
}

impl fmt::Display for AnyHostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::B32;

    use super::*;

    #[test]
    fn each_kind_of_pattern_covers_hosts_in_i2p_and_outside() {
        let b32 = B32::from_hash([7; 32]).to_string();
        for (pattern, yes, no) in [
            ("*", &["irc.i2p", "example.com", "192.0.2.1", "localhost", b32.as_str()][..], &[][..]),
            (".i2p", &["irc.i2p", "a.b.i2p", b32.as_str()], &["example.com", "192.0.2.1"]),
            ("*.i2p", &["irc.i2p", b32.as_str()], &["example.com"]),
            ("IRC.i2p", &["irc.i2p", "irc.I2P.", "irc.i2p.alt"], &["xirc.i2p", "a.irc.i2p"]),
            (".irc.i2p", &["irc.i2p", "a.irc.i2p"], &["xirc.i2p"]),
            (b32.as_str(), &[b32.as_str()], &["irc.i2p"]),
            ("192.0.2.0/24", &["192.0.2.7"], &["198.51.100.1", "irc.i2p"]),
        ] {
            let parsed: AnyHostPattern = pattern.parse().unwrap();
            let covers = |host: &&&str| parsed.covers(&Target::parse(host.as_bytes()).unwrap());
            assert!(yes.iter().all(|host| covers(&host)), "{pattern}");
            assert!(!no.iter().any(|host| covers(&host)), "{pattern}");
        }
        assert!("i2p".parse::<AnyHostPattern>().is_err());
        assert!("a b.i2p".parse::<AnyHostPattern>().is_err());
    }
}

//! `[virtual-addresses]`: addresses that stand for names, for programs that connect only to addresses.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroUsize, str::FromStr};

use i2p_name::{I2pName, VirtualOptions, VirtualRanges};
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{from_text::deserialize_from_text, unique::Unique, values::DurationOrNever};
use crate::command_error::CommandError;

/// The limit of `max`. That many addresses take a few tens of megabytes.
const MAX_ADDRESSES: usize = 65_536;

/// `[virtual-addresses]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct VirtualAddressesConfig {
    /// The range of IPv4 addresses.
    ipv4: Range<Ipv4Net>,
    /// The range of IPv6 addresses.
    ipv6: Range<Ipv6Net>,
    /// How long after its last use an address is forgotten.
    expire_after: DurationOrNever,
    /// How many addresses there can be at once.
    #[serde(deserialize_with = "max")]
    max: NonZeroUsize,
    /// Addresses that always stand for the same name.
    #[serde(deserialize_with = "addresses")]
    map: BTreeMap<IpAddr, MappedName>,
}

impl Default for VirtualAddressesConfig {
    fn default() -> Self {
        let VirtualOptions { ranges, expire_after, max, .. } = VirtualOptions::default();
        Self {
            ipv4: Range(ranges.v4()),
            ipv6: Range(ranges.v6()),
            expire_after: DurationOrNever(expire_after),
            max,
            map: BTreeMap::new(),
        }
    }
}

impl VirtualAddressesConfig {
    /// The options of the address table.
    pub(crate) fn options(&self) -> Result<VirtualOptions, CommandError> {
        let ranges = VirtualRanges::new(self.ipv4.0, self.ipv6.0).map_err(CommandError::usage)?;
        let map = self.map.iter().map(|(address, name)| (*address, name.0.clone().into())).collect();
        Ok(VirtualOptions { ranges, expire_after: self.expire_after.0, max: self.max, map })
    }
}

fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<IpAddr, MappedName>, D::Error> {
    Unique::deserialize(from).map(|Unique(map)| map.into_iter().collect())
}

/// `ipv4` and `ipv6`: a network, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<Network>(Option<Network>);

impl<'de> Deserialize<'de> for Range<Ipv4Net> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let range = network(&String::deserialize(from)?, "250.0.0.0/8").map_err(D::Error::custom)?;
        VirtualRanges::new(range, None).map_err(D::Error::custom)?;
        Ok(Self(range))
    }
}

impl<'de> Deserialize<'de> for Range<Ipv6Net> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let range = network(&String::deserialize(from)?, "fd91:cbed:4d7e::/64").map_err(D::Error::custom)?;
        VirtualRanges::new(None, range).map_err(D::Error::custom)?;
        Ok(Self(range))
    }
}

fn network<Network: FromStr>(text: &str, example: &str) -> Result<Option<Network>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("expected a range such as {example}, or none"))
}

deserialize_from_text!(MappedName);

/// A name in I2P.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MappedName(I2pName);

impl TryFrom<String> for MappedName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = I2pName::parse(&text);
        name.map(Self).map_err(|error| format!("{error}; expected a name such as example.i2p"))
    }
}

fn max<'de, D: Deserializer<'de>>(from: D) -> Result<NonZeroUsize, D::Error> {
    let number = i64::deserialize(from)?;
    let max = usize::try_from(number).ok().filter(|max| *max <= MAX_ADDRESSES).and_then(NonZeroUsize::new);
    max.ok_or_else(|| D::Error::custom(format_args!("{number} is not between 1 and {MAX_ADDRESSES}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<VirtualAddressesConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_the_defaults() {
        let (options, defaults) = (parse("").unwrap().options().unwrap(), VirtualOptions::default());
        assert_eq!((options.ranges, options.max), (defaults.ranges, defaults.max));
        assert_eq!((options.expire_after, options.map), (defaults.expire_after, defaults.map));
    }

    #[test]
    fn all_keys() {
        let text = "ipv4 = '198.18.0.0/15'\nipv6 = 'none'\nexpire-after = '0'\nmax = 65536\n\
                    [map]\n'10.0.0.1' = 'Name.i2p'\n'2001:db8::1' = 'other.i2p'\n";
        let options = parse(text).unwrap().options().unwrap();
        assert_eq!(options.ranges.v4(), Some("198.18.0.0/15".parse().unwrap()));
        assert_eq!((options.ranges.v6(), options.expire_after), (None, None::<Duration>));
        assert_eq!(options.max.get(), 65_536);
        let map: Vec<_> = options.map.iter().map(|(ip, name)| format!("{ip} {name}")).collect();
        assert_eq!(map, ["10.0.0.1 name.i2p", "2001:db8::1 other.i2p"]);
    }

    #[test]
    fn mistakes_say_where_and_what_is_expected() {
        for (text, says) in [
            ("ipv4 = '8.0.0.0/8'", "can be on the internet"),
            ("ipv4 = '10.0.0.1/32'", "use a shorter prefix"),
            ("ipv4 = 'fd00::/64'", "expected a range such as 250.0.0.0/8, or none"),
            ("\nipv4 = '250.0.0.0'", "line 2, column 8"),
            ("ipv6 = '250.0.0.0/8'", "expected a range such as fd91:cbed:4d7e::/64, or none"),
            ("ipv6 = '2000::/3'", "can be on the internet"),
            ("max = 0", "0 is not between 1 and 65536"),
            ("max = 65537", "65537 is not between 1 and 65536"),
            ("[map]\n'10.0.0.1' = 'example.com'", "expected a name such as example.i2p"),
            ("[map]\n'10.0.0' = 'example.i2p'", "line 2, column 1"),
            ("map = ['10.0.0.1']", "line 1, column 7"),
            ("ipv5 = 'none'", "unknown field `ipv5`, expected one of `ipv4`, `ipv6`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text:?} says\n{error}");
        }
    }
}

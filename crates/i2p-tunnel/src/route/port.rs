use std::{fmt, ops::RangeInclusive, str::FromStr};

/// The ports of a route: numbers and ranges from 1 to 65535, such as `80,443,8000-8999`.
///
/// It never contains port 0, which means "any" in I2P and does not exist on the internet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSet(Vec<RangeInclusive<u16>>);

impl PortSet {
    /// All ports.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![1..=u16::MAX])
    }

    /// Whether the set contains this port.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }

    /// The ranges of the set. They may overlap.
    #[must_use]
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    /// Whether each range of `other` lies within a range of this set.
    #[must_use]
    pub fn is_superset_of(&self, other: &Self) -> bool {
        let within = |range: &RangeInclusive<u16>| {
            self.0.iter().any(|own| own.contains(range.start()) && own.contains(range.end()))
        };
        other.0.iter().all(within)
    }
}

/// All ports.
impl Default for PortSet {
    fn default() -> Self {
        Self::all()
    }
}

/// A text is not a [`PortSet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item:?} is not a port or a range; expected ports from 1 to 65535, such as 80,443,8000-8999")]
pub struct PortSetError {
    item: String,
}

impl FromStr for PortSet {
    type Err = PortSetError;

    /// Parses ports and ranges separated by commas. Ignores spaces around them.
    fn from_str(text: &str) -> Result<Self, PortSetError> {
        let ranges = text.split(',').map(|item| range(item.trim()));
        ranges.collect::<Result<_, _>>().map(Self)
    }
}

fn range(item: &str) -> Result<RangeInclusive<u16>, PortSetError> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(PortSetError { item: item.to_owned() }),
    }
}

/// Parses a port that consists of digits only. The standard parser also accepts a sign.
fn number(text: &str) -> Option<u16> {
    let text = text.trim();
    let port = text.parse().ok().filter(|port| *port > 0)?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(port)
}

impl fmt::Display for PortSet {
    /// Writes the form that [`FromStr`] parses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_set_contains_its_numbers_and_ranges() {
        let ports: PortSet = "80, 443,8000-8999".parse().unwrap();
        for (port, expected) in [
            (0, false),
            (79, false),
            (80, true),
            (443, true),
            (7999, false),
            (8000, true),
            (8999, true),
            (9000, false),
        ] {
            assert_eq!(ports.contains(port), expected, "{port}");
        }
        assert_eq!(ports.to_string(), "80,443,8000-8999");
        assert!(
            !PortSet::all().contains(0) && PortSet::all().contains(1) && PortSet::all().contains(u16::MAX)
        );
    }

    #[test]
    fn the_error_quotes_the_malformed_item() {
        for text in ["", "80,", "0", "0-5", "65536", "9-8", "+80", "-80", "80-", "http", "8 0", "1-2-3", "*"]
        {
            let error = text.parse::<PortSet>().unwrap_err().to_string();
            assert!(error.contains("such as 80,443,8000-8999"), "{text}: {error}");
        }
        assert!("80,x".parse::<PortSet>().unwrap_err().to_string().starts_with("\"x\" is not a port"));
    }

    proptest! {
        #[test]
        fn a_set_contains_what_its_ranges_contain(
            ranges in prop::collection::vec((1..=u16::MAX, 0..2000_u16), 1..6), port in any::<u16>()
        ) {
            let ranges: Vec<_> = ranges.iter().map(|(first, more)| (*first, first.saturating_add(*more))).collect();
            let text: Vec<_> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            let ports: PortSet = text.join(",").parse().unwrap();
            prop_assert_eq!(ports.contains(port), ranges.iter().any(|(first, last)| (*first..=*last).contains(&port)));
            prop_assert_eq!(&ports.to_string().parse::<PortSet>().unwrap(), &ports);
        }

        #[test]
        fn any_text_is_a_port_set_or_an_error(text in ".{0,40}") {
            let _ = text.parse::<PortSet>();
        }
    }
}

use std::{fmt, net::IpAddr, str::FromStr};

use i2p_name::{NameError, Target};
use ipnet::IpNet;

use super::{
    local,
    outside::{OutsideHost, is_i2p},
};

/// Longest pattern: the length limit of a DNS name.
const MAX_PATTERN_BYTES: usize = 253;

/// The domain of names in I2P.
const I2P: &str = "i2p";

/// The hosts of a route. It is compared with hosts in canonical form.
///
/// | pattern | hosts |
/// |---|---|
/// | `*` | all |
/// | `*.onion`, `www.*.example` | matching names; a star stands for any text, including dots and the empty text |
/// | `.example.com` | `example.com` and all names below it |
/// | `example.com`, `198.51.100.7`, `2001:db8::1` | only this host |
/// | `198.51.100.0/24`, `2001:db8::/32` | the addresses of this range |
///
/// `*`, patterns with a star, and ranges larger than a local network exclude local hosts: addresses in
/// [`LOCAL_NETWORKS`](super::LOCAL_NETWORKS), names without a dot, and names below [`LOCAL_DOMAINS`](super::LOCAL_DOMAINS). To match
/// a local host, write the host itself, its domain (`.lan`), or a pattern that ends in the domain (`*.onion`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    All,
    Glob(String),
    Below(String),
    Name(String),
    Range(IpNet),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPatternError {
    /// It matches I2P names.
    #[error("hosts that end in .i2p always go to I2P, so a route for them has no effect")]
    I2p,
    /// It is not a valid host name.
    #[error("{0}")]
    Name(NameError),
    /// It has a star in the wrong place, or characters that hosts in canonical form never have.
    #[error(
        "expected *, a name such as example.com, *.onion or .example.com (non-ASCII letters in their xn-- form), an address, \
        or a range such as 198.51.100.0/24"
    )]
    Malformed,
    /// The address of a range has bits set after the prefix. Holds the range without them.
    #[error("the address has bits set after the prefix; write {0}")]
    LooseBits(IpNet),
    /// The range holds only IPv4 addresses mapped into IPv6, which are compared as IPv4 addresses.
    #[error(
        "this range never matches, since IPv4 addresses within IPv6 are compared as IPv4: write the range as IPv4"
    )]
    HiddenIpv4,
}

/// The kind and content of a [`HostPattern`], for code that translates it, for instance into a PAC script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPatternKind<'a> {
    /// Every host.
    All,
    /// Names that match this text, in which a star stands for any text.
    Glob(&'a str),
    /// This name, and all names below it.
    Below(&'a str),
    /// This name.
    Name(&'a str),
    /// The addresses of this range. A single address is a range of length 1.
    Range(IpNet),
}

impl HostPattern {
    /// The pattern `*`: all hosts that are not local.
    #[must_use]
    pub fn all() -> Self {
        Self(Pattern::All)
    }

    /// The kind and content of this pattern, in canonical form. Whether local hosts are excluded depends on the route: see
    /// [`Route::excludes_local_hosts`](super::Route::excludes_local_hosts).
    #[must_use]
    pub fn kind(&self) -> HostPatternKind<'_> {
        match &self.0 {
            Pattern::All => HostPatternKind::All,
            Pattern::Glob(text) => HostPatternKind::Glob(text),
            Pattern::Below(parent) => HostPatternKind::Below(parent),
            Pattern::Name(name) => HostPatternKind::Name(name),
            Pattern::Range(range) => HostPatternKind::Range(*range),
        }
    }

    /// Whether this pattern covers a host, local or not.
    pub(super) fn covers(&self, host: OutsideHost<'_>) -> bool {
        host.name().is_some_and(|name| self.covers_name(name))
            || host.address().is_some_and(|address| self.covers_address(address))
    }

    /// Whether this pattern covers a name, in canonical form.
    pub(super) fn covers_name(&self, name: &str) -> bool {
        match &self.0 {
            Pattern::All => true,
            Pattern::Glob(glob) => glob_matches(glob, name),
            Pattern::Below(parent) => {
                let rest = name.strip_suffix(parent.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Pattern::Name(own) => own == name,
            Pattern::Range(_) => false,
        }
    }

    /// Whether this pattern covers an address.
    pub(super) fn covers_address(&self, address: IpAddr) -> bool {
        match &self.0 {
            Pattern::All => true,
            Pattern::Range(range) => range.contains(&address),
            Pattern::Glob(_) | Pattern::Below(_) | Pattern::Name(_) => false,
        }
    }

    /// Whether this pattern names local hosts, so that those that it covers are not excluded.
    pub(super) fn names_local_hosts(&self) -> bool {
        match &self.0 {
            Pattern::All => false,
            // Every matching name ends in the text after the last star.
            Pattern::Glob(glob) => glob.rsplit('*').next().is_some_and(local::is_local_suffix),
            // `.arpa` does not name hosts below `home.arpa`.
            Pattern::Below(parent) => !local::has_local_subdomain(parent),
            Pattern::Name(_) => true,
            Pattern::Range(range) => local::is_local_range(*range),
        }
    }

    /// Whether this pattern covers all hosts that `other` covers. Recognises only `*` and equal patterns.
    pub(super) fn is_superset_of(&self, other: &Self) -> bool {
        self.0 == Pattern::All || self == other
    }

    /// Whether this pattern may cover local hosts.
    pub(super) fn covers_local_hosts(&self) -> bool {
        match &self.0 {
            Pattern::All | Pattern::Glob(_) => true,
            Pattern::Below(name) | Pattern::Name(name) => local::is_local_name(name),
            Pattern::Range(range) => local::overlaps_local(*range),
        }
    }

    /// Whether this pattern matches local hosts: it covers some, and does not exclude them.
    pub(super) fn matches_local_hosts(&self) -> bool {
        self.names_local_hosts() && self.covers_local_hosts()
    }
}

/// The pattern `*`.
impl Default for HostPattern {
    fn default() -> Self {
        Self::all()
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    /// Parses the forms in the table above. Ignores case and one trailing dot.
    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        if is_i2p(&text.to_ascii_lowercase()) {
            return Err(HostPatternError::I2p);
        }
        match Self::parse_anywhere(text)? {
            Self(Pattern::Glob(name) | Pattern::Below(name) | Pattern::Name(name)) if is_i2p(&name) => {
                Err(HostPatternError::I2p)
            }
            pattern => Ok(pattern),
        }
    }
}

impl HostPattern {
    /// Parses the forms in the table above, also for hosts in I2P.
    pub(super) fn parse_anywhere(text: &str) -> Result<Self, HostPatternError> {
        let lower = text.to_ascii_lowercase();
        let text = lower.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(&lower);
        if text.len() > MAX_PATTERN_BYTES {
            return Err(HostPatternError::Malformed);
        }
        if text == "*" {
            return Ok(Self::all());
        }
        // Names in I2P are compared without `.alt`.
        let text = if is_i2p(text) { text.strip_suffix(".alt").unwrap_or(text) } else { text };
        let pattern = match text.strip_prefix('.') {
            _ if text.contains('*') => Pattern::Glob(glob(text)?),
            Some(parent) if parent == I2P => Pattern::Below(parent.to_owned()),
            Some(parent) => match exact(parent)? {
                Pattern::Name(parent) => Pattern::Below(parent),
                _ => return Err(HostPatternError::Malformed),
            },
            None if text.contains('/') => Pattern::Range(range(text)?),
            None => exact(text)?,
        };
        Ok(Self(pattern))
    }
}

/// Parses a single name or address into canonical form.
fn exact(text: &str) -> Result<Pattern, HostPatternError> {
    match Target::parse(text.as_bytes()).map_err(HostPatternError::Name)? {
        Target::ClearNet(host) => Ok(Pattern::Name(host.as_str().to_owned())),
        Target::Ip(address) => Ok(Pattern::Range(address.into())),
        Target::I2p(name) => Ok(Pattern::Name(name.to_string())),
        _ => Err(HostPatternError::Malformed),
    }
}

/// Parses a pattern with a star. It is for names; addresses have ranges.
fn glob(text: &str) -> Result<String, HostPatternError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.*".contains(&byte);
    let like_an_address = text.bytes().all(|byte| byte.is_ascii_digit() || b".*".contains(&byte));
    let empty_label = text.split('.').any(str::is_empty);
    if !text.bytes().all(allowed) || like_an_address || empty_label {
        return Err(HostPatternError::Malformed);
    }
    Ok(text.to_owned())
}

fn range(text: &str) -> Result<IpNet, HostPatternError> {
    let range: IpNet = text.parse().map_err(|_| HostPatternError::Malformed)?;
    if range.addr() != range.network() {
        return Err(HostPatternError::LooseBits(range.trunc()));
    }
    // Only if the whole range is mapped IPv4: ::/0 means all of IPv6.
    let ends = [range.network(), range.broadcast()].map(Target::from_ip);
    if matches!(range, IpNet::V6(_))
        && ends.iter().all(|end| matches!(end, Target::Ip(address) if address.is_ipv4()))
    {
        return Err(HostPatternError::HiddenIpv4);
    }
    Ok(range)
}

/// Whether a glob matches a whole name. Takes time proportional to the product of their lengths at most, without backtracking.
fn glob_matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first occurrence is the best: it leaves the longest rest for the following parts.
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

impl fmt::Display for HostPattern {
    /// Writes the canonical form that [`FromStr`] parses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::All => f.write_str("*"),
            Pattern::Glob(text) | Pattern::Name(text) => f.write_str(text),
            Pattern::Below(parent) => write!(f, ".{parent}"),
            Pattern::Range(range) if range.prefix_len() == range.max_prefix_len() => range.addr().fmt(f),
            Pattern::Range(range) => range.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(pattern: &str, host: &str) -> bool {
        let target = Target::parse(host.as_bytes()).unwrap();
        pattern.parse::<HostPattern>().unwrap().covers(OutsideHost::of(&target).unwrap())
    }

    #[test]
    fn each_kind_of_pattern_covers_its_hosts() {
        for (pattern, yes, no) in [
            ("*", &["example.com", "198.51.100.7", "2001:db8::1"][..], &[][..]),
            ("*.onion", &["a.onion", "a.b.onion", "A.ONION."], &["onion", "a.onion.example", "aonion"]),
            (
                ".Example.com",
                &["example.com", "a.example.com", "a.b.example.com"],
                &["anexample.com", "example.com.au"],
            ),
            ("example.com.", &["example.com", "EXAMPLE.com"], &["www.example.com", "example.co"]),
            ("www.*.com", &["www.a.com", "www.a.b.com"], &["www.com", "www.a.org", "a.www.b.com"]),
            ("*ex*am*", &["example.org", "exam", "my-ex-is-amy"], &["amex", "ex", "ma-xe"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("bücher.example", &["xn--bcher-kva.example", "BÜCHER.example"], &["bucher.example"]),
            (
                "198.51.100.0/24",
                &["198.51.100.0", "198.51.100.255", "::ffff:198.51.100.9"],
                &["198.51.101.0", "a.com"],
            ),
            ("198.51.100.7", &["198.51.100.7"], &["198.51.100.8", "2001:db8::1"]),
            ("::ffff:198.51.100.7", &["198.51.100.7"], &["198.51.100.8"]),
            ("2001:db8::/32", &["2001:db8::1", "[2001:db8:ffff::]"], &["2001:db9::", "198.51.100.7"]),
            ("*.example.com", &["a.example.com"], &["example.com", "198.51.100.7"]),
        ] {
            for host in yes {
                assert!(covers(pattern, host), "{pattern} must cover {host}");
            }
            for host in no {
                assert!(!covers(pattern, host), "{pattern} must not cover {host}");
            }
        }
    }

    #[test]
    fn patterns_that_can_never_match_are_errors() {
        use HostPatternError as Error;
        for (pattern, expected) in [
            ("*.i2p", Error::I2p),
            ("i2p", Error::I2p),
            (".i2p", Error::I2p),
            ("example.I2P.", Error::I2p),
            ("*.i2p.alt", Error::I2p),
            ("ｅxample.i2p", Error::I2p),
            (".a.i2p", Error::I2p),
            ("", Error::Name(NameError::Empty)),
            ("2130706433", Error::Name(NameError::NumericHost)),
            ("10.*", Error::Malformed),
            ("*..com", Error::Malformed),
            ("*.bücher.example", Error::Malformed),
            ("*.exa mple", Error::Malformed),
            ("[2001:db8::*]", Error::Malformed),
            (".198.51.100.7", Error::Malformed),
            ("198.51.100.0/33", Error::Malformed),
            ("example.com/24", Error::Malformed),
            ("198.51.100.7/24", Error::LooseBits("198.51.100.0/24".parse().unwrap())),
            ("::ffff:10.0.0.0/104", Error::HiddenIpv4),
        ] {
            assert_eq!(pattern.parse::<HostPattern>(), Err(expected), "{pattern}");
        }
        for pattern in ["a b", "example.com:80", "http://example.com", "..", ".", "a..b"] {
            assert!(pattern.parse::<HostPattern>().is_err(), "{pattern}");
        }
        assert!("::/0".parse::<HostPattern>().is_ok());
    }

    #[test]
    fn patterns_are_displayed_as_they_are_written() {
        for text in [
            "*",
            "*.onion",
            ".example.com",
            "example.com",
            "198.51.100.7",
            "198.51.100.0/24",
            "2001:db8::/32",
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }

    /// The obvious definition, with backtracking.
    fn naive(glob: &[u8], name: &[u8]) -> bool {
        match (glob, name) {
            ([], name) => name.is_empty(),
            ([b'*', rest @ ..], name) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
            ([first, rest @ ..], [other, name @ ..]) => first == other && naive(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_as_its_definition_says(glob in "[ab.*]{0,8}", name in "[ab.]{0,8}") {
            prop_assert_eq!(glob_matches(&glob, &name), naive(glob.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn a_displayed_pattern_parses_to_itself(text in "[a-z0-9.*:/-]{0,20}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<HostPattern>(), Ok(pattern));
            }
        }

        #[test]
        fn any_text_is_a_pattern_or_an_error(text in ".{0,60}") {
            let _ = text.parse::<HostPattern>();
        }
    }
}

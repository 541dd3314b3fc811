use std::{fmt, str::FromStr};

use i2p_name::{NameError, Target};
use ipnet::IpNet;

use super::{
    local,
    outside::{OutsideHost, is_i2p},
};

/// Longest pattern, in bytes: that of a DNS name, which no pattern has to be longer than.
const LONGEST: usize = 253;

/// The hosts of a rule, compared with hosts in their canonical form.
///
/// | pattern | which hosts |
/// |---|---|
/// | `*` | all |
/// | `*.onion`, `www.*.example` | names; a star stands for any text, dots and nothing too |
/// | `.example.com` | `example.com` and all names below it |
/// | `example.com`, `198.51.100.7`, `2001:db8::1` | this one |
/// | `198.51.100.0/24`, `2001:db8::/32` | addresses of this range |
///
/// `*`, patterns with a star, and ranges that reach further than one's own network leave out local hosts: addresses that are
/// private, loopback, link-local, multicast or otherwise not of the internet, names without a dot, and those below
/// [`LOCAL_DOMAINS`](super::LOCAL_DOMAINS). Those have to be named: as they are, with their domain (`.lan`), or by a pattern that
/// ends in it (`*.onion`).
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

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPatternError {
    /// It is about I2P.
    #[error("what ends in .i2p goes to I2P and nowhere else: no route can say otherwise")]
    I2p,
    /// It is no host name.
    #[error("{0}")]
    Name(NameError),
    /// It has a star where that cannot be, or what hosts in canonical form never have.
    #[error(
        "expected *, a name such as example.com, *.onion or .example.com (letters of other scripts in their xn-- form), \
         an address, or a range such as 198.51.100.0/24"
    )]
    Malformed,
    /// A range of addresses that has no bits beyond its length, said so.
    #[error("bits of the address lie beyond the length of the range; write {0}")]
    LooseBits(IpNet),
    /// IPv4 addresses inside IPv6 ones are IPv4 addresses by the time they are compared.
    #[error(
        "hosts are never of this range, since IPv4 addresses within IPv6 ones are taken out of them: write it as IPv4"
    )]
    HiddenIpv4,
}

/// What a [`HostPattern`] compares hosts with, for whoever has to say it in another language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPatternKind<'a> {
    /// Nothing: it covers every host.
    All,
    /// This text, in which a star stands for any text, against names.
    Glob(&'a str),
    /// This name, and all that end in a dot and it.
    Below(&'a str),
    /// This name.
    Name(&'a str),
    /// Addresses of this range; one address is a range of its own.
    Range(IpNet),
}

impl HostPattern {
    /// All hosts that are not local.
    #[must_use]
    pub fn all() -> Self {
        Self(Pattern::All)
    }

    /// What hosts are compared with, in canonical form. Whether local ones are left out is a matter of the rule:
    /// [`Rule::excludes_local_hosts`](super::Rule::excludes_local_hosts).
    #[must_use]
    pub fn hosts(&self) -> HostPatternKind<'_> {
        match &self.0 {
            Pattern::All => HostPatternKind::All,
            Pattern::Glob(text) => HostPatternKind::Glob(text),
            Pattern::Below(parent) => HostPatternKind::Below(parent),
            Pattern::Name(name) => HostPatternKind::Name(name),
            Pattern::Range(range) => HostPatternKind::Range(*range),
        }
    }

    /// Whether this host is of the pattern, be it local or not.
    pub(super) fn covers(&self, host: OutsideHost<'_>) -> bool {
        match (&self.0, host.name(), host.address()) {
            (Pattern::All, ..) => true,
            (Pattern::Glob(glob), Some(name), _) => matches(glob, name),
            (Pattern::Below(parent), Some(name), _) => {
                let rest = name.strip_suffix(parent.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Pattern::Name(own), Some(name), _) => own == name,
            (Pattern::Range(range), _, Some(address)) => range.contains(&address),
            _ => false,
        }
    }

    /// Whether local hosts among those that it covers are meant too.
    pub(super) fn names_local(&self) -> bool {
        match &self.0 {
            Pattern::All => false,
            // Whatever stands for the last star, the name ends so.
            Pattern::Glob(glob) => glob.rsplit('*').next().is_some_and(local::is_local_end),
            // `.arpa` is not about the network at home.
            Pattern::Below(parent) => !local::has_local_below(parent),
            Pattern::Name(_) => true,
            Pattern::Range(range) => local::is_within(*range),
        }
    }

    /// Whether it covers all that the other one covers, as far as can be told at a glance: being all, or the same.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.0 == Pattern::All || self == other
    }

    /// Whether there may be local hosts that it covers.
    pub(super) fn covers_local(&self) -> bool {
        match &self.0 {
            Pattern::All | Pattern::Glob(_) => true,
            Pattern::Below(name) | Pattern::Name(name) => local::is_local_name(name),
            Pattern::Range(range) => local::touches(*range),
        }
    }

    /// Whether there are local hosts that it means.
    pub(super) fn means_local(&self) -> bool {
        self.names_local() && self.covers_local()
    }
}

/// All hosts that are not local.
impl Default for HostPattern {
    fn default() -> Self {
        Self::all()
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    /// From text as the type's table has it; capitals and one trailing dot do not count.
    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let lower = text.to_ascii_lowercase();
        let text = lower.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(&lower);
        if text.len() > LONGEST {
            return Err(HostPatternError::Malformed);
        }
        if text == "*" {
            return Ok(Self::all());
        }
        if is_i2p(text) {
            return Err(HostPatternError::I2p);
        }
        let pattern = match text.strip_prefix('.') {
            _ if text.contains('*') => Pattern::Glob(glob(text)?),
            Some(parent) => match one(parent)? {
                Pattern::Name(parent) => Pattern::Below(parent),
                _ => return Err(HostPatternError::Malformed),
            },
            None if text.contains('/') => Pattern::Range(range(text)?),
            None => one(text)?,
        };
        Ok(Self(pattern))
    }
}

/// A name or an address, in the form in which hosts are compared.
fn one(text: &str) -> Result<Pattern, HostPatternError> {
    match Target::parse(text.as_bytes()).map_err(HostPatternError::Name)? {
        Target::ClearNet(host) => Ok(Pattern::Name(host.as_str().to_owned())),
        Target::Ip(address) => Ok(Pattern::Range(address.into())),
        _ => Err(HostPatternError::I2p),
    }
}

/// Names only: what would be an address is a range with another form.
fn glob(text: &str) -> Result<String, HostPatternError> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.*".contains(&byte);
    let like_an_address = text.bytes().all(|byte| byte.is_ascii_digit() || b".*".contains(&byte));
    let empty_label = text.split('.').any(str::is_empty);
    if !text.bytes().all(known) || like_an_address || empty_label {
        return Err(HostPatternError::Malformed);
    }
    Ok(text.to_owned())
}

fn range(text: &str) -> Result<IpNet, HostPatternError> {
    let range: IpNet = text.parse().map_err(|_| HostPatternError::Malformed)?;
    if range.addr() != range.network() {
        return Err(HostPatternError::LooseBits(range.trunc()));
    }
    // Only where all of it lies within such a range: ::/0 is all of IPv6 and means that.
    let ends = [range.network(), range.broadcast()].map(Target::from_ip);
    if matches!(range, IpNet::V6(_))
        && ends.iter().all(|end| matches!(end, Target::Ip(address) if address.is_ipv4()))
    {
        return Err(HostPatternError::HiddenIpv4);
    }
    Ok(range)
}

/// Whether a glob fits all of a name. Linear in their product: the last star alone takes more when what follows does not fit.
fn matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place is as good as any later one: it leaves the most for what follows.
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

impl fmt::Display for HostPattern {
    /// As a rule has it, in canonical form.
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
    fn each_kind_of_pattern() {
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
                assert!(covers(pattern, host), "{pattern} is to cover {host}");
            }
            for host in no {
                assert!(!covers(pattern, host), "{pattern} is not to cover {host}");
            }
        }
    }

    #[test]
    fn what_can_never_be_a_host_is_a_mistake() {
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
    fn patterns_are_shown_as_they_are_written() {
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

    /// As everybody would write it who has time.
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
        fn a_glob_fits_as_its_definition_says(glob in "[ab.*]{0,8}", name in "[ab.]{0,8}") {
            prop_assert_eq!(matches(&glob, &name), naive(glob.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn a_pattern_is_read_again_as_it_is_shown(text in "[a-z0-9.*:/-]{0,20}") {
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

use std::time::Duration;

use crate::command::Command;

/// Whose bridge the kit pretends to be. Numbers such as J2, D7 and E3 in the kit's comments stand for the deviations
/// from the specification that were found in Java I2P, i2pd and emissary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// Java I2P 2.7.0: the reference. Speaks up to 3.3, explains each error, sends PING, takes pipelined lines and data.
    #[default]
    Java,
    /// i2pd 2.45.1, as Debian ships it: speaks up to 3.1, closes the connection at every error, loses what follows a line in
    /// the same segment.
    I2pd,
    /// i2pd's master branch of December 2025: as before, but up to 3.3, with DATAGRAM2 and DATAGRAM3.
    I2pdMaster,
    /// emissary-core 0.4.0: ignores what it does not understand, ends error lines by closing, gives clients ten seconds.
    Emissary,
}

/// A SAM version: major and minor number.
pub(crate) type Version = (u8, u8);

/// How a `HELLO VERSION` is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Negotiated {
    Version(Version),
    NoVersion,
}

impl Dialect {
    /// Whether it is one of the i2pd ones, which differ in little.
    pub(crate) const fn is_i2pd(self) -> bool {
        matches!(self, Self::I2pd | Self::I2pdMaster)
    }

    /// The longest line, without its newline (J6, D28, E1).
    pub(crate) const fn longest_line(self) -> usize {
        match self {
            Self::Java | Self::I2pd | Self::I2pdMaster => 8_192,
            Self::Emissary => 4_095,
        }
    }

    /// Whether what follows a line in the same segment is kept (J5) or lost (D1, D2, E2).
    pub(crate) const fn keeps_what_follows(self) -> bool {
        matches!(self, Self::Java)
    }

    /// How long a client may take to say HELLO (J1, E3).
    pub(crate) const fn hello_limit(self) -> Option<Duration> {
        match self {
            Self::Java => Some(Duration::from_secs(60)),
            Self::I2pd | Self::I2pdMaster => None,
            Self::Emissary => Some(Duration::from_secs(10)),
        }
    }

    /// The version of the answer to a HELLO with these limits.
    pub(crate) fn negotiate(self, hello: &Command) -> Negotiated {
        let (min, max) = (hello.get("MIN"), hello.get("MAX"));
        let version = match self {
            Self::Java => java(min, max),
            // D4: beyond what it knows, the least that the client takes.
            Self::I2pd => i2pd(min, max, (3, 1), (3, 1)).filter(|version| *version >= (3, 0)),
            Self::I2pdMaster => i2pd(min, max, (3, 3), (3, 0)),
            // E4: MIN is ignored, and MAX unless it is this one.
            Self::Emissary => Some(if max == Some("3.1") { (3, 1) } else { (3, 2) }),
        };
        version.map_or(Negotiated::NoVersion, Negotiated::Version)
    }
}

fn java(min: Option<&str>, max: Option<&str>) -> Option<Version> {
    let min = min.map_or(Some((0, 0)), version)?;
    let max = max.map_or(Some((u8::MAX, 0)), version)?;
    let known = [(3, 3), (3, 2), (3, 1), (3, 0), (2, 0), (1, 0)];
    known.into_iter().find(|version| (min..=max).contains(version))
}

fn i2pd(min: Option<&str>, max: Option<&str>, best: Version, without: Version) -> Option<Version> {
    let chosen = match max.and_then(version) {
        Some(max) if max <= best => max,
        _ => min.map_or(Some(without), version)?,
    };
    (chosen <= best).then_some(chosen)
}

fn version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(dialect: Dialect, limits: &str) -> Option<Version> {
        let hello = Command::parse(&format!("HELLO VERSION{limits}"), dialect).unwrap();
        match dialect.negotiate(&hello) {
            Negotiated::Version(version) => Some(version),
            Negotiated::NoVersion => None,
        }
    }

    /// Recorded: java-transcripts "HELLO variants", live-probes "HELLO, utility commands" of each router.
    #[test]
    fn versions_as_recorded() {
        let (java, i2pd, master, emissary) =
            (Dialect::Java, Dialect::I2pd, Dialect::I2pdMaster, Dialect::Emissary);
        let dialects = [java, i2pd, master, emissary];
        for (limits, versions) in [
            ("", [Some((3, 3)), Some((3, 1)), Some((3, 0)), Some((3, 2))]),
            (" MIN=3.0 MAX=3.0", [Some((3, 0)), Some((3, 0)), Some((3, 0)), Some((3, 2))]),
            (" MIN=3.1 MAX=3.1", [Some((3, 1)); 4]),
            (" MIN=3.2 MAX=3.2", [Some((3, 2)), None, Some((3, 2)), Some((3, 2))]),
            (" MIN=3.0 MAX=3.3", [Some((3, 3)), Some((3, 0)), Some((3, 3)), Some((3, 2))]),
            (" MIN=3.1", [Some((3, 3)), Some((3, 1)), Some((3, 1)), Some((3, 2))]),
            (" MIN=3.4 MAX=3.9", [None, None, None, Some((3, 2))]),
            (" MIN=1.0 MAX=2.0", [Some((2, 0)), None, Some((2, 0)), Some((3, 2))]),
        ] {
            assert_eq!(dialects.map(|dialect| negotiated(dialect, limits)), versions, "{limits:?}");
        }
        for (limits, version) in [
            (" MAX=3.0", Some((3, 0))),
            (" MIN=3.3 MAX=3.4", Some((3, 3))),
            (" MIN=3 MAX=3", Some((3, 0))),
            (" MIN=2.0 MAX=2.9", Some((2, 0))),
            (" MIN=3.3 MAX=3.0", None),
            (" MIN=x MAX=y", None),
            (" MIN= MAX=", None),
            (" MIN=\"3.0\" MAX=\"3.3\"", Some((3, 3))),
        ] {
            assert_eq!(negotiated(java, limits), version, "{limits:?}");
        }
    }
}

//! HELLO: which version a bridge agrees on, and its login.

use std::io;

use crate::{
    command::Command,
    connection::{Connection, NextStep},
    dialect::{Dialect, Version},
    recorder::lock,
};

/// Answers the first line of a connection.
pub(crate) async fn behave(connection: &mut Connection, hello: &Command) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    if (hello.verb.as_str(), hello.action.as_str()) != ("HELLO", "VERSION") {
        return match dialect {
            Dialect::Java => {
                let text = "HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"Must start with HELLO VERSION\"";
                connection.refuse(text).await
            }
            _ => Ok(NextStep::Close),
        };
    }
    let Some(version) = negotiate(dialect, hello) else {
        return connection.refuse("HELLO REPLY RESULT=NOVERSION").await;
    };
    if let Err(message) = check_login(connection, hello) {
        return connection.refuse(&format!("HELLO REPLY RESULT=I2P_ERROR MESSAGE=\"{message}\"")).await;
    }
    connection.version = Some(version);
    let (major, minor) = version;
    connection.answer(&format!("HELLO REPLY RESULT=OK VERSION={major}.{minor}")).await
}

/// The version after a HELLO that the script has answered: that of a healthy bridge, or else the highest.
pub(crate) fn version_after_script(connection: &Connection, line: &str) -> Version {
    let dialect = connection.shared.dialect;
    Command::parse(line, dialect).ok().and_then(|hello| negotiate(dialect, &hello)).unwrap_or((3, 3))
}

/// Checks user and password, which only Java I2P supports.
fn check_login(connection: &Connection, hello: &Command) -> Result<(), &'static str> {
    let login = lock(&connection.shared.login);
    let (Dialect::Java, Some((user, password))) = (connection.shared.dialect, &*login) else { return Ok(()) };
    match (hello.get("USER"), hello.get("PASSWORD")) {
        (Some(given), Some(secret)) if given == user && secret == password => Ok(()),
        (Some(_), Some(_)) => Err("Authorization failed"),
        _ => Err("USER and PASSWORD required"),
    }
}

/// The version of the answer to a HELLO with these limits; `None` when there is no version in common.
fn negotiate(dialect: Dialect, hello: &Command) -> Option<Version> {
    let (min, max) = (hello.get("MIN"), hello.get("MAX"));
    match dialect {
        Dialect::Java => java(min, max),
        Dialect::I2pd245 | Dialect::I2pd256 => i2pd_to_3_1(min.unwrap_or("3.0"), max.unwrap_or("3.1")),
        Dialect::I2pd259 => i2pd_to_3_3(min.and_then(digits), max.and_then(digits)),
        // emissary ignores MIN, and any MAX but 3.1.
        Dialect::Emissary => Some(if max == Some("3.1") { (3, 1) } else { (3, 2) }),
    }
}

fn java(min: Option<&str>, max: Option<&str>) -> Option<Version> {
    let min = min.map_or(Some((0, 0)), version)?;
    let max = max.map_or(Some((u8::MAX, 0)), version)?;
    let known = [(3, 3), (3, 2), (3, 1), (3, 0), (2, 0), (1, 0)];
    known.into_iter().find(|version| (min..=max).contains(version))
}

/// If MAX is higher than it knows, it takes MIN.
fn i2pd_to_3_1(min: &str, max: &str) -> Option<Version> {
    match (min, max) {
        (_, "3.0" | "3.1") => version(max),
        ("3.0" | "3.1", _) => version(min),
        // It compares the texts.
        _ => (min < "3.0" && max > "3.1").then_some((3, 0)),
    }
}

/// It takes any MAX that is not too high, and without limits the lowest version.
fn i2pd_to_3_3(min: Option<Version>, max: Option<Version>) -> Option<Version> {
    let known = (3, 0)..=(3, 3);
    match (min, max) {
        (_, Some(max)) if max <= *known.end() => Some(max),
        (Some(min), _) => known.contains(&min).then_some(min),
        (None, max) => max.is_none().then_some(*known.start()),
    }
}

/// How i2pd reads a version since 2.58: by its digits alone, so that `3` is 0.3.
fn digits(text: &str) -> Option<Version> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number: u8 = digits.parse().ok()?;
    (number > 0).then_some((number / 10, number % 10))
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
        negotiate(dialect, &hello)
    }

    /// Recorded: java-transcripts "HELLO variants", live-probes "HELLO, utility commands" of each router.
    #[test]
    fn versions_as_recorded() {
        let (java, i2pd, master, emissary) =
            (Dialect::Java, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary);
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

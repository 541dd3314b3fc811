//! Values of a form of their own.

use std::{fmt, marker::PhantomData, str::FromStr, time::Duration};

use i2p_tunnel::ListenAt;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// A port, by its number: services have no names here.
pub(crate) fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "expected a number from 0 to 65535, such as 443")
}

/// `backend`: how I2P is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    /// A SAM bridge if one answers, else the embedded router.
    #[default]
    Auto,
    /// The SAM bridge of a router that runs already.
    Sam,
    /// The router in this process.
    Embedded,
}

impl Backend {
    /// As the configuration has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Sam => "sam",
            Self::Embedded => "embedded",
        }
    }
}

/// `HOST:PORT` of a SAM bridge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct BridgeAddress(String);

impl BridgeAddress {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BridgeAddress {
    fn default() -> Self {
        Self("127.0.0.1:7656".to_owned())
    }
}

impl FromStr for BridgeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected HOST:PORT, such as 127.0.0.1:7656 or [::1]:7656";
        let (host, port) = text.rsplit_once(':').ok_or(expected)?;
        let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        let odd =
            host.is_empty() || bare_ipv6 || text.contains(|c: char| c.is_whitespace() || c.is_control());
        match port.parse::<u16>() {
            Ok(1..) if !odd => Ok(Self(text.to_owned())),
            _ => Err(expected.to_owned()),
        }
    }
}

impl TryFrom<String> for BridgeAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `IP:PORT`, `unix:/PATH` or `fd:NAME` to listen on. Port 0 is "any free one".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ListenAddress(pub(super) ListenAt);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: &str| error.to_owned())
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A time such as `30m` or `1h 30m`; `0` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct OptionalTime(pub(crate) Option<Duration>);

impl TryFrom<String> for OptionalTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(None));
        }
        match humantime::parse_duration(&text) {
            Ok(Duration::ZERO) => Ok(Self(None)),
            Ok(time) => Ok(Self(Some(time))),
            Err(error) => Err(format!("{error}; expected a time such as 30m, 1h 30m or 90s, or 0 for never")),
        }
    }
}

/// A time such as `30s`, of more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Time(pub(crate) Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match humantime::parse_duration(&text) {
            Ok(time) if time > Duration::ZERO => Ok(Self(time)),
            _ => Err("expected a time of more than nothing, such as 30s or 2m".to_owned()),
        }
    }
}

/// Permissions as chmod takes them: `0660`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FileMode(pub(crate) u32);

impl TryFrom<String> for FileMode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if octal && mode <= 0o777 => Ok(Self(mode)),
            _ => Err("expected permissions such as \"0600\" or \"0660\""),
        }
    }
}

/// The same, where there is one.
pub(super) fn some_ranged<'de, D: Deserializer<'de>, const LEAST: u8, const MOST: u8>(
    from: D,
) -> Result<Option<u8>, D::Error> {
    ranged::<D, LEAST, MOST>(from).map(Some)
}

/// A whole number between two others, both included.
pub(super) fn ranged<'de, D: Deserializer<'de>, const LEAST: u8, const MOST: u8>(
    from: D,
) -> Result<u8, D::Error> {
    let number = i64::deserialize(from)?;
    match u8::try_from(number) {
        Ok(number) if (LEAST..=MOST).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format_args!("{number} is not between {LEAST} and {MOST}"))),
    }
}

/// Tables of which there may be several.
pub(super) fn several<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Tables<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Tables<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("as many tables as wanted: its name in two brackets on each side, for each of them")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(table) = tables.next_element()? {
                found.push(table);
            }
            Ok(found)
        }
    }

    from.deserialize_seq(Tables(PhantomData))
}

//! Types of single values.

use std::{
    fmt,
    marker::PhantomData,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use i2p_sam::Fingerprint;
use i2p_tunnel::ListenAt;
use serde::{
    Deserialize, Deserializer,
    de::{IntoDeserializer, SeqAccess, Unexpected, Visitor},
};

use super::from_text::{self, deserialize_from_text};

/// Parses a port number. Names of services are not accepted.
pub(crate) fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "expected a number from 0 to 65535, such as 443")
}

/// Parses a duration on the command line; `0` is none.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        text => humantime::parse_duration(text)
            .map_err(|_| not_a_duration(text, "a duration such as \"90s\", \"30m\" or \"1h 30m\"")),
    }
}

/// The addresses that `IP:PORT` or `localhost:PORT` stands for, the IPv4 one first; none for any other text. Other names are never
/// looked up: a DNS server could decide where a connection goes.
pub(crate) fn addresses_without_lookup(text: &str) -> Vec<SocketAddr> {
    let on_loopback =
        |port: u16| vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(on_loopback).unwrap_or_default(),
        None => text.parse().map(|address| vec![address]).unwrap_or_default(),
    }
}

/// `backend`: how I2P is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    /// A SAM bridge if one answers, otherwise an installed i2pd, otherwise the embedded router.
    #[default]
    Auto,
    /// The SAM bridge of a running router.
    Sam,
    /// An installed i2pd, which the program starts.
    I2pd,
    /// The router inside this program.
    Embedded,
}

impl Backend {
    /// The value in the configuration.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Sam => "sam",
            Self::I2pd => "i2pd",
            Self::Embedded => "embedded",
        }
    }
}

deserialize_from_text!(
    SamCertificate,
    BridgeAddress,
    ListenAddress,
    DurationOrNever,
    PositiveDuration,
    FileMode
);

/// `sam-certificate`: the certificate of a SAM bridge with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SamCertificate {
    /// `sha256:HEX`, the fingerprint.
    Fingerprint(Fingerprint),
    /// A file with certificates.
    File(PathBuf),
}

impl TryFrom<String> for SamCertificate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.starts_with("sha256:") {
            true => text.parse().map(Self::Fingerprint).map_err(|error: &str| error.to_owned()),
            false => Ok(Self::File(text.into())),
        }
    }
}

/// `HOST:PORT`, `tls:HOST:PORT` or `unix:/PATH` of a SAM bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeAddress(pub(crate) i2p_sam::BridgeAddress);

impl BridgeAddress {
    /// Whether datagrams have an address without `sam-udp`: one port below this one.
    pub(super) fn tells_udp_address(&self) -> bool {
        matches!(self.0, i2p_sam::BridgeAddress::Tcp(_))
    }
}

impl Default for BridgeAddress {
    fn default() -> Self {
        Self("127.0.0.1:7656".into())
    }
}

impl FromStr for BridgeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: &str| error.to_owned())
    }
}

impl TryFrom<String> for BridgeAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `IP:PORT`, `unix:/PATH`, `fd:NAME`, `redirect:IP:PORT`, `tproxy:IP:PORT` or `dns:IP:PORT` to listen on. With port 0, the system
/// chooses a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A duration such as `30m` or `1h 30m`; `0` is "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DurationOrNever(pub(crate) Option<Duration>);

impl TryFrom<String> for DurationOrNever {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(None));
        }
        match humantime::parse_duration(&text) {
            Ok(Duration::ZERO) => Ok(Self(None)),
            Ok(time) => Ok(Self(Some(time))),
            Err(_) => Err(not_a_duration(
                &text,
                "a duration such as \"90s\", \"30m\" or \"1h 30m\", or \"0\" for never",
            )),
        }
    }
}

/// A duration such as `30s`, greater than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PositiveDuration(pub(crate) Duration);

impl TryFrom<String> for PositiveDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match humantime::parse_duration(&text) {
            Ok(time) if time > Duration::ZERO => Ok(Self(time)),
            _ => Err(not_a_duration(&text, "a duration greater than zero, such as \"30s\" or \"2m\"")),
        }
    }
}

/// What to say of a text that is no duration. A number is one without its unit.
fn not_a_duration(text: &str, expected: &str) -> String {
    match text.parse::<u64>() {
        Ok(number @ 1..) => format!(
            "{number} is not a duration, expected \"{number}s\" for seconds, \"{number}m\" for minutes or \"{number}h\" for hours"
        ),
        _ => format!("{text:?} is not a duration, expected {expected}"),
    }
}

/// File permissions in octal: `0660`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// [`in_range`], for an optional key.
pub(super) fn some_in_range<'de, D: Deserializer<'de>, const MIN: u8, const MAX: u8>(
    from: D,
) -> Result<Option<u8>, D::Error> {
    in_range::<D, MIN, MAX>(from).map(Some)
}

/// The address of a socket, or none.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    struct Address(SocketAddr);

    impl TryFrom<String> for Address {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, Self::Error> {
            text.parse().map(Self).map_err(|_| "expected IP:PORT, such as 127.0.0.1:7655")
        }
    }

    from_text::deserialize(from).map(|Address(address)| Some(address))
}

/// A whole number from `MIN` to `MAX`.
pub(super) fn in_range<'de, D: Deserializer<'de>, const MIN: u8, const MAX: u8>(
    from: D,
) -> Result<u8, D::Error> {
    struct Range<const MIN: u8, const MAX: u8>;

    impl<const MIN: u8, const MAX: u8> Visitor<'_> for Range<MIN, MAX> {
        type Value = u8;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number from {MIN} to {MAX}")
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u8, E> {
            match u8::try_from(number) {
                Ok(number) if (MIN..=MAX).contains(&number) => Ok(number),
                _ => Err(E::custom(format_args!("{number} is not between {MIN} and {MAX}"))),
            }
        }
    }

    from.deserialize_i64(Range::<MIN, MAX>)
}

/// A list whose only entry may stand without brackets.
#[derive(Debug)]
pub(super) struct OneOrMore<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Texts<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Texts<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or a list of them in brackets")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                Ok(vec![T::deserialize(text.into_deserializer())?])
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Vec<T>, E> {
                let read: Result<T, E> = T::deserialize(number.into_deserializer());
                match read {
                    // What it says as a text tells more than that quotes are missing.
                    Err(error) if !error.to_string().starts_with("invalid type") => Err(error),
                    _ => Err(E::invalid_type(Unexpected::Signed(number), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Vec<T>, A::Error> {
                let mut found = Vec::new();
                while let Some(text) = texts.next_element()? {
                    found.push(text);
                }
                Ok(found)
            }
        }

        from.deserialize_any(Texts(PhantomData)).map(Self)
    }
}

/// A list of tables.
pub(super) fn tables<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Tables<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Tables<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of tables, each with its name in double brackets")
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

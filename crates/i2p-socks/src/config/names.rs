//! `[names]`: where host names are looked up.

use std::{collections::HashMap, fmt, time::Duration};

use i2p_name::{HostName, I2pName};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    from_text::deserialize_from_text,
    i2p_url::I2pUrl,
    problem::{Place, Problem},
    unique::Unique,
    values::{DurationOrNever, OneOrMore},
};

/// The limit of `subscriptions`.
const MAX_SUBSCRIPTIONS: usize = 100;
/// The limit of `jump`.
const MAX_JUMP_SERVICES: usize = 8;
/// The shortest `update-every`, to spare the servers of feeds.
const MIN_UPDATE_INTERVAL: Duration = Duration::from_secs(3600);

/// `[names]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NamesConfig {
    /// Whether the proxy has an address book of its own.
    pub(crate) book: bool,
    /// Whether names are looked up in the router's address book.
    pub(crate) router: bool,
    /// Names in the configuration itself.
    #[serde(rename = "static", deserialize_with = "names")]
    pub(crate) fixed: HashMap<HostName, I2pName>,
    /// Feeds that are imported into the address book.
    #[serde(deserialize_with = "urls::<_, MAX_SUBSCRIPTIONS>")]
    pub(crate) subscriptions: Vec<I2pUrl>,
    /// How often feeds are read. `None`: only on request.
    #[serde(deserialize_with = "every")]
    pub(crate) update_every: Option<Duration>,
    /// Jump services, which are asked for names that no other source knows. The name is appended to the URL.
    #[serde(deserialize_with = "urls::<_, MAX_JUMP_SERVICES>")]
    pub(crate) jump: Vec<I2pUrl>,
}

impl Default for NamesConfig {
    fn default() -> Self {
        Self {
            book: true,
            router: true,
            fixed: HashMap::new(),
            subscriptions: Vec::new(),
            update_every: Some(Duration::from_secs(12 * 3600)),
            jump: Vec::new(),
        }
    }
}

impl NamesConfig {
    /// A contradiction between its values.
    pub(super) fn contradiction(&self) -> Option<Problem> {
        const TEXT: &str = "[names] has book = false, but subscriptions keep their names in the address book: remove either \
                            book = false or the subscriptions";
        (!self.subscriptions.is_empty() && !self.book)
            .then(|| Problem::new(TEXT, ["subscriptions", "book"].map(|key| Place::of("names", key))))
    }
}

fn urls<'de, D: Deserializer<'de>, const MOST: usize>(from: D) -> Result<Vec<I2pUrl>, D::Error> {
    let OneOrMore(urls) = OneOrMore::<I2pUrl>::deserialize(from)?;
    match urls.len() {
        length if length > MOST => {
            Err(D::Error::custom(format_args!("{length} entries; the maximum is {MOST}")))
        }
        _ => Ok(urls),
    }
}

fn every<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    match DurationOrNever::deserialize(from)?.0 {
        Some(every) if every < MIN_UPDATE_INTERVAL => {
            Err(D::Error::custom("less than 1h would overload the servers of feeds"))
        }
        every => Ok(every),
    }
}

// Not beside the type, whose file is also part of the fuzzed code.
deserialize_from_text!(I2pUrl, StaticAddress);

/// Where a name of `[names.static]` leads: a base32 address or a destination, never another host name, so that there are no loops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaticAddress(pub(crate) I2pName);

impl TryFrom<String> for StaticAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const EXPECTED: &str = "expected a .b32.i2p address or a destination in base64";
        match I2pName::parse(&text) {
            Ok(I2pName::Host(_)) => Err(format!("{text:?} is another name; {EXPECTED}")),
            Ok(address) => Ok(Self(address)),
            Err(error) => Err(format!("{error}; {EXPECTED}")),
        }
    }
}

/// A name of `[names.static]`.
#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
struct StaticName(HostName);

impl fmt::Display for StaticName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl TryFrom<String> for StaticName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name: HostName = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        name.check_importable().map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self(name))
    }
}

/// `"example.i2p" = "ADDRESS"`. Each name and each address is a type of its own, so that a mistake is reported in its line.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<HashMap<HostName, I2pName>, D::Error> {
    let Unique(names) = Unique::<StaticName, StaticAddress>::deserialize(from)?;
    Ok(names.into_iter().map(|(StaticName(name), StaticAddress(address))| (name, address)).collect())
}

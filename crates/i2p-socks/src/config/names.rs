//! `[names]`: where host names are looked up.

use std::{collections::HashMap, time::Duration};

use i2p_name::{HostName, I2pName};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    i2p_url::I2pUrl,
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
    /// The first contradiction between its values.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        (!self.subscriptions.is_empty() && !self.book).then_some(
            "[names] has book = false, but subscriptions keep their names in the address book: remove either book = false or the \
             subscriptions",
        )
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

/// `"example.i2p" = "ADDRESS"`. The address is a base32 address or a destination, never another host name, so that there are no
/// loops.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<HashMap<HostName, I2pName>, D::Error> {
    let texts = HashMap::<String, String>::deserialize(from)?;
    texts
        .into_iter()
        .map(|(name, address)| {
            let host: HostName =
                name.parse().map_err(|error| D::Error::custom(format_args!("{name:?}: {error}")))?;
            match I2pName::parse(&address) {
                Ok(I2pName::Host(_)) => Err(D::Error::custom(format_args!(
                    "{name:?} points to another name; expected a .b32.i2p address or a destination in base64"
                ))),
                Ok(address) => Ok((host, address)),
                Err(error) => Err(D::Error::custom(format_args!("the address of {name:?}: {error}"))),
            }
        })
        .collect()
}

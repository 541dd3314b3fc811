//! `[names]`: where host names are looked up.

use std::{collections::HashMap, time::Duration};

use i2p_name::{HostName, I2pName};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{i2p_url::I2pUrl, values::OptionalTime};

/// The most subscriptions, and the most jump services.
const MOST_SUBSCRIPTIONS: usize = 100;
const MOST_JUMP: usize = 8;
/// Feeds are not to be read more often.
const LEAST_EVERY: Duration = Duration::from_secs(3600);

/// `[names]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NamesConfig {
    /// Whether there is an address book of our own.
    pub(crate) book: bool,
    /// Whether the router's address book is asked.
    pub(crate) router: bool,
    /// Names of one's own.
    #[serde(rename = "static", deserialize_with = "names")]
    pub(crate) fixed: HashMap<HostName, I2pName>,
    /// Feeds that are read into the book.
    #[serde(deserialize_with = "urls::<_, MOST_SUBSCRIPTIONS>")]
    pub(crate) subscriptions: Vec<I2pUrl>,
    /// How often; none: when a person says so.
    #[serde(deserialize_with = "every")]
    pub(crate) update_every: Option<Duration>,
    /// Jump services, which are asked for what nobody else knows; the name comes behind the URL.
    #[serde(deserialize_with = "urls::<_, MOST_JUMP>")]
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
    /// What its values contradict each other in.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let needs_book = !self.subscriptions.is_empty() || !self.jump.is_empty();
        (needs_book && !self.book).then_some(
            "[names] has subscriptions or jump services, whose names are kept in the address book, and book = false: take one \
             of them out",
        )
    }
}

fn urls<'de, D: Deserializer<'de>, const MOST: usize>(from: D) -> Result<Vec<I2pUrl>, D::Error> {
    let urls = Vec::<I2pUrl>::deserialize(from)?;
    match urls.len() {
        length if length > MOST => Err(D::Error::custom(format_args!("{length} are more than {MOST}"))),
        _ => Ok(urls),
    }
}

fn every<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    match OptionalTime::deserialize(from)?.0 {
        Some(every) if every < LEAST_EVERY => {
            Err(D::Error::custom("less than 1h would be a burden to the feed"))
        }
        every => Ok(every),
    }
}

/// `"example.i2p" = "ADDRESS"`: the address is a base32 one or a destination, and not a name again, so that there are no
/// circles.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<HashMap<HostName, I2pName>, D::Error> {
    let texts = HashMap::<String, String>::deserialize(from)?;
    texts
        .into_iter()
        .map(|(name, address)| {
            let host: HostName =
                name.parse().map_err(|error| D::Error::custom(format_args!("{name:?}: {error}")))?;
            match I2pName::parse(&address) {
                Ok(I2pName::Host(_)) => Err(D::Error::custom(format_args!(
                    "{name:?} stands for another name; expected a .b32.i2p address or a destination in base64"
                ))),
                Ok(address) => Ok((host, address)),
                Err(error) => Err(D::Error::custom(format_args!("the address of {name:?}: {error}"))),
            }
        })
        .collect()
}

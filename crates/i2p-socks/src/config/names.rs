//! `[names]`: where host names are looked up.

use std::collections::HashMap;

use i2p_name::{HostName, I2pName};
use serde::{Deserialize, Deserializer, de::Error as _};

/// `[names]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NamesConfig {
    /// Whether the router's address book is asked.
    pub(crate) router: bool,
    /// Names of one's own.
    #[serde(rename = "static", deserialize_with = "names")]
    pub(crate) fixed: HashMap<HostName, I2pName>,
}

impl Default for NamesConfig {
    fn default() -> Self {
        Self { router: true, fixed: HashMap::new() }
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

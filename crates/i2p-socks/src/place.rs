//! Where a tunnel listens.

use i2p_tunnel::BoundAddress;

/// Where a tunnel listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Place {
    /// The tunnel's name.
    pub(crate) tunnel: String,
    /// The address, with the port that the system chose where any would do.
    #[serde(serialize_with = "as_text")]
    pub(crate) address: BoundAddress,
}

fn as_text<S: serde::Serializer>(address: &BoundAddress, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(address)
}

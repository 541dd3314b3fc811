//! One `[[filter]]`: which streams are filtered, and how.

use i2p_tunnel::{AnyHostPattern, FilterProtocol, FilterRule, PortSet};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    problem::{Place, Problem},
    route::{from_text, ports},
    tunnel::{TunnelConfig, TunnelName},
};

/// The word for streams that are not filtered.
const NONE: &str = "none";

/// `[[filter]]`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterConfig {
    /// Which hosts, in I2P or outside; all by default.
    #[serde(default, deserialize_with = "from_text")]
    host: AnyHostPattern,
    /// Which ports; all by default.
    #[serde(default, deserialize_with = "ports")]
    port: PortSet,
    /// Which tunnel; all by default.
    #[serde(default)]
    tunnel: Option<TunnelName>,
    /// The filter; `None`: none.
    #[serde(deserialize_with = "protocol")]
    protocol: Option<FilterProtocol>,
}

impl FilterConfig {
    pub(super) fn is_for(&self, tunnel: &TunnelConfig) -> bool {
        self.tunnel.as_ref().is_none_or(|name| name.as_str() == tunnel.name())
    }

    /// Whether no stream reaches the later one, because this one takes all of them.
    pub(super) fn shadows(&self, later: &Self) -> bool {
        (self.tunnel.is_none() || self.tunnel == later.tunnel)
            && self.host.is_superset_of(&later.host)
            && self.port.is_superset_of(&later.port)
    }

    pub(super) fn rule(&self, number: usize) -> FilterRule {
        FilterRule { number, host: self.host.clone(), ports: self.port.clone(), protocol: self.protocol }
    }

    /// What is wrong with it, if it is the filter of this number.
    pub(super) fn contradictions(&self, index: usize, tunnels: &[TunnelConfig]) -> Vec<Problem> {
        let number = index + 1;
        let unknown = self.tunnel.as_ref().filter(|_| !tunnels.iter().any(|tunnel| self.is_for(tunnel)));
        let unknown = unknown.map(|name| {
            let text = format!(
                "filter {number} is for the tunnel {}, but there is no [[tunnel]] of this name",
                name.as_str()
            );
            Problem::new(text, [Place::nth("filter", index, "tunnel"), Place::of("tunnel", "name")])
        });
        let everything = self.protocol.filter(|_| self.port == PortSet::all()).map(|protocol| {
            let text = format!(
                "filter {number} has no port, so that it would end all streams that are not {}: add the port of the protocol",
                protocol.as_str()
            );
            Problem::new(text, ["port", "protocol"].map(|key| Place::nth("filter", index, key)))
        });
        unknown.into_iter().chain(everything).collect()
    }
}

/// The name of a filter, or `"none"`.
fn protocol<'de, D: Deserializer<'de>>(from: D) -> Result<Option<FilterProtocol>, D::Error> {
    let text = String::deserialize(from)?;
    if text == NONE {
        return Ok(None);
    }
    let known = FilterProtocol::ALL.iter().find(|protocol| protocol.as_str() == text);
    known.copied().map(Some).ok_or_else(|| {
        let names: Vec<_> = FilterProtocol::ALL.iter().map(|known| format!("{:?}", known.as_str())).collect();
        D::Error::custom(format_args!("expected {} or \"{NONE}\"", names.join(", ")))
    })
}

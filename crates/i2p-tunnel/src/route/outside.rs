use std::{fmt, net::IpAddr};

use i2p_name::{ClearNetHost, Target};

/// A host outside I2P. Outproxies can be asked for nothing else.
///
/// This type cannot hold an I2P target. So no mistake in a route, a configuration or the code of an outproxy protocol can send an
/// I2P name to an outproxy.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutsideHost<'a>(Host<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Host<'a> {
    Name(&'a ClearNetHost),
    Address(IpAddr),
}

impl<'a> OutsideHost<'a> {
    /// Returns the host of a target outside I2P, and `None` for any other. This is the only place that decides whether a request
    /// may leave I2P. The invariant: **an I2P name, in any spelling, gives `None`.**
    ///
    /// [`Target::parse`] turns every host that ends in `.i2p` (in capitals, with a trailing dot, as `.i2p.alt`, with the dots of
    /// other scripts) into an I2P name or an error, and refuses hosts that look as if they ended in it. This function checks
    /// clear-net names once more, since a mistake there would leak here. Virtual addresses have been replaced by their targets before a request is routed.
    #[must_use]
    pub fn of(target: &'a Target) -> Option<Self> {
        match target {
            Target::ClearNet(host) if !is_i2p(host.as_str()) => Some(Self(Host::Name(host))),
            Target::Ip(address) => Some(Self(Host::Address(*address))),
            // I2P targets, and any kind that is added later.
            _ => None,
        }
    }

    /// The host name in lower case, without a trailing dot. `None` for an address.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        match self.0 {
            Host::Name(host) => Some(host.as_str()),
            Host::Address(_) => None,
        }
    }

    /// The address. `None` for a name.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self.0 {
            Host::Name(_) => None,
            Host::Address(address) => Some(address),
        }
    }
}

/// Whether a name ends in `i2p` or `i2p.alt`. Strict on purpose: names that only look like I2P do not leave either.
pub(super) fn is_i2p(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let ends_with_label =
        |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    ends_with_label("i2p") || ends_with_label("i2p.alt")
}

/// Hides the host, which must not appear in logs.
impl fmt::Debug for OutsideHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Host::Name(_) => "OutsideHost::Name(..)",
            Host::Address(_) => "OutsideHost::Address(..)",
        })
    }
}

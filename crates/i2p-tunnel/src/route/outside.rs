use std::{fmt, net::IpAddr};

use i2p_name::{ClearNetHost, Target};

/// A host outside I2P: all that an outproxy can be asked for.
///
/// What is of I2P cannot be said in this type, so no mistake in a rule, a configuration or an outproxy's code can send it
/// there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutsideHost<'a>(Host<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Host<'a> {
    Name(&'a ClearNetHost),
    Address(IpAddr),
}

impl<'a> OutsideHost<'a> {
    /// The one place where it is decided that something may leave I2P. The invariant: **whatever is of I2P, in any
    /// spelling, is nothing here.**
    ///
    /// [`Target::parse`] makes of whatever ends in `.i2p` (in capitals, with a trailing dot, as `.i2p.alt`, with dots of
    /// other scripts) an I2P name or an error. That it has not ended up as a clear-net name all the same is looked at once
    /// more: this is the one line where it would matter. Virtual addresses have become names, or errors, before anything is
    /// dialled.
    #[must_use]
    pub fn of(target: &'a Target) -> Option<Self> {
        match target {
            Target::ClearNet(host) if !is_i2p(host.as_str()) => Some(Self(Host::Name(host))),
            Target::Ip(address) => Some(Self(Host::Address(*address))),
            // And whatever kind of target a later version knows.
            _ => None,
        }
    }

    /// The host name, in lower case and without a trailing dot; nothing for an address.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        match self.0 {
            Host::Name(host) => Some(host.as_str()),
            Host::Address(_) => None,
        }
    }

    /// The address; nothing for a name.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self.0 {
            Host::Name(_) => None,
            Host::Address(address) => Some(address),
        }
    }
}

/// As strict as can be: what only looks like I2P is not let out either.
pub(super) fn is_i2p(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let ends_so =
        |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    ends_so("i2p") || ends_so("i2p.alt")
}

/// Without the host: it does not belong in logs.
impl fmt::Debug for OutsideHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Host::Name(_) => "OutsideHost::Name(..)",
            Host::Address(_) => "OutsideHost::Address(..)",
        })
    }
}

//! The attacks: one function each, which returns what it measured if the program held, and fails if it fell.

mod identities;
mod machine;
mod names;
mod outproxies;
mod router;
mod shares;

use std::pin::Pin;

use anyhow::Result;

pub(crate) use self::{machine::send_datagram_of_another_user, shares::Aggressor};
use crate::target::Target;

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) attacker: &'static str,
    /// What has to hold.
    pub(crate) holds: &'static str,
    pub(crate) run: for<'a> fn(&'a Target) -> Outcome<'a>,
}

/// What was measured, or how the program fell.
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<String>> + 'a>>;

/// A row of the table below.
macro_rules! attack {
    ($name:literal, $attacker:literal, $holds:literal, $run:path) => {
        Attack { name: $name, attacker: $attacker, holds: $holds, run: |target| Box::pin($run(target)) }
    };
}

/// All attacks.
pub(crate) const ATTACKS: &[Attack] = &[
    // What must not leave.
    attack!("disguised-names", "outproxy", "no name that looks like .i2p leaves I2P", names::disguises),
    attack!(
        "system-resolver",
        "DNS server",
        "no name that a client asks for reaches the resolver of the machine",
        names::system_resolver
    ),
    attack!(
        "lying-lookup",
        "bridge",
        "a base32 address leads only to the destination whose hash it is",
        names::lying_lookup
    ),
    attack!(
        "feed-in-the-log",
        "reader of log",
        "the log names no feed, at any level",
        names::feed_in_the_log
    ),
    attack!(
        "core-dump",
        "reader of disk",
        "no core dump, so no key and no password on the disk",
        machine::core_dump
    ),
    // What identities must not learn of each other.
    attack!(
        "cache-probe",
        "client",
        "a lookup of one identity says nothing about those of another",
        identities::cache_probe
    ),
    attack!(
        "jump-identity",
        "jump service",
        "each identity asks a jump service as itself",
        identities::jump_identity
    ),
    attack!(
        "rebuilt-together",
        "bridge",
        "sessions that are lost together come back apart",
        identities::rebuilt_together
    ),
    attack!(
        "hanging-targets",
        "page",
        "hanging targets change nobody else's outproxy",
        outproxies::hanging_targets
    ),
    // What one client must not take from the others.
    attack!(
        "closed-clients",
        "client",
        "clients that closed keep no session and no descriptor",
        shares::closed_clients
    ),
    attack!(
        "connection-storm",
        "client",
        "a storm of short connections refuses nobody else",
        shares::connection_storm
    ),
    attack!(
        "invented-credentials",
        "client",
        "sessions of one client leave room for others",
        shares::invented_credentials
    ),
    attack!(
        "virtual-addresses",
        "client",
        "virtual addresses of one client leave those of others alone",
        shares::virtual_addresses
    ),
    attack!(
        "all-connections",
        "client",
        "connections of one client leave room for others",
        shares::all_connections
    ),
    attack!(
        "all-associations",
        "client",
        "datagram associations of one client leave room for others",
        shares::all_associations
    ),
    attack!("all-binds", "client", "waiting BINDs of one client leave room for others", shares::all_binds),
    attack!(
        "password-guesses",
        "clients",
        "guesses of many addresses delay no user",
        shares::password_guesses
    ),
    attack!(
        "slow-admin-pages",
        "local user",
        "/live is answered while slow connections wait",
        shares::slow_admin
    ),
    attack!(
        "reload-storm",
        "operator",
        "reloads and new identities keep sessions bounded",
        shares::reload_storm
    ),
    // What the embedded router must not end, and who must not reach it.
    attack!("router-death", "stranger", "the router can die, the program does not", router::router_death),
    attack!(
        "router-datagrams",
        "stranger",
        "no datagrams with the embedded router",
        router::router_datagrams
    ),
    attack!(
        "router-bridge",
        "local user",
        "nobody else reaches the router's SAM bridge",
        router::router_bridge
    ),
    // What other users of the machine must not reach.
    attack!(
        "datagram-stranger",
        "local user",
        "another user cannot take over an association",
        machine::datagram_stranger
    ),
    attack!(
        "state-link",
        "local user",
        "another user's link is not taken for the state directory",
        machine::state_link
    ),
];

/// The names of all attacks, one a line.
pub(crate) fn list() -> String {
    ATTACKS.iter().map(|attack| format!("  {}\n", attack.name)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let names: BTreeSet<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }
}

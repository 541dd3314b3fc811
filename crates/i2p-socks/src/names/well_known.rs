//! The hosts of well-known feeds. An address book that is still empty can subscribe to them.

use i2p_name::{B32, HostName, I2pName};
use i2p_tunnel::NameSource;

/// Hosts of feeds with their base32 addresses. A router's answer that does not belong to the address is refused, so nobody can
/// replace them.
///
/// `i2p-projekt.i2p`, `stats.i2p` and `identiguy.i2p`: the hashes of their destinations in the `hosts.txt` of Java I2P. `reg.i2p`: the
/// default of i2pd (`defaulturl` under `[addressbook]`).
const HOSTS: [(&str, &str); 4] = [
    ("i2p-projekt.i2p", "udhdrtrcetjm5sxzskjyr5ztpeszydbh4dpl3pl4utgqqw2v4jna.b32.i2p"),
    ("stats.i2p", "kqypgjpjwrphnzebod5ev3ts2vtii6e5tntrg4rnfijqc7rypldq.b32.i2p"),
    ("identiguy.i2p", "3mzmrus2oron5fxptw7hw2puho3bnqmw2hqy7nw64dsrrjwdilva.b32.i2p"),
    ("reg.i2p", "shx5vqsw7usdaunyzr2qmes2fq37oumybpudrd4jjj4e4vk4uusa.b32.i2p"),
];

/// Knows the hosts of well-known feeds. Only feeds that the user subscribes to are looked up here, and no names of clients.
#[derive(Debug)]
pub(crate) struct WellKnownFeeds;

impl NameSource for WellKnownFeeds {
    fn find(&self, name: &HostName) -> Option<I2pName> {
        let (_, address) = HOSTS.iter().find(|(host, _)| *host == name.as_str())?;
        address.parse::<B32>().ok().map(I2pName::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_an_address() {
        for (host, address) in HOSTS {
            let found = WellKnownFeeds.find(&host.parse().unwrap());
            assert_eq!(found.map(|found| found.to_string()).as_deref(), Some(address));
        }
        assert_eq!(WellKnownFeeds.find(&"other.i2p".parse().unwrap()), None);
    }
}

//! A private network of i2pd routers.
//!
//! It has the shape that was found to be stable with Debian's 2.45.1: six routers, four of them floodfills but not the two
//! whose SAM bridges are used, and tunnels of one hop.

use std::{path::Path, process::ExitStatus};

use anyhow::{Context, Result};
use i2p_name::Destination;
use i2p_sam::{Bridge, PrivateKey};

use crate::router::{self, Router, Settings, introduce_all, start_all};

/// The routers of each network. The SAM bridges of the last two are used.
const ROUTERS: u16 = 6;
/// The first routers are floodfills, which keep the network database.
const FLOODFILLS: u16 = 4;
/// More than one, since i2pd does not publish each of them, see [`crate::site`].
const SITE_KEYS: usize = 3;
/// Two for each of the two exits, for the same reason.
const EXIT_KEYS: usize = 4;

/// Keys of a service that is not open yet.
pub struct ServiceKeys {
    /// Its name in the address book of the client's router.
    pub host: String,
    /// Its public keys.
    pub destination: Destination,
    /// All of its keys.
    pub private_key: PrivateKey,
}

/// Running routers that know each other. Dropping it kills them.
pub struct Network {
    client: Router,
    site: Router,
    /// They only carry the traffic of the other two.
    _others: Vec<Router>,
    extra: Vec<Router>,
    site_keys: Vec<ServiceKeys>,
    exit_keys: Vec<ServiceKeys>,
}

/// The addresses of a network with `extra` more routers.
#[must_use]
pub fn addresses(extra: u16) -> Vec<String> {
    (0..ROUTERS + extra).map(router::address).collect()
}

impl Network {
    /// Starts the routers and extra ones with these settings, with their files below `lab`. Returns once their SAM bridges
    /// answer; they have no tunnels then.
    pub async fn start(lab: &Path, extra: &[Settings]) -> Result<Self> {
        let own: Vec<_> = (0..ROUTERS).map(settings).collect();
        let mut routers = (0..)
            .zip(own.iter().chain(extra))
            .map(|(index, settings)| Router::new(lab, index, settings))
            .collect::<Result<Vec<_>>>()?;
        start_all(&mut routers, "the routers have keys").await?;
        let bridge = routers.last().context("no routers")?.bridge().clone();
        let site_keys = ServiceKeys::generate(&bridge, "site", SITE_KEYS).await?;
        let exit_keys = ServiceKeys::generate(&bridge, "exit", EXIT_KEYS).await?;
        introduce_all(&mut routers).await?;
        let client = routers.get(usize::from(ROUTERS - 2)).context("no router for the client")?;
        let keys = site_keys.iter().chain(&exit_keys);
        let names: Vec<_> = keys.map(|key| (key.host.as_str(), &key.destination)).collect();
        client.add_to_address_book(&names)?;
        start_all(&mut routers, "the routers answer").await?;
        let extra = routers.split_off(usize::from(ROUTERS));
        let site = routers.pop().context("no router for the site")?;
        let client = routers.pop().context("no router for the client")?;
        Ok(Self { client, site, _others: routers, extra, site_keys, exit_keys })
    }

    /// The extra routers, until they are taken.
    #[must_use]
    pub fn extra_routers(&self) -> &[Router] {
        &self.extra
    }

    /// Takes the extra routers out of the network.
    pub fn take_extra_routers(&mut self) -> Vec<Router> {
        std::mem::take(&mut self.extra)
    }

    /// The SAM bridge for the proxy.
    #[must_use]
    pub fn client_bridge(&self) -> &Bridge {
        self.client.bridge()
    }

    /// The SAM bridge for the services.
    #[must_use]
    pub fn site_bridge(&self) -> &Bridge {
        self.site.bridge()
    }

    /// Keys for the site, to be tried in turn.
    #[must_use]
    pub fn site_keys(&self) -> &[ServiceKeys] {
        &self.site_keys
    }

    /// Keys for the exits: one for each, then one more for each.
    #[must_use]
    pub fn exit_keys(&self) -> &[ServiceKeys] {
        &self.exit_keys
    }

    /// Checks whether the proxy's router has exited by itself.
    pub async fn client_router_has_crashed(&mut self) -> bool {
        self.client.try_sam().await.is_err()
    }

    /// Kills the proxy's router, as if it had crashed.
    pub async fn kill_client_router(&mut self) -> Result<()> {
        self.client.kill().await
    }

    /// Returns once the proxy's router has exited by itself.
    pub async fn client_router_exited(&mut self) -> Result<ExitStatus> {
        self.client.exited().await
    }

    /// Starts the proxy's router again. Returns once its SAM bridge answers.
    pub async fn restart_client_router(&mut self) -> Result<()> {
        start_all(std::slice::from_mut(&mut self.client), "the proxy's router answers again").await
    }
}

fn settings(index: u16) -> Settings {
    Settings { floodfill: index < FLOODFILLS, exploratory_hops: 1, ..Settings::default() }
}

impl ServiceKeys {
    /// Lets a router make keys for `SERVICE-1.i2p` and the following.
    async fn generate(bridge: &Bridge, service: &str, count: usize) -> Result<Vec<Self>> {
        let mut keys = Vec::new();
        for number in 1..=count {
            let private_key = bridge.generate_keys().await?;
            let destination = private_key.destination().clone();
            keys.push(Self { host: format!("{service}-{number}.i2p"), destination, private_key });
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routers_whose_bridges_are_used_are_no_floodfills() {
        assert!(settings(0).floodfill);
        assert!(!settings(ROUTERS - 2).floodfill);
        assert!(!settings(ROUTERS - 1).floodfill);
    }
}

//! A private network of i2pd routers.
//!
//! The shape is what was found to be stable with Debian's 2.45.1: six routers, four of them floodfills, the two whose
//! SAM bridges are used not, tunnels of one hop.

use std::{path::Path, process::ExitStatus};

use anyhow::{Context, Result};
use i2p_name::Destination;
use i2p_sam::{Bridge, PrivateKey};

use crate::lab::router::{self, Router, Settings, introduce_all, start_all};

/// Routers, and how many of them keep the network database. The SAM bridges used are those of the last two.
const ROUTERS: u16 = 6;
const FLOODFILLS: u16 = 4;
/// Keys made for the site: more than one, see `super::publish`.
const SITE_KEYS: usize = 3;
/// Keys made for the two exits: one more for each, for the same reason.
const EXIT_KEYS: usize = 4;

/// The keys and names of a site that is yet to be opened.
pub(crate) struct SiteKey {
    /// Its name in the client router's address book.
    pub(crate) host: String,
    /// Its public keys.
    pub(crate) destination: Destination,
    /// Its keys as SAM takes them.
    pub(crate) private: PrivateKey,
}

/// Running routers that know each other. They are killed when this is dropped.
pub(crate) struct Network {
    client: Router,
    site: Router,
    /// They only carry the traffic of the two.
    _others: Vec<Router>,
    /// Those that were asked for beside them.
    further: Vec<Router>,
    site_keys: Vec<SiteKey>,
    exit_keys: Vec<SiteKey>,
}

/// The addresses of the routers, and of so many further ones.
pub(crate) fn addresses(further: u16) -> Vec<String> {
    (0..ROUTERS + further).map(router::address).collect()
}

impl Network {
    /// Starts the routers, below `lab`, and further ones that keep no database. Comes back when their SAM bridges answer;
    /// tunnels come later.
    pub(crate) async fn start(lab: &Path, further: &[Settings]) -> Result<Self> {
        let own: Vec<_> = (0..ROUTERS).map(settings).collect();
        let mut routers = (0..)
            .zip(own.iter().chain(further))
            .map(|(index, settings)| Router::new(lab, index, settings))
            .collect::<Result<Vec<_>>>()?;
        start_all(&mut routers, "the routers have keys").await?;
        let site_bridge = routers.last().context("no routers")?.bridge().clone();
        let mut site_keys = Vec::new();
        for number in 1..=SITE_KEYS {
            site_keys.push(SiteKey::generate(&site_bridge, format!("site-{number}.i2p")).await?);
        }
        let mut exit_keys = Vec::new();
        for number in 1..=EXIT_KEYS {
            exit_keys.push(SiteKey::generate(&site_bridge, format!("exit-{number}.i2p")).await?);
        }
        introduce_all(&mut routers).await?;
        let client = routers.get(usize::from(ROUTERS - 2)).context("no router for the client")?;
        let names: Vec<_> =
            site_keys.iter().chain(&exit_keys).map(|key| (key.host.as_str(), &key.destination)).collect();
        client.add_to_address_book(&names)?;
        start_all(&mut routers, "the routers answer").await?;
        let further = routers.split_off(usize::from(ROUTERS));
        let site = routers.pop().context("no router for the site")?;
        let client = routers.pop().context("no router for the client")?;
        Ok(Self { client, site, _others: routers, further, site_keys, exit_keys })
    }

    /// The further routers, until they are taken.
    pub(crate) fn further(&self) -> &[Router] {
        &self.further
    }

    /// The further routers, for whoever takes them first.
    pub(crate) fn take_further(&mut self) -> Vec<Router> {
        std::mem::take(&mut self.further)
    }

    /// The bridge for the proxy.
    pub(crate) fn client_bridge(&self) -> &Bridge {
        self.client.bridge()
    }

    /// The bridge for the site.
    pub(crate) fn site_bridge(&self) -> &Bridge {
        self.site.bridge()
    }

    /// Keys for the site, to be tried in turn.
    pub(crate) fn site_keys(&self) -> &[SiteKey] {
        &self.site_keys
    }

    /// Keys for the exits: one each, and one more each.
    pub(crate) fn exit_keys(&self) -> &[SiteKey] {
        &self.exit_keys
    }

    /// Whether the proxy's router has ended by itself.
    pub(crate) async fn client_router_has_crashed(&mut self) -> bool {
        self.client.is_up().await.is_err()
    }

    /// Ends the proxy's router as a crash would.
    pub(crate) async fn kill_client_router(&mut self) -> Result<()> {
        self.client.kill().await
    }

    /// Comes back when the proxy's router has ended by itself.
    pub(crate) async fn client_router_ends(&mut self) -> Result<ExitStatus> {
        self.client.ends().await
    }

    /// Starts it again. Comes back when its SAM bridge answers.
    pub(crate) async fn restart_client_router(&mut self) -> Result<()> {
        start_all(std::slice::from_mut(&mut self.client), "the proxy's router answers again").await
    }
}

fn settings(index: u16) -> Settings {
    Settings { floodfill: index < FLOODFILLS, exploratory_hops: 1, ..Settings::default() }
}

impl SiteKey {
    /// Keys that a router makes.
    async fn generate(bridge: &Bridge, host: String) -> Result<Self> {
        let private = bridge.generate_keys().await?;
        Ok(Self { host, destination: private.destination().clone(), private })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routers_of_the_bridges_keep_no_database() {
        assert!(settings(0).floodfill);
        assert!(!settings(ROUTERS - 2).floodfill);
        assert!(!settings(ROUTERS - 1).floodfill);
    }
}

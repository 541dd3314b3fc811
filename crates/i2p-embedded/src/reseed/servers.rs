//! The reseed servers of I2P, and how routers are fetched from them.

use std::{collections::HashMap, time::Duration};

use hyper::Uri;
use rand::seq::IndexedRandom;

use super::{KnownRouter, MAX_SU3_BYTES, from_su3_bytes, https::Client, since_1970};
use crate::{Error, thread};

/// The servers that the routers of I2P ask. i2pseed.creativecowpat.net is missing: its certificate is self-signed, and lacks the
/// field in which clients now look for the host.
const SERVERS: [&str; 13] = [
    "https://banana.incognet.io/i2pseeds.su3",
    "https://i2p.diyarciftci.xyz/i2pseeds.su3",
    "https://i2p.novg.net/i2pseeds.su3",
    "https://reseed-fr.i2pd.xyz/i2pseeds.su3",
    "https://reseed-pl.i2pd.xyz/i2pseeds.su3",
    "https://reseed.diva.exchange/i2pseeds.su3",
    "https://reseed.i2pgit.org/i2pseeds.su3",
    "https://reseed.memcpy.io/i2pseeds.su3",
    "https://reseed.onion.im/i2pseeds.su3",
    "https://reseed.sahil.world/i2pseeds.su3",
    "https://reseed.stormycloud.org/i2pseeds.su3",
    "https://reseed2.i2p.net/i2pseeds.su3",
    "https://www2.mk16.de/i2pseeds.su3",
];

/// How many servers are asked at most. Several are asked, so that no single one decides which routers a new router meets first.
const MAX_SERVERS: usize = 5;

/// With this many routers, no further server is asked.
const ENOUGH_ROUTERS: usize = 100;

/// How long all servers may take together.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Asks reseed servers of the public network, chosen at random, over HTTPS. Their files are signed, and the signatures are checked.
pub(crate) async fn over_https(network_id: u8) -> Result<Vec<KnownRouter>, Error> {
    let fail = |problem: String| Error::Reseed { problem };
    let client = thread::blocking(Client::of_this_system).await.map_err(Error::System)?.map_err(fail)?;
    let servers: Vec<Uri> =
        SERVERS.sample(&mut rand::rng(), MAX_SERVERS).map(|server| Uri::from_static(server)).collect();
    match tokio::time::timeout(TIME_LIMIT, ask(&client, &servers, network_id, since_1970())).await {
        Ok(Some(routers)) if !routers.is_empty() => Ok(routers),
        Ok(Some(_)) => Err(fail("the reseed servers' files hold no router that this one can use".into())),
        Ok(None) => Err(fail("none of the reseed servers gave a usable answer over HTTPS".into())),
        Err(_) => Err(fail(format!("no reseed server answered within {} seconds", TIME_LIMIT.as_secs()))),
    }
}

/// Asks the servers in turn until there are enough routers. Returns nothing if no server's file was usable.
async fn ask(client: &Client, servers: &[Uri], network_id: u8, now: Duration) -> Option<Vec<KnownRouter>> {
    let mut answered = false;
    let mut routers = HashMap::new();
    for server in servers {
        match ask_one(client, server, network_id, now).await {
            Ok(found) => {
                tracing::info!(%server, routers = found.len(), "a reseed server has answered");
                answered = true;
                routers.extend(found.into_iter().map(|router| (router.name.clone(), router)));
            }
            Err(problem) => tracing::warn!(%server, problem, "a reseed server gave no usable answer"),
        }
        if routers.len() >= ENOUGH_ROUTERS {
            break;
        }
    }
    answered.then(|| routers.into_values().collect())
}

async fn ask_one(
    client: &Client,
    server: &Uri,
    network_id: u8,
    now: Duration,
) -> Result<Vec<KnownRouter>, String> {
    let file = client.get(server, MAX_SU3_BYTES).await?;
    let read = thread::blocking(move || from_su3_bytes(&file, network_id, now)).await;
    read.map_err(|error| error.to_string())?.map_err(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        known_routers::PUBLIC_NETWORK,
        reseed::{
            https::tests::{Server, client, response},
            su3::tests::{SIGNED, THEN},
        },
    };

    #[tokio::test]
    async fn servers_are_asked_until_there_are_enough_routers() {
        let damaged = Server::start(|_| response(b"<html>no reseed file</html>")).await;
        let good = Server::start(|_| response(SIGNED)).await;
        let later = Server::start(|_| response(SIGNED)).await;
        let (client, servers) = (client(""), [damaged.url("/"), good.url("/i2pseeds.su3"), later.url("/")]);

        let routers = ask(&client, &servers, PUBLIC_NETWORK, THEN).await.unwrap();
        assert_eq!(routers.len(), 75);
        assert!(good.heads()[0].starts_with("GET /i2pseeds.su3 HTTP/1.1\r\n"), "{:?}", good.heads());
        assert_eq!(later.heads().len(), 1, "75 are not enough");
        assert_eq!(ask(&client, &servers, 99, THEN).await.unwrap().len(), 0, "they are of another network");
        assert!(ask(&client, &servers[..1], PUBLIC_NETWORK, THEN).await.is_none());
    }

    #[test]
    fn all_addresses_are_https() {
        for server in SERVERS {
            assert_eq!(Uri::from_static(server).scheme_str(), Some("https"), "{server}");
        }
    }
}

//! The reseed servers of I2P, and how routers are fetched from them.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use hyper::Uri;
use rand::seq::IteratorRandom;
#[cfg(unix)]
use tokio::runtime::Builder;
use tokio::sync::OnceCell;

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
pub(crate) const MAX_SERVERS: usize = 5;

/// With this many routers, no further server is asked.
const ENOUGH_ROUTERS: usize = 100;

/// How long all servers may take together.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Fetches the file of the reseed server of this number.
pub(crate) type FetchFile = Arc<dyn Fn(usize) -> Fetching + Send + Sync>;
type Fetching = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Asks reseed servers of the public network, chosen at random. Their files are signed, and the signatures are checked.
pub(crate) async fn from_servers(network_id: u8, fetch: &FetchFile) -> Result<Vec<KnownRouter>, Error> {
    let fail = |problem: String| Error::Reseed { problem };
    let servers: Vec<usize> = (0..SERVERS.len()).sample(&mut rand::rng(), MAX_SERVERS);
    match tokio::time::timeout(TIME_LIMIT, ask(fetch, &servers, network_id, since_1970())).await {
        Ok(Ok(routers)) if !routers.is_empty() => Ok(routers),
        Ok(Ok(_)) => Err(fail("the reseed servers' files hold no router that this one can use".into())),
        Ok(Err(last)) => Err(fail(format!(
            "none of the reseed servers gave a usable answer over HTTPS (the last one: {last})"
        ))),
        Err(_) => Err(fail(format!("no reseed server answered within {} seconds", TIME_LIMIT.as_secs()))),
    }
}

/// Asks one server after the other until there are enough routers. If no server's file could be used, returns the last problem.
async fn ask(
    fetch: &FetchFile,
    servers: &[usize],
    network_id: u8,
    now: Duration,
) -> Result<Vec<KnownRouter>, String> {
    let mut outcome = Err("there was none to ask".to_owned());
    let mut routers = HashMap::new();
    for server in servers {
        let name = SERVERS.get(*server).copied().unwrap_or_default();
        match ask_one(fetch, *server, network_id, now).await {
            Ok(found) => {
                tracing::info!(server = name, routers = found.len(), "a reseed server has answered");
                outcome = Ok(());
                routers.extend(found.into_iter().map(|router| (router.name.clone(), router)));
            }
            Err(problem) => {
                tracing::warn!(server = name, problem, "a reseed server gave no usable answer");
                outcome = outcome.or(Err(problem));
            }
        }
        if routers.len() >= ENOUGH_ROUTERS {
            break;
        }
    }
    outcome.map(|()| routers.into_values().collect())
}

async fn ask_one(
    fetch: &FetchFile,
    server: usize,
    network_id: u8,
    now: Duration,
) -> Result<Vec<KnownRouter>, String> {
    let file = fetch(server).await?;
    let read = thread::blocking(move || from_su3_bytes(&file, network_id, now)).await;
    read.map_err(|error| error.to_string())?.map_err(String::from)
}

/// Fetches the files of reseed servers over HTTPS.
#[derive(Default)]
pub(crate) struct ServerFiles {
    client: OnceCell<Client>,
}

impl ServerFiles {
    /// These files as a function.
    pub(crate) fn fetch_here() -> FetchFile {
        let files = Arc::new(Self::default());
        Arc::new(move |server| {
            let files = Arc::clone(&files);
            Box::pin(async move { files.fetch(server).await })
        })
    }

    async fn fetch(&self, server: usize) -> Result<Vec<u8>, String> {
        let server = SERVERS.get(server).ok_or("there is no such reseed server")?;
        let client = || async {
            let client = thread::blocking(Client::of_this_system).await;
            client.map_err(|error| error.to_string())?
        };
        self.client.get_or_try_init(client).await?.get(&Uri::from_static(server), MAX_SU3_BYTES).await
    }

    /// Fetches a file. Blocks, for at most the time limit of one file and the time that the system needs to look a name up.
    #[cfg(unix)]
    pub(crate) fn fetch_blocking(&self, server: usize) -> Result<Vec<u8>, String> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let fetched = runtime.block_on(self.fetch(server));
        // A lookup of a name may go on.
        runtime.shutdown_background();
        fetched
    }
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
        let urls = [damaged.url("/"), good.url("/i2pseeds.su3"), later.url("/")];
        let client = Arc::new(client(""));
        let fetch: FetchFile = Arc::new(move |server| {
            let (client, url) = (Arc::clone(&client), urls[server].clone());
            Box::pin(async move { client.get(&url, MAX_SU3_BYTES).await })
        });

        let routers = ask(&fetch, &[0, 1, 2], PUBLIC_NETWORK, THEN).await.unwrap();
        assert_eq!(routers.len(), 75);
        assert!(good.heads()[0].starts_with("GET /i2pseeds.su3 HTTP/1.1\r\n"), "{:?}", good.heads());
        assert_eq!(later.heads().len(), 1, "75 are not enough");
        assert_eq!(ask(&fetch, &[0, 1, 2], 99, THEN).await.unwrap().len(), 0, "they are of another network");
        assert!(ask(&fetch, &[0], PUBLIC_NETWORK, THEN).await.is_err());
    }

    #[test]
    fn all_addresses_are_https() {
        for server in SERVERS {
            assert_eq!(Uri::from_static(server).scheme_str(), Some("https"), "{server}");
        }
    }
}

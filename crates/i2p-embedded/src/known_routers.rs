//! The routers that a router knows at its start: stored ones, and those of a private network or a reseed.

use std::{
    collections::HashSet,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Error,
    progress::{OnProgress, Progress},
    reseed::{self, FetchFile, KnownRouter},
    state_dir::StateDir,
    storage::Storage,
    thread,
};

/// I2P's own network ID.
pub(crate) const PUBLIC_NETWORK: u8 = 2;

/// Older descriptions of routers do not count towards [`ENOUGH_ROUTERS`]: too many routers have a new address since.
const MAX_AGE: Duration = Duration::from_secs(14 * 24 * 3600);

/// A start with fewer known routers asks for more, as i2pd does.
const ENOUGH_ROUTERS: usize = 25;

/// Where a router can learn about others.
pub(crate) enum Source {
    /// The reseed servers of I2P, whose files are fetched so; private networks have none.
    ReseedServers(FetchFile),
    /// A reseed file or directory.
    ReseedFile(PathBuf),
    /// These router infos.
    RouterInfos(Vec<Vec<u8>>),
}

/// Returns the routers of the network to start with: the `stored` ones, and those of `source` if the stored ones are too few. A
/// private network has few routers, and new ones each time, so there `source` is always used.
pub(crate) async fn known_routers(
    stored: Vec<Vec<u8>>,
    network_id: u8,
    source: Source,
    storage: &Storage,
    state_dir: &StateDir,
    on_progress: &OnProgress,
) -> Result<Vec<KnownRouter>, Error> {
    let known = check(stored, network_id);
    let enough = known.iter().filter(|router| is_fresh(router)).count() >= ENOUGH_ROUTERS;
    if enough && network_id == PUBLIC_NETWORK {
        return Ok(forget_old(known, state_dir));
    }
    let reseeded = match source {
        Source::RouterInfos(infos) => return Ok(merge(known, check(infos, network_id))),
        Source::ReseedFile(path) => {
            on_progress(Progress::ReadingReseedFile);
            reseed::from_path(&path, network_id).await
        }
        Source::ReseedServers(fetch) => {
            on_progress(Progress::AskingReseedServers);
            ask_servers(&fetch, network_id).await
        }
    };
    let found = match reseeded {
        Ok(found) => found,
        Err(error) if known.len() >= ENOUGH_ROUTERS => {
            tracing::warn!(%error, known = known.len(), "the reseed failed; trying the stored routers, although they are old");
            return Ok(known);
        }
        Err(error) => return Err(error),
    };
    on_progress(Progress::Reseeded { routers: found.len() });
    // emissary itself stores what it knows for the first time after 15 minutes.
    let storage = storage.clone();
    let found = thread::blocking(move || {
        for router in &found {
            storage.store_router_info(&router.name, &router.info)?;
        }
        Ok(found)
    });
    let failed = |source| Error::StateDirectory { path: state_dir.path().into(), source };
    let found = found.await.and_then(|stored| stored).map_err(failed)?;
    Ok(merge(known, found))
}

async fn ask_servers(fetch: &FetchFile, network_id: u8) -> Result<Vec<KnownRouter>, Error> {
    if network_id != PUBLIC_NETWORK {
        return Err(Error::Reseed {
            problem: format!("the private network {network_id} has no reseed servers"),
        });
    }
    reseed::from_servers(network_id, fetch).await
}

fn check(infos: Vec<Vec<u8>>, network_id: u8) -> Vec<KnownRouter> {
    infos.into_iter().filter_map(|info| KnownRouter::new(info, network_id)).collect()
}

/// Returns all of `new`, and the routers of `old` that are not among them.
fn merge(mut old: Vec<KnownRouter>, new: Vec<KnownRouter>) -> Vec<KnownRouter> {
    let names: HashSet<&str> = new.iter().map(|router| router.name.as_str()).collect();
    old.retain(|router| !names.contains(router.name.as_str()));
    old.extend(new);
    old
}

fn is_fresh(router: &KnownRouter) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(router.published) < MAX_AGE
}

/// Deletes stored routers that are old, and returns the others. emissary never deletes any, and each start reads them all.
fn forget_old(known: Vec<KnownRouter>, state_dir: &StateDir) -> Vec<KnownRouter> {
    let (keep, forget): (Vec<_>, Vec<_>) = known.into_iter().partition(is_fresh);
    for router in forget {
        state_dir.forget(&router.name);
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn router(index: u8, age: Duration) -> KnownRouter {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let name = format!("A{:042}=", index);
        KnownRouter { name, published: now - age, info: vec![index] }
    }

    #[test]
    fn new_descriptions_replace_stored_ones() {
        let old = vec![router(1, MAX_AGE), router(2, MAX_AGE)];
        let merged = merge(old, vec![router(2, Duration::ZERO), router(3, Duration::ZERO)]);
        assert_eq!(merged.iter().map(|router| router.info[0]).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(is_fresh(&merged[1]));
    }

    #[test]
    fn old_routers_are_deleted() {
        let temp = tempfile::tempdir().unwrap();
        let state_dir = StateDir::open(temp.path()).unwrap();
        let (old, new) = (router(1, MAX_AGE), router(2, Duration::ZERO));
        let files = [&old, &new].map(|router| {
            let dirs = ["netDb/rA", "peerProfiles/pA"].map(|dir| temp.path().join(dir));
            dirs.iter().for_each(|dir| fs::create_dir_all(dir).unwrap());
            let files = [
                dirs[0].join(format!("routerInfo-{}.dat", router.name)),
                dirs[1].join(format!("profile-{}.toml", router.name)),
            ];
            files.iter().for_each(|file| fs::write(file, "").unwrap());
            files
        });
        assert_eq!(forget_old(vec![old, new], &state_dir).len(), 1);
        assert_eq!(files.map(|files| files.map(|file| file.exists())), [[false; 2], [true; 2]]);
    }
}

//! The first routers that a new router learns about, over HTTPS from reseed servers or from a file.
//!
//! Names in an archive are not used, because names become file names in the state directory. A router's name is computed from its
//! identity, after its signature has been checked.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod https;
mod servers;
mod signers;
mod su3;
mod zip;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use emissary_core::{crypto::base64_encode, primitives::RouterInfo};

#[cfg(unix)]
pub(crate) use self::servers::MAX_SERVERS;
pub(crate) use self::servers::{FetchFile, ServerFiles, from_servers};
use self::su3::Su3;
use crate::{Error, runtime::Runtime, thread};

/// The largest reseed file that is read or fetched. The servers' files are about 100 KiB.
const MAX_SU3_BYTES: usize = 16 * 1024 * 1024;

/// A router's information must fit into an I2NP message. In practice it has 1 to 3 KiB.
pub(crate) const MAX_ROUTER_INFO_BYTES: usize = 64 * 1024;

/// No more files than this are read from a directory. The whole network has a few ten thousand routers.
pub(crate) const MAX_ROUTER_INFOS: usize = 10_000;

/// Another router, with its own signed description.
pub(crate) struct KnownRouter {
    /// The hash of its identity in I2P's base64, which emissary uses in file names.
    pub(crate) name: String,
    /// The date of the description, since the beginning of 1970.
    pub(crate) published: Duration,
    pub(crate) info: Vec<u8>,
}

impl KnownRouter {
    /// Checks length, form, signature and network. Returns nothing if a check fails.
    pub(crate) fn new(info: Vec<u8>, network_id: u8) -> Option<Self> {
        if info.len() > MAX_ROUTER_INFO_BYTES {
            return None;
        }
        let parsed = RouterInfo::parse::<Runtime>(&info).ok()?;
        if parsed.net_id != network_id {
            return None;
        }
        let name = base64_encode(parsed.identity.id().to_vec());
        let published = Duration::from_millis(*parsed.published.date());
        is_router_name(&name).then_some(Self { name, published, info })
    }
}

/// Checks whether `name` is the hash of a router's identity in I2P's base64: 32 bytes, which are 43 characters and one `=`.
pub(crate) fn is_router_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '~';
    name.len() == 44 && name.strip_suffix('=').is_some_and(|hash| hash.chars().all(known))
}

/// Reads an su3 reseed file, which a known reseed server must have signed, or all router information files in a directory and
/// in the directories right below it, which is the layout of every router's netDb.
pub(crate) async fn from_path(path: &Path, network_id: u8) -> Result<Vec<KnownRouter>, Error> {
    let fail = |problem: String| Error::ReseedFile { path: path.into(), problem };
    let given: PathBuf = path.into();
    let read = thread::blocking(move || {
        if given.is_dir() { from_directory(&given, network_id) } else { from_su3(&given, network_id) }
    });
    let routers = read.await.map_err(|error| fail(error.to_string()))?.map_err(fail)?;
    if routers.is_empty() {
        return Err(fail("it holds no router that this one can use".into()));
    }
    Ok(routers)
}

fn from_su3(path: &Path, network_id: u8) -> Result<Vec<KnownRouter>, String> {
    let bytes = read(path, MAX_SU3_BYTES).map_err(|error| error.to_string())?;
    if !bytes.starts_with(su3::MAGIC) {
        return Err("it is neither an su3 file nor a directory".into());
    }
    Ok(from_su3_bytes(&bytes, network_id, since_1970())?)
}

/// Returns the routers in a reseed file, after its signature has been checked.
fn from_su3_bytes(bytes: &[u8], network_id: u8, now: Duration) -> Result<Vec<KnownRouter>, &'static str> {
    let archive = Su3::parse(bytes)?.verified(now)?;
    let infos = zip::contents(archive, MAX_ROUTER_INFO_BYTES).ok_or("it holds no zip archive")?;
    Ok(infos.into_iter().filter_map(|info| KnownRouter::new(info, network_id)).collect())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn from_directory(path: &Path, network_id: u8) -> Result<Vec<KnownRouter>, String> {
    let list = |dir: &Path| -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = Vec::new();
    for entry in list(path).map_err(|error| error.to_string())? {
        if entry.is_dir() {
            files.extend(list(&entry).unwrap_or_default());
        } else {
            files.push(entry);
        }
    }
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("routerInfo-") && name.ends_with(".dat")
    });
    files.truncate(MAX_ROUTER_INFOS);
    let infos = files.iter().filter_map(|file| read(file, MAX_ROUTER_INFO_BYTES).ok());
    Ok(infos.filter_map(|info| KnownRouter::new(info, network_id)).collect())
}

/// Reads a whole file, of at most `max_bytes`.
pub(crate) fn read(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn router_names() {
        let hash = "A".repeat(43);
        assert!(is_router_name(&format!("{hash}=")));
        assert!(is_router_name(&format!("{}-~9=", "z".repeat(40))));
        for bad in ["", "=", &hash, &format!("{hash}A"), &format!("{hash}=="), &format!("={hash}")] {
            assert!(!is_router_name(bad), "{bad}");
        }
        for trick in ["../", "..\\", "/..", "+/", "\0", "é"] {
            let name = format!("{trick}{}=", "A".repeat(43 - trick.len()));
            assert_eq!(name.len(), 44);
            assert!(!is_router_name(&name), "{name}");
        }
    }

    #[test]
    fn garbage_gives_no_router() {
        for length in [0, 1, 63, 64, 391, 1000, 70_000] {
            assert!(KnownRouter::new(vec![0x41; length], 2).is_none());
        }
    }

    #[tokio::test]
    async fn a_netdb_directory_gives_the_routers_of_one_network() {
        let network = crate::PrivateNetwork::builder().start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rA")).unwrap();
        for (index, info) in network.router_infos().iter().enumerate() {
            // Some files are at the top and some below, as in netDb directories. The names do not matter.
            let place = if index % 2 == 0 { "." } else { "rA" };
            fs::write(dir.path().join(place).join(format!("routerInfo-{index}.dat")), info).unwrap();
        }
        let mut forged = network.router_infos()[0].clone();
        forged[400] ^= 1;
        fs::write(dir.path().join("routerInfo-forged.dat"), forged).unwrap();
        fs::write(dir.path().join("routerInfo-empty.dat"), "").unwrap();
        fs::write(dir.path().join("router.info"), &network.router_infos()[0]).unwrap();

        let found = from_path(dir.path(), network.network_id()).await.unwrap();
        assert_eq!(found.len(), network.router_infos().len());
        assert!(found.iter().all(|router| is_router_name(&router.name)));
        assert!(from_path(dir.path(), 2).await.is_err());
    }
}

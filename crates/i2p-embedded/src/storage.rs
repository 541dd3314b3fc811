//! The router's knowledge about other routers in its state directory: their descriptions and their behaviour.
//!
//! The layout is that of every router's netDb: a directory for each first character of a name.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use emissary_core::{Profile, runtime as core};
use serde::{Deserialize, Serialize};

use crate::{
    reseed::{MAX_ROUTER_INFO_BYTES, MAX_ROUTER_INFOS, is_router_name, read},
    thread,
};

/// The characters of I2P's base64, with which names begin.
const FIRST_CHARACTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";

/// A stored profile has some 400 bytes.
const MAX_PROFILE_BYTES: usize = 4 * 1024;

/// The files about known routers. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    state_dir: Arc<Path>,
}

impl Storage {
    /// Creates the directories that are missing. Blocks.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        for first in FIRST_CHARACTERS.chars() {
            fs::create_dir_all(state_dir.join(format!("netDb/r{first}")))?;
            fs::create_dir_all(state_dir.join(format!("peerProfiles/p{first}")))?;
        }
        Ok(Self { state_dir: state_dir.into() })
    }

    /// Reads the stored descriptions of routers, except for unreadable ones. Blocks.
    pub(crate) fn router_infos(&self) -> Vec<Vec<u8>> {
        let files = files_below(&self.state_dir.join("netDb"));
        files.iter().filter_map(|file| read(file, MAX_ROUTER_INFO_BYTES).ok()).collect()
    }

    /// Reads the stored profiles of routers, with their names. Blocks.
    pub(crate) fn profiles(&self) -> Vec<(String, Profile)> {
        let profile = |file: &PathBuf| {
            let name = file.file_name()?.to_str()?.strip_prefix("profile-")?.strip_suffix(".toml")?;
            // emissary panics at a name that is not a router's.
            let name = is_router_name(name).then(|| name.to_owned())?;
            let text = String::from_utf8(read(file, MAX_PROFILE_BYTES).ok()?).ok()?;
            Some((name, toml::from_str::<StoredProfile>(&text).ok()?.into()))
        };
        files_below(&self.state_dir.join("peerProfiles")).iter().filter_map(profile).collect()
    }

    /// Stores a router's description. Blocks.
    pub(crate) fn store_router_info(&self, name: &str, info: &[u8]) -> io::Result<()> {
        fs::write(self.router_info_path(name)?, info)
    }

    fn router_info_path(&self, name: &str) -> io::Result<PathBuf> {
        Ok(self.state_dir.join(format!("netDb/r{}/routerInfo-{name}.dat", first(name)?)))
    }

    /// Stores a description, if there is a new one, and the profile of a router with a stored description.
    fn store(&self, name: &str, info: Option<Vec<u8>>, profile: Profile) -> io::Result<()> {
        if let Some(info) = info {
            self.store_router_info(name, &info)?;
        }
        if !self.router_info_path(name)?.exists() {
            return Ok(());
        }
        let text = toml::to_string(&StoredProfile::from(profile)).map_err(io::Error::other)?;
        fs::write(self.state_dir.join(format!("peerProfiles/p{}/profile-{name}.toml", first(name)?)), text)
    }
}

/// Returns the first character of a router's name. Fails for other names, so that they cannot become paths.
fn first(name: &str) -> io::Result<char> {
    let first = name.chars().next().filter(|_| is_router_name(name));
    first.ok_or_else(|| io::ErrorKind::InvalidFilename.into())
}

/// The files in the directories right below this one.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let list = |directory: &Path| fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let below =
        list(directory).flat_map(|entry| list(&entry.path()).map(|entry| entry.path()).collect::<Vec<_>>());
    below.filter(|path| path.is_file()).take(MAX_ROUTER_INFOS).collect()
}

impl core::Storage for Storage {
    fn save_to_disk(&self, routers: Vec<(String, Option<Vec<u8>>, Profile)>) {
        let storage = self.clone();
        // Stores one router after the other, so that the end of the router ends this task early.
        tokio::spawn(async move {
            for (name, info, profile) in routers {
                let storage = storage.clone();
                let stored = thread::blocking(move || storage.store(&name, info, profile)).await;
                if let Ok(Err(error)) | Err(error) = stored {
                    tracing::warn!(%error, "could not store what the embedded router has learnt of another one");
                }
            }
        });
    }
}

/// The contents of a profile's file. Times are seconds since the beginning of 1970.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredProfile {
    last_activity: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_declined: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_dial_failure: Option<u64>,
    num_accepted: usize,
    num_connection: usize,
    num_dial_failures: usize,
    num_lookup_failures: usize,
    num_lookup_no_responses: usize,
    num_lookup_successes: usize,
    num_rejected: usize,
    num_selected: usize,
    num_test_failures: usize,
    num_test_successes: usize,
    num_unaswered: usize,
}

impl From<Profile> for StoredProfile {
    fn from(profile: Profile) -> Self {
        Self {
            last_activity: profile.last_activity.as_secs(),
            last_declined: profile.last_declined.as_ref().map(Duration::as_secs),
            last_dial_failure: profile.last_dial_failure.as_ref().map(Duration::as_secs),
            num_accepted: profile.num_accepted,
            num_connection: profile.num_connection,
            num_dial_failures: profile.num_dial_failures,
            num_lookup_failures: profile.num_lookup_failures,
            num_lookup_no_responses: profile.num_lookup_no_responses,
            num_lookup_successes: profile.num_lookup_successes,
            num_rejected: profile.num_rejected,
            num_selected: profile.num_selected,
            num_test_failures: profile.num_test_failures,
            num_test_successes: profile.num_test_successes,
            num_unaswered: profile.num_unaswered,
        }
    }
}

impl From<StoredProfile> for Profile {
    fn from(stored: StoredProfile) -> Self {
        Self {
            last_activity: Duration::from_secs(stored.last_activity),
            last_declined: stored.last_declined.map(Duration::from_secs),
            last_dial_failure: stored.last_dial_failure.map(Duration::from_secs),
            num_accepted: stored.num_accepted,
            num_connection: stored.num_connection,
            num_dial_failures: stored.num_dial_failures,
            num_lookup_failures: stored.num_lookup_failures,
            num_lookup_no_responses: stored.num_lookup_no_responses,
            num_lookup_successes: stored.num_lookup_successes,
            num_rejected: stored.num_rejected,
            num_selected: stored.num_selected,
            num_test_failures: stored.num_test_failures,
            num_test_successes: stored.num_test_successes,
            num_unaswered: stored.num_unaswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(first: char) -> String {
        format!("{first}{}=", "x".repeat(42))
    }

    /// As emissary-util 0.4 wrote it, which earlier versions of this crate used.
    const PROFILE: &str = "last_activity = 1700000000\nlast_declined = 1700000001\nnum_accepted = 1\nnum_connection = 2\n\
                           num_dial_failures = 3\nnum_lookup_failures = 4\nnum_lookup_no_responses = 5\n\
                           num_lookup_successes = 6\nnum_rejected = 7\nnum_selected = 8\nnum_test_failures = 9\n\
                           num_test_successes = 10\nnum_unaswered = 11\n";

    #[test]
    fn what_is_stored_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        let profile: Profile = toml::from_str::<StoredProfile>(PROFILE).unwrap().into();
        assert_eq!(
            (profile.last_declined, profile.num_unaswered),
            (Some(Duration::from_secs(1_700_000_001)), 11)
        );
        storage.store(&name('~'), Some(b"info".to_vec()), profile).unwrap();
        let stored = dir.path().join(format!("peerProfiles/p~/profile-{}.toml", name('~')));
        assert_eq!(fs::read_to_string(stored).unwrap(), PROFILE);
        let again = Storage::open(dir.path()).unwrap();
        assert_eq!(again.router_infos(), [b"info"]);
        let [(found, profile)] = &again.profiles()[..] else { panic!("one profile") };
        assert_eq!(
            (found, profile.last_activity.as_secs(), profile.num_selected),
            (&name('~'), 1_700_000_000, 8)
        );
        assert_eq!(profile.last_dial_failure, None);
    }

    #[test]
    fn a_profile_without_a_description_is_not_stored() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        storage.store(&name('A'), None, StoredProfile::default().into()).unwrap();
        assert!(storage.profiles().is_empty());
    }

    #[test]
    fn damaged_and_foreign_files_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        let profiles = dir.path().join("peerProfiles/pA");
        for (file, text) in [
            (format!("profile-{}.toml", name('A')), "num_accepted = -1".to_owned()),
            (format!("profile-{}.toml", name('B')), "#".repeat(MAX_PROFILE_BYTES + 1)),
            ("profile-../../escape.toml".replace('/', "_"), PROFILE.to_owned()),
            ("other".to_owned(), PROFILE.to_owned()),
        ] {
            fs::write(profiles.join(file), text).unwrap();
        }
        fs::write(dir.path().join("netDb/rA/large"), vec![0; MAX_ROUTER_INFO_BYTES + 1]).unwrap();
        assert!(storage.profiles().is_empty() && storage.router_infos().is_empty());
        for name in ["", "../../../etc/passwd", &"é".repeat(22)] {
            assert!(storage.store_router_info(name, b"info").is_err(), "{name}");
        }
    }
}

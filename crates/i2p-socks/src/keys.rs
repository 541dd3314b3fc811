//! `keys`: the identities that are kept in the state directory, a file of keys and one with the address for each.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use i2p_sam::{Bridge, KeyFile, PrivateKey};
use serde::Serialize;

use crate::{
    config::{Config, KeyMode, TunnelName},
    exit::{Failure, remark, say},
    router::bridge,
};

/// Below the state directory.
const KEYS: &str = "keys";

/// What to do with kept identities.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum KeysCommand {
    /// Say which identities there are, and their addresses.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have the router make an identity, and keep it. The tunnel of this name uses it if its `key` is "persistent".
    New {
        /// Lower-case letters, digits and hyphens.
        name: TunnelName,
    },
    /// Say an identity's address, and with --json its destination. The keys themselves are never shown.
    Show {
        /// What `keys list` says.
        name: TunnelName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The files of one identity.
#[derive(Debug)]
pub(crate) struct Kept {
    name: String,
    directory: PathBuf,
    file: KeyFile,
}

/// An identity, without what is secret of it.
#[derive(Debug, Serialize)]
struct Identity {
    name: String,
    b32: String,
    destination: String,
    /// Whether the configuration has a tunnel that uses it.
    used: bool,
}

impl Kept {
    /// The identity of this name, which need not be there.
    pub(crate) fn of(state_dir: &Path, name: &str) -> Self {
        let directory = state_dir.join(KEYS);
        let file = KeyFile::new(directory.join(format!("{name}.dat")));
        Self { name: name.to_owned(), directory, file }
    }

    /// Its keys, if it is there. A file that others can read is an error.
    pub(crate) fn load(&self) -> Result<Option<PrivateKey>, Failure> {
        self.file.load().map_err(Failure::run_time)
    }

    /// Its keys; where there are none, the router makes some. The address is in the file beside them from then on.
    pub(crate) async fn load_or_generate(&self, bridge: &Bridge) -> Result<PrivateKey, Failure> {
        create_for_us_alone(&self.directory).map_err(|error| {
            Failure::run_time(format_args!(
                "cannot make the directory {} for the keys of tunnel {}: {error}. Say with --state-dir DIR where they can be \
                 kept.",
                self.directory.display(),
                self.name
            ))
        })?;
        let key = self.file.load_or_generate(bridge).await.map_err(Failure::run_time)?;
        self.write_hostname(&key).map_err(|error| {
            Failure::run_time(format_args!("cannot write {}: {error}", self.hostname().display()))
        })?;
        Ok(key)
    }

    fn hostname(&self) -> PathBuf {
        self.directory.join(format!("{}.hostname", self.name))
    }

    /// Whole or not at all, and only where it says something else.
    fn write_hostname(&self, key: &PrivateKey) -> io::Result<()> {
        let line = format!("{}\n", key.destination().b32());
        if fs::read_to_string(self.hostname()).is_ok_and(|found| found == line) {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(line.as_bytes())?;
        file.persist(self.hostname()).map_err(|error| error.error)?;
        Ok(())
    }

    fn identity(&self, key: &PrivateKey, config: &Config) -> Identity {
        let tunnels = config.tunnels();
        let uses = tunnels.iter().filter(|tunnel| tunnel.key == KeyMode::Persistent);
        Identity {
            name: self.name.clone(),
            b32: key.destination().b32().to_string(),
            destination: key.destination().to_base64(),
            used: uses.into_iter().any(|tunnel| tunnel.name() == self.name),
        }
    }
}

/// What is made in somebody else's state directory, as root can, its proxy could not read.
fn is_ours(state_dir: &Path) -> Result<(), Failure> {
    #[cfg(unix)]
    if let Ok(found) = fs::metadata(state_dir)
        && let owner = std::os::unix::fs::MetadataExt::uid(&found)
        && owner != rustix::process::geteuid().as_raw()
    {
        return Err(Failure::run_time(format_args!(
            "the state directory {} belongs to user {owner}, whose proxy could not read keys that somebody else makes: it makes \
             them itself at its start, or when it is reloaded, for a tunnel with key = \"persistent\"",
            state_dir.display()
        )));
    }
    Ok(())
}

/// Runs the command.
pub(crate) async fn run(config: &Config, command: &KeysCommand) -> Result<(), Failure> {
    let state_dir = config.state_dir()?;
    let text = match command {
        KeysCommand::List { json } => list(config, &state_dir, *json)?,
        KeysCommand::New { name } => {
            is_ours(&state_dir)?;
            let kept = Kept::of(&state_dir, name.as_str());
            if kept.load()?.is_some() {
                return Err(Failure::run_time(format_args!(
                    "there is an identity called {} already, in {}",
                    kept.name,
                    kept.file.path().display()
                )));
            }
            let key = kept.load_or_generate(&bridge(config)?).await?;
            format!("{}\n", key.destination().b32())
        }
        KeysCommand::Show { name, json } => {
            let kept = Kept::of(&state_dir, name.as_str());
            let Some(key) = kept.load()? else {
                return Err(Failure::run_time(format_args!(
                    "there is no identity called {} in {}: make it with i2p-socks keys new {}",
                    kept.name,
                    kept.directory.display(),
                    kept.name
                )));
            };
            let identity = kept.identity(&key, config);
            if *json { pretty(&identity)? } else { format!("{}\n", identity.b32) }
        }
    };
    say(&text)
}

fn list(config: &Config, state_dir: &Path, json: bool) -> Result<String, Failure> {
    let mut identities = Vec::new();
    for name in names(&state_dir.join(KEYS)) {
        let kept = Kept::of(state_dir, &name);
        if let Some(key) = kept.load()? {
            identities.push(kept.identity(&key, config));
        }
    }
    if json {
        return pretty(&identities);
    }
    if identities.is_empty() {
        remark("no identity is kept");
    }
    let lines = identities.iter().map(|Identity { name, b32, used, .. }| {
        let note = if *used { "" } else { " (no tunnel uses it)" };
        format!("{name} {b32}{note}\n")
    });
    Ok(lines.collect())
}

/// What there are files for, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".dat").map(str::to_owned))
        .filter(|name| name.parse::<TunnelName>().is_ok())
        .collect();
    names.sort_unstable();
    names
}

fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Failure::run_time)
}

fn create_for_us_alone(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

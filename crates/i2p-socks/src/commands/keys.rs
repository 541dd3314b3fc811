//! `keys`: the identities that are kept in the state directory.

use std::{fs, path::Path};

use clap::Subcommand;
use i2p_sam::PrivateKey;
use serde::Serialize;

use crate::{
    config::{
        Config,
        tunnel::{KeyMode, TunnelName},
    },
    daemon::{
        bridge::bridge,
        identities::{KEYS, Kept, names},
    },
    failure::Failure,
    terminal::output::{remark, say},
};

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

/// An identity, without what is secret of it.
#[derive(Debug, Serialize)]
struct Identity {
    name: String,
    b32: String,
    destination: String,
    /// Whether the configuration has a tunnel that uses it.
    used: bool,
}

impl Identity {
    fn of(kept: &Kept, key: &PrivateKey, config: &Config) -> Identity {
        let tunnels = config.tunnels();
        let uses = tunnels.iter().filter(|tunnel| tunnel.key == KeyMode::Persistent);
        Self {
            name: kept.name().to_owned(),
            b32: key.destination().b32().to_string(),
            destination: key.destination().to_base64(),
            used: uses.into_iter().any(|tunnel| tunnel.name() == kept.name()),
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
                    kept.name(),
                    kept.path().display()
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
                    kept.name(),
                    kept.directory().display(),
                    kept.name()
                )));
            };
            let identity = Identity::of(&kept, &key, config);
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
            identities.push(Identity::of(&kept, &key, config));
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

fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(Failure::run_time)
}

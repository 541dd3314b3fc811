//! `keys`: shows and creates the identities in the state directory.

use std::{io, path::Path};

use clap::Subcommand;
use i2p_sam::PrivateKey;
use serde::Serialize;

use super::{remark_demo_not_asked, remark_own_configuration, status::report_of};
use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelName},
    control::client::{ControlClient, ControlError},
    daemon::{
        bridge::bridge,
        identities::{StoredIdentity, names, without_keys},
        orders::KEYS_PATH,
    },
    files, json,
    terminal::output::{Format, print, remark},
};

/// What to do with the identities.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the identities and their addresses.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let the router create an identity, and store it. The tunnel of the same name uses it if it has key = "persistent".
    New {
        /// Name of the identity: lower-case letters, digits and hyphens.
        name: TunnelName,
    },
    /// Show the address of an identity; with --json, also its destination. The private keys are never shown.
    Show {
        /// Name of the identity.
        name: TunnelName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What becomes of the keys that a tunnel needs and that are not there.
const MADE_BY_ROUTER: &str = "the router makes them once it answers the proxy";

/// The public part of an identity.
#[derive(Debug, Serialize)]
struct Identity {
    name: String,
    b32: String,
    destination: String,
    /// Whether a tunnel uses it: of the running proxy, or of the configuration if no proxy is running.
    used: bool,
}

/// The tunnels with persistent identities, by their names.
struct Users {
    tunnels: Vec<String>,
    /// Whether the running proxy named them. Otherwise they are those of this command's configuration, and a proxy that is stopped may
    /// have others.
    of_proxy: bool,
}

impl Users {
    /// What is said of an identity that none of them uses.
    fn none(&self) -> &'static str {
        match self.of_proxy {
            true => " (no tunnel uses it)",
            false => " (no tunnel of this command's configuration uses it)",
        }
    }
}

impl Identity {
    fn of(stored: &StoredIdentity, key: &PrivateKey, users: &Users) -> Self {
        Self {
            name: stored.name().to_owned(),
            b32: key.destination().b32().to_string(),
            destination: key.destination().to_base64(),
            used: users.tunnels.iter().any(|tunnel| tunnel == stored.name()),
        }
    }

    fn line(&self, users: &Users) -> String {
        let note = if self.used { "" } else { users.none() };
        format!("{} {}{note}\n", self.name, self.b32)
    }
}

/// Refuses a state directory of another user. Root could create keys there, which the proxy of that user could not read.
fn refuse_directory_of_another_user(state_dir: &Path) -> Result<(), CommandError> {
    if let Some(owner) = files::other_owner(state_dir) {
        return Err(CommandError::run_time(format_args!(
            "the state directory {} belongs to user {owner}, whose proxy could not read keys that another user creates. The proxy \
             creates them itself when it starts or reloads: give the tunnel key = \"persistent\"",
            state_dir.display()
        )));
    }
    Ok(())
}

/// Runs the command.
pub(crate) async fn run(config: &Config, command: &KeysCommand) -> Result<(), CommandError> {
    let state_dir = config.state_dir()?;
    let text = match command {
        KeysCommand::List { json } => {
            remark_demo_not_asked(&state_dir, "the identities").await;
            // Without identities there is nothing to ask.
            let identities = identities(&state_dir)?;
            let users = if identities.is_empty() && config.persistent_keys().is_empty() {
                Users { tunnels: Vec::new(), of_proxy: false }
            } else {
                users(config, &state_dir).await
            };
            if let Some(which) = without_keys(&state_dir, &users.tunnels) {
                remark(&format!("{which}: {MADE_BY_ROUTER}"));
            }
            list(&users, (&state_dir, &identities), Format::json_if(*json))?
        }
        KeysCommand::New { name } => {
            refuse_directory_of_another_user(&state_dir)?;
            let stored = StoredIdentity::of(&state_dir, name.as_str());
            if stored.load()?.is_some() {
                return Err(CommandError::run_time(format_args!(
                    "there already is an identity called {}, in {}",
                    stored.name(),
                    stored.path().display()
                )));
            }
            let address = create(config, &state_dir, &stored).await?;
            if !config.persistent_keys().iter().any(|tunnel| tunnel == stored.name()) {
                remark(&format!(
                    "no tunnel of this command's configuration uses this identity. For that, a [[tunnel]] needs name = \"{}\" and key = \
                     \"persistent\"",
                    stored.name()
                ));
            }
            format!("{address}\n")
        }
        KeysCommand::Show { name, json } => {
            let stored = StoredIdentity::of(&state_dir, name.as_str());
            let Some(key) = stored.load()? else {
                return Err(CommandError::run_time(format_args!(
                    "there is no identity called {} in {}: create it with i2p-socks keys new {}. The identity of a tunnel with key = \
                     \"persistent\" need not be created: the router makes its keys once it answers the proxy",
                    stored.name(),
                    stored.directory().display(),
                    stored.name()
                )));
            };
            if *json {
                let identity = Identity::of(&stored, &key, &users(config, &state_dir).await);
                json::pretty(&identity).map_err(CommandError::run_time)?
            } else {
                format!("{}\n", key.destination().b32())
            }
        }
    };
    print(&text)
}

/// Creates an identity, and returns its address. The running proxy lets its router do so; without one, the router of the configuration
/// is asked.
async fn create(config: &Config, state_dir: &Path, stored: &StoredIdentity) -> Result<String, CommandError> {
    let why = match ControlClient::of(state_dir).ask(KEYS_PATH, &stored.name()).await {
        Ok(address) => return Ok(address),
        Err(ControlError::Refused(why)) => return Err(CommandError::run_time(why)),
        Err(why) => why,
    };
    if !matches!(why, ControlError::NotRunning(_) | ControlError::NotADirectory(_)) {
        remark_own_configuration(&why);
    }
    stored.create_directory()?;
    let key = stored.load_or_generate(&bridge(config)?).await.map_err(|error| {
        CommandError::run_time(format_args!(
            "{error}. No proxy is running with this state directory, so the router of this command's configuration was asked: start \
             i2p-socks run, or a router with a SAM bridge, or name its address with --sam HOST:PORT"
        ))
    })?;
    Ok(key.destination().b32().to_string())
}

/// The tunnels that use identities. The proxy that runs with this state directory may have another configuration than this command, so
/// it is asked, and a remark tells if it did not answer.
async fn users(config: &Config, state_dir: &Path) -> Users {
    match report_of(&ControlClient::of(state_dir)).await {
        Ok(report) => {
            let persistent = report.tunnels.into_iter().filter(|tunnel| tunnel.persistent_key);
            Users { tunnels: persistent.map(|tunnel| tunnel.name).collect(), of_proxy: true }
        }
        Err(why) => {
            remark_own_configuration(&why);
            Users { tunnels: config.persistent_keys(), of_proxy: false }
        }
    }
}

/// The names of all identities.
fn identities(state_dir: &Path) -> Result<Vec<String>, CommandError> {
    names(state_dir).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            CommandError::run_time(ControlError::NotPermitted(state_dir.to_path_buf()))
        }
        _ => CommandError::run_time(format_args!(
            "cannot read the identities in {}: {error}",
            state_dir.display()
        )),
    })
}

fn list(
    users: &Users,
    (state_dir, names): (&Path, &[String]),
    format: Format,
) -> Result<String, CommandError> {
    let mut identities = Vec::new();
    for name in names {
        let stored = StoredIdentity::of(state_dir, name);
        if let Some(key) = stored.load()? {
            identities.push(Identity::of(&stored, &key, users));
        }
    }
    if identities.is_empty() && users.tunnels.is_empty() && format == Format::Text {
        remark("there are no identities");
    }
    format.render(&identities, |identities| identities.iter().map(|identity| identity.line(users)).collect())
}

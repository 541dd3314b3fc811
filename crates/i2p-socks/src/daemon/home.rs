//! The state directory of a running proxy: its control socket and `ports.json`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::ports::PortsFile;
use crate::{
    command_error::CommandError,
    config::{Config, problem::Place, tunnel::KeyMode, values::Backend},
    control::{IN_USE, client::ControlClient, routes::Routes, state_dir::StateDirOwner},
    listener::Listener,
};

/// The state directory with the control socket and `ports.json`, if it can be used.
pub(crate) struct StateDirectory {
    /// It, or why it cannot be used.
    taken: Result<TakenDirectory, String>,
    /// The address of the admin endpoint, if there is one.
    admin: Option<String>,
}

/// What follows from a state directory that cannot be used, in a sentence that also says what to do.
pub(crate) enum Consequence {
    /// The proxy does not start, because of this key.
    Refused(String, Place),
    /// It runs without what is in the directory.
    Without(String),
}

/// What to do about a directory that another proxy uses. One can also choose another directory.
const STOP_THE_OTHER: &str = "stop the other proxy";
/// What to do about any other error, which says what is wrong.
const MEND_THAT: &str = "mend that";

impl Consequence {
    fn of(config: &Config, (error, mend): (&str, &str)) -> Self {
        let advice = "choose another directory with --state-dir DIR";
        let tunnels = config.tunnels();
        if let Some((index, tunnel)) =
            tunnels.iter().enumerate().find(|(_, tunnel)| tunnel.key == KeyMode::Persistent)
        {
            let text = format!(
                "{error}. Tunnel {} has key = \"persistent\", and its key is kept there, which no two proxies may use at once: {mend}, \
                 or {advice}",
                tunnel.name()
            );
            return Self::Refused(text, Place::nth("tunnel", index, "key"));
        }
        if !config.names.subscriptions.is_empty() {
            let text = format!("{error}. The subscriptions under [names] need it to store names: {advice}");
            return Self::Refused(text, Place::of("names", "subscriptions"));
        }
        if matches!(config.router.backend, Backend::I2pd | Backend::Embedded) {
            let text = format!(
                "{error}. The router that the proxy starts keeps its files there, which no two routers can share: {mend}, or {advice}"
            );
            return Self::Refused(text, Place::of("router", "backend"));
        }
        Self::Without(format!(
            "{error}. The proxy runs without its own address book, and commands such as status cannot reach it; {advice}"
        ))
    }
}

/// That a state directory cannot be used.
fn unusable(path: &Path, why: &impl fmt::Display) -> String {
    format!("the state directory {} cannot be used: {why}", path.display())
}

/// A state directory that belongs to this process.
struct TakenDirectory {
    path: PathBuf,
    control: StateDirOwner,
    ports: PortsFile,
}

impl StateDirectory {
    /// Takes the state directory for this proxy. If it cannot be used, the proxy runs without address book and control socket,
    /// unless the configuration has subscriptions or persistent identities, or a router of the proxy's own.
    pub(crate) fn take(config: &Config, admin: Option<&str>) -> Result<Self, CommandError> {
        let admin = admin.map(str::to_owned);
        let result = config.state_dir().map_err(|error| (error.to_string(), MEND_THAT)).and_then(|path| {
            let control = StateDirOwner::take(&path).map_err(|error| {
                let mend = if error == IN_USE { STOP_THE_OTHER } else { MEND_THAT };
                (unusable(&path, &error), mend)
            })?;
            Ok(TakenDirectory { control, ports: PortsFile::new(&path), path })
        });
        match result {
            Ok(directory) => Ok(Self { taken: Ok(directory), admin }),
            Err((error, mend)) => match Consequence::of(config, (&error, mend)) {
                Consequence::Refused(text, _) => Err(CommandError::run_time(text)),
                Consequence::Without(text) => {
                    tracing::warn!("{text}");
                    Ok(Self { taken: Err(error), admin })
                }
            },
        }
    }

    /// What [`take`](Self::take) would say if the state directory cannot be used. Creates nothing; another proxy that uses the directory
    /// does not matter. Root examines the directory of another user as that user.
    pub(crate) fn examine(config: &Config) -> Option<Consequence> {
        let error = match config.state_dir() {
            Ok(path) => unusable(&path, &private_directory::check(&path).err()?),
            Err(error) => error.to_string(),
        };
        Some(Consequence::of(config, (&error, MEND_THAT)))
    }

    /// Adds to an error that another proxy is running with the state directory, if one is: it may be the reason.
    pub(crate) async fn with_running_proxy(error: CommandError, config: &Config) -> CommandError {
        match config.state_dir() {
            Ok(path) if Self::is_in_use(config).await => CommandError::run_time(format_args!(
                "{}. A proxy is running with the state directory already: i2p-socks status --state-dir {} shows it",
                error.to_string().trim_end_matches('.'),
                path.display()
            )),
            _ => error,
        }
    }

    /// Whether another proxy is running with the state directory.
    async fn is_in_use(config: &Config) -> bool {
        let Ok(state_dir) = config.state_dir() else { return false };
        ControlClient::of(&state_dir).is_running().await.unwrap_or(false)
    }

    /// What [`take`](Self::take) would say while another proxy is running with the state directory, if one is.
    pub(crate) async fn if_shared(config: &Config) -> Option<Consequence> {
        let path = config.state_dir().ok()?;
        let shared = unusable(&path, &IN_USE);
        Self::is_in_use(config).await.then(|| Consequence::of(config, (&shared, STOP_THE_OTHER)))
    }

    /// Refuses a configuration with persistent identities if this process does not have the directory: another proxy could use the
    /// same ones.
    pub(crate) fn refuse_persistent_keys(&self, config: &Config) -> Result<(), CommandError> {
        match config.persistent_keys().first() {
            Some(tunnel) if self.taken.is_err() => Err(CommandError::run_time(format_args!(
                "tunnel {tunnel} has key = \"persistent\", and this proxy could not use its state directory when it started: choose \
                 another directory with --state-dir DIR, and restart it"
            ))),
            _ => Ok(()),
        }
    }

    /// Its path, if this process has it.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.taken.as_ref().ok().map(|taken| taken.path.as_path())
    }

    /// Why no router that keeps its files there can be started; `None` if one can.
    pub(crate) fn refuses_router(&self) -> Option<String> {
        let error = self.taken.as_ref().err()?;
        Some(format!(
            "no router of the proxy's own is started, because its files would be in the state directory. {error}: stop the other proxy \
             if there is one, or choose another directory with --state-dir DIR"
        ))
    }

    /// Serves the control socket, and writes `ports.json`.
    pub(crate) fn serve(
        &mut self,
        routes: Routes,
        listeners: &[Listener],
        exec: &[Listener],
        stop: &CancellationToken,
    ) {
        if let Ok(taken) = &mut self.taken {
            taken.control.serve(routes, stop);
        }
        self.write_ports(listeners, exec);
    }

    /// Writes `ports.json`. `exec` are the sockets of that command.
    pub(crate) fn write_ports(&self, listeners: &[Listener], exec: &[Listener]) {
        if let Ok(TakenDirectory { ports, .. }) = &self.taken {
            ports.write(listeners, exec, self.admin.as_deref());
        }
    }
}

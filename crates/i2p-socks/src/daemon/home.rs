//! The state directory of a running proxy: its control socket and its file of ports.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::ports::PortsFile;
use crate::{
    config::Config,
    control::{routes::Routes, state_dir::Control},
    failure::Failure,
    place::Place,
};

/// The state directory, if it can be used: the control socket and the file of ports.
pub(super) struct Home {
    state_dir: Option<StateDir>,
    /// Where the admin endpoint is, if there is one.
    admin: Option<String>,
}

/// The state directory, for as long as this process has it.
struct StateDir {
    path: PathBuf,
    control: Control,
    ports: PortsFile,
}

impl Home {
    #[cfg(test)]
    pub(super) fn without_state_dir() -> Self {
        Self { state_dir: None, admin: None }
    }

    /// Takes the state directory for this proxy. Without it there is no address book and no control socket, which a proxy can
    /// do without unless its configuration says otherwise.
    pub(super) fn take(config: &Config, admin: Option<&str>) -> Result<Self, Failure> {
        let admin = admin.map(str::to_owned);
        let taken = config.state_dir().map_err(|failure| failure.to_string()).and_then(|path| {
            let control = Control::take(&path)
                .map_err(|error| format!("the state directory {} cannot be used: {error}", path.display()))?;
            Ok(StateDir { control, ports: PortsFile::new(&path), path })
        });
        let error = match taken {
            Ok(state_dir) => return Ok(Self { state_dir: Some(state_dir), admin }),
            Err(error) => error,
        };
        let advice = "say with --state-dir DIR which directory to use";
        if !config.names.subscriptions.is_empty() || !config.names.jump.is_empty() {
            return Err(Failure::run_time(format_args!(
                "{error}. The subscriptions and jump services under [names] need it for their names: {advice}"
            )));
        }
        tracing::warn!(
            "{error}. So this proxy has no address book of its own, and no command can speak to it; {advice}"
        );
        Ok(Self { state_dir: None, admin })
    }

    pub(super) fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_ref().map(|state_dir| state_dir.path.as_path())
    }

    pub(super) fn serve(&mut self, routes: Routes, places: &[Place], stop: &CancellationToken) {
        if let Some(state_dir) = &mut self.state_dir {
            state_dir.control.serve(routes, stop);
        }
        self.write_ports(places);
    }

    pub(super) fn write_ports(&self, places: &[Place]) {
        if let Some(StateDir { ports, .. }) = &self.state_dir {
            ports.write(places, self.admin.as_deref());
        }
    }
}

//! An installed i2pd as a child of the proxy: it is found, configured, started, watched and ended.
//! May import `command_error` and `files`.

mod child;
mod configuration;
mod find;
mod launcher;
mod log;
mod ports;
mod settings;
mod status;
mod supervisor;

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use i2p_sam::ChangingAddress;
use tokio::sync::{oneshot, watch};

pub(crate) use self::{
    find::find,
    launcher::run as become_i2pd_if_told,
    settings::Settings,
    status::{I2pdCondition, I2pdStatus},
};
use self::{
    log::I2pdLog,
    supervisor::{Event, supervise},
};
use crate::command_error::CommandError;

/// The name of its bridge in messages.
const NAME: &str = "the i2pd that i2p-socks has started";

/// An i2pd that is kept running. Dropping it ends the process, and waits for that.
pub(crate) struct I2pd {
    address: ChangingAddress,
    status: watch::Receiver<I2pdStatus>,
    events: mpsc::Sender<Event>,
    thread: Option<JoinHandle<()>>,
    first: Option<oneshot::Receiver<Result<(), CommandError>>>,
    asks_reseed_servers: bool,
    /// Locked as long as this i2pd uses its directory.
    _lock: File,
}

impl I2pd {
    /// Prepares the directory and starts the process.
    ///
    /// # Errors
    /// The directory cannot be used, or another proxy uses it.
    pub(crate) fn start(settings: Settings) -> Result<Self, CommandError> {
        let path = settings.directory.display().to_string();
        let unusable = |error: &dyn std::fmt::Display| {
            CommandError::run_time(format_args!(
                "the directory of i2pd, {path}, cannot be used: {error}. i2pd is not started. Choose another directory with \
                 --state-dir DIR"
            ))
        };
        let directory = private_directory::open(&settings.directory).map_err(|error| unusable(&error))?;
        let lock = lock(&directory).map_err(|error| unusable(&error))?;
        let log = I2pdLog::default();
        let settings = Settings { directory, ..settings };
        let asks_reseed_servers = configuration::asks_reseed_servers(&settings);
        let address = ChangingAddress::new(NAME);
        let (shown, status) = watch::channel(I2pdStatus {
            condition: I2pdCondition::Starting,
            deaths: 0,
            too_few_routers: None,
        });
        let (first, started) = oneshot::channel();
        let (events, told) = mpsc::channel();
        let (bridge, for_child) = (address.clone(), events.clone());
        // A thread of its own, since the kernel ends the process together with the thread that started it.
        let thread = thread::Builder::new()
            .name("i2pd".to_owned())
            .spawn(move || supervise(&settings, &log, &bridge, &shown, (&for_child, &told), first))
            .map_err(|error| unusable(&error))?;
        Ok(Self {
            address,
            status,
            events,
            thread: Some(thread),
            first: Some(started),
            asks_reseed_servers,
            _lock: lock,
        })
    }

    /// Waits until its SAM bridge answers. Call it once.
    ///
    /// # Errors
    /// It could not be started, died again and again, or its SAM bridge did not answer in time.
    pub(crate) async fn ready(&mut self) -> Result<(), CommandError> {
        let ended = || CommandError::run_time("the thread that watches i2pd has ended: restart i2p-socks");
        let Some(first) = self.first.take() else { return Ok(()) };
        first.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Whether its first start asks reseed servers on the internet.
    pub(crate) fn asks_reseed_servers(&self) -> bool {
        self.asks_reseed_servers
    }

    /// The address of its SAM bridge, which changes when it is started again at another port.
    pub(crate) fn address(&self) -> &ChangingAddress {
        &self.address
    }

    /// Its state, now and from now on.
    pub(crate) fn status(&self) -> watch::Receiver<I2pdStatus> {
        self.status.clone()
    }
}

impl Drop for I2pd {
    fn drop(&mut self) {
        // A thread that has ended has ended its process.
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether an i2pd has run in this directory.
pub(crate) fn has_run_in(directory: &Path) -> bool {
    directory.join("router.keys").exists()
}

/// Locks the directory for this process.
fn lock(directory: &Path) -> Result<File, String> {
    let file = File::create(directory.join("lock")).map_err(|error| error.to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err("another i2p-socks with the same state directory has started i2pd there. To use one i2pd for several programs, start \
                 the proxy first (i2p-socks run)"
                .to_owned())
        }
        Err(TryLockError::Error(error)) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_for_one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = lock(directory.path()).unwrap();
        let second = lock(directory.path()).unwrap_err();
        assert!(second.starts_with("another i2p-socks with the same state directory"), "{second}");
        drop(first);
        assert!(lock(directory.path()).is_ok());
    }
}

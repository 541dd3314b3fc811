//! Messages to the service manager: `sd_notify(3)`. Without a service manager, nothing is sent.

use std::time::Duration;

#[cfg(target_os = "linux")]
use sd_notify::NotifyState;

/// The service manager, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceManager;

impl ServiceManager {
    /// Whether a service manager started this process and waits for its messages.
    pub(crate) fn exists(self) -> bool {
        std::env::var_os("NOTIFY_SOCKET").is_some()
    }

    /// Reports that clients are served, or that the reload that [`ServiceManager::reloading`] announced has ended, successful or not.
    pub(crate) fn ready(self, status: &str) {
        #[cfg(target_os = "linux")]
        self.send(&[NotifyState::Ready, NotifyState::Status(status)]);
        #[cfg(not(target_os = "linux"))]
        let _ = status;
    }

    /// Announces a reload of the configuration. [`ServiceManager::ready`] must follow.
    pub(crate) fn reloading(self) {
        // By the time, the manager knows which request this answers (Type=notify-reload of systemd.service(5)).
        #[cfg(target_os = "linux")]
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.send(&[NotifyState::Reloading, now]);
        }
    }

    /// Reports that the process is stopping.
    pub(crate) fn stopping(self, status: &str) {
        #[cfg(target_os = "linux")]
        self.send(&[NotifyState::Stopping, NotifyState::Status(status)]);
        #[cfg(not(target_os = "linux"))]
        let _ = status;
    }

    /// Sets the line that `systemctl status` shows.
    pub(crate) fn status(self, status: &str) {
        #[cfg(target_os = "linux")]
        self.send(&[NotifyState::Status(status)]);
        #[cfg(not(target_os = "linux"))]
        let _ = status;
    }

    /// How often to send [`ServiceManager::alive`], if the manager wants it: half of its limit, because it kills a late process.
    pub(crate) fn watchdog(self) -> Option<Duration> {
        #[cfg(target_os = "linux")]
        return sd_notify::watchdog_enabled().map(|limit| limit / 2);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Resets the watchdog.
    pub(crate) fn alive(self) {
        #[cfg(target_os = "linux")]
        self.send(&[NotifyState::Watchdog]);
    }

    #[cfg(target_os = "linux")]
    #[allow(clippy::unused_self, reason = "a method of the manager, like the others")]
    fn send(self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            tracing::debug!("cannot send a message to the service manager: {error}");
        }
    }
}

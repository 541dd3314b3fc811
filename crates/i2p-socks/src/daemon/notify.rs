//! What the service manager is told: `sd_notify(3)`. Where no manager asks, nothing is said.

use std::time::Duration;

#[cfg(target_os = "linux")]
use sd_notify::NotifyState;

/// The service manager, if one wants to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manager;

impl Manager {
    /// Whether one has started this process and waits for it.
    pub(crate) fn is_there(self) -> bool {
        std::env::var_os("NOTIFY_SOCKET").is_some()
    }

    /// Clients can be served, or the reload that [`Manager::reloading`] began has ended, with whatever result.
    pub(crate) fn ready(self, status: &str) {
        #[cfg(target_os = "linux")]
        self.say(&[NotifyState::Ready, NotifyState::Status(status)]);
        #[cfg(not(target_os = "linux"))]
        let _ = status;
    }

    /// The configuration is read again. [`Manager::ready`] has to follow.
    pub(crate) fn reloading(self) {
        // The time tells the manager which request is answered (Type=notify-reload of systemd.service(5)).
        #[cfg(target_os = "linux")]
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.say(&[NotifyState::Reloading, now]);
        }
    }

    /// The end has begun.
    pub(crate) fn stopping(self, status: &str) {
        #[cfg(target_os = "linux")]
        self.say(&[NotifyState::Stopping, NotifyState::Status(status)]);
        #[cfg(not(target_os = "linux"))]
        let _ = status;
    }

    /// A line for `systemctl status`.
    pub(crate) fn status(self, status: &str) {
        #[cfg(target_os = "linux")]
        self.say(&[NotifyState::Status(status)]);
        #[cfg(not(target_os = "linux"))]
        let _ = status;
    }

    /// How often the manager wants to hear that this lives, if it does: half of its limit, since late is dead.
    pub(crate) fn watchdog(self) -> Option<Duration> {
        #[cfg(target_os = "linux")]
        return sd_notify::watchdog_enabled().map(|limit| limit / 2);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Says that this lives.
    pub(crate) fn alive(self) {
        #[cfg(target_os = "linux")]
        self.say(&[NotifyState::Watchdog]);
    }

    #[cfg(target_os = "linux")]
    #[allow(clippy::unused_self, reason = "only who has a manager speaks to it")]
    fn say(self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            tracing::debug!("the service manager cannot be told: {error}");
        }
    }
}

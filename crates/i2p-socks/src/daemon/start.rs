//! The start of the tunnels: each has ended it once its first I2P session is ready.

use std::{future::poll_fn, pin::Pin, task::Poll};

use super::sessions::Sessions;

/// The tunnels that wait for their first session. A tunnel that a reload adds after the first one has started does not count: its
/// clients get a session like those who come after an idle time.
pub(crate) struct Start {
    waiting: Vec<WaitingTunnel>,
    begun: bool,
}

struct WaitingTunnel {
    name: String,
    ready: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Start {
    /// All tunnels wait.
    pub(crate) fn of(tunnels: impl IntoIterator<Item = String>, sessions: &Sessions) -> Self {
        let waiting = tunnels.into_iter().map(|name| WaitingTunnel::new(name, sessions)).collect();
        Self { waiting, begun: false }
    }

    /// Waits for those whose first session is the next to be ready. For ever if none waits. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Vec<String> {
        let next = poll_fn(|context| {
            let mut ready = Vec::new();
            // A session may become ready behind the first of the tunnels that share it. They start together.
            loop {
                let is_ready = |tunnel: &mut WaitingTunnel| tunnel.ready.as_mut().poll(context).is_ready();
                let before = ready.len();
                ready.extend(self.waiting.extract_if(.., is_ready).map(|tunnel| tunnel.name));
                if ready.len() == before {
                    break;
                }
            }
            if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
        });
        let ready = next.await;
        self.begun = true;
        ready
    }

    /// Goes on with other sessions, and after a reload with other tunnels.
    pub(crate) fn go_on_with(&mut self, tunnels: impl IntoIterator<Item = String>, sessions: &Sessions) {
        let still_waits = |name: &String| !self.begun || self.waits(name);
        let tunnels: Vec<_> = tunnels.into_iter().filter(still_waits).collect();
        self.waiting = tunnels.into_iter().map(|name| WaitingTunnel::new(name, sessions)).collect();
    }

    /// Whether a tunnel has started, so that clients are served.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether a tunnel waits for its first session.
    pub(crate) fn waits(&self, tunnel: &str) -> bool {
        self.waiting.iter().any(|waiting| waiting.name == tunnel)
    }

    /// The tunnels that wait.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.waiting.iter().map(|tunnel| tunnel.name.clone()).collect()
    }
}

impl WaitingTunnel {
    fn new(name: String, sessions: &Sessions) -> Self {
        let ready = Box::pin(sessions.first_ready(&name));
        Self { name, ready }
    }
}

//! The end of all connections.

use std::time::Duration;

use i2p_tunnel::Stop;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::exec_directory::ExecDirectory;

/// How long clients may take to read why their requests are not served any more.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

/// The connections of all tunnels.
pub(crate) struct Connections {
    stops: Vec<Stop>,
    /// Done once the last connection has ended.
    tasks: TaskTracker,
    /// It is removed last: until then, its sockets are in it.
    _exec_directory: ExecDirectory,
}

impl Connections {
    pub(super) fn new(stops: Vec<Stop>, tasks: TaskTracker, exec_directory: ExecDirectory) -> Self {
        tasks.close();
        Self { stops, tasks, _exec_directory: exec_directory }
    }

    /// Stops accepting clients, lets requests and transfers continue for `grace` or until `now` is cancelled, and returns once every
    /// connection is closed. A stream without traffic for `max_idle` is closed earlier. Returns whether connections had to be cut.
    pub(crate) async fn drain(self, grace: Duration, max_idle: Duration, now: &CancellationToken) -> bool {
        self.stops.iter().for_each(|stop| stop.drain(max_idle));
        let by_itself = now.run_until_cancelled(timeout(grace, self.tasks.wait())).await;
        let forced = !matches!(by_itself, Some(Ok(())));
        self.end().await;
        forced
    }

    /// Closes every connection. Clients whose requests wait are told that the proxy is stopping.
    pub(crate) async fn end(self) {
        self.stops.iter().for_each(Stop::refuse);
        // Those that take longer have a client that does not read.
        let _ = timeout(ANSWER_TIMEOUT, self.tasks.wait()).await;
        self.stops.iter().for_each(Stop::end);
        self.tasks.wait().await;
    }
}

//! Opens SAM sessions, and how long i2pd takes for it.

use std::time::Duration;

use anyhow::Result;
use i2p_sam::{Bridge, Session, SessionOptions};

use crate::wait::{Attempt, Patience, until};

/// How long the tunnels of a session may take. i2pd looks every 20 s whether they are built; 40 s were seen.
pub const TUNNELS_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to find a published lease set once the tunnels are built; 36 s were seen on a busy machine. i2pd looks for
/// a lease set for 20 s, but a stream over a dead tunnel may hang for a minute.
pub const LEASE_SET_PATIENCE: Patience =
    Patience { whole: Duration::from_secs(60), attempt: Duration::from_secs(25) };

/// Opens a session and waits for its tunnels.
pub async fn open_session(bridge: &Bridge, what: &str, options: &SessionOptions) -> Result<Session> {
    until(what, TUNNELS_TIMEOUT, async || Ok(Attempt::of(bridge.create_session(options).await))).await
}

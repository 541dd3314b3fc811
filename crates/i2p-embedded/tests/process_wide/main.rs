//! Tests of resources that a whole process shares: its panic hook and its file descriptors. They are a separate program and run
//! one at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod end;
mod file_descriptors;

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other test runs. No other test starts until the guard is dropped.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

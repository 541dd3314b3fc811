//! Tests of resources that a whole process shares: its allocator, log and file descriptors. They are a separate program and run
//! one at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "only a part of it is used here")]
#[path = "../it/common/mod.rs"]
mod common;

mod chaos;
mod counting;
mod datagram_allocations;
mod idle_allocations;
mod limits;
mod log;
mod log_privacy;
mod log_sensitive;
mod outproxy_hostile;
mod udp_no_socket;
mod wrong_credentials;

use std::{
    cell::RefCell,
    sync::{Mutex, MutexGuard, PoisonError},
};

static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static HELD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Waits until no other test runs. The calling test then has the process to itself until its thread ends, and with it the runtime
/// and all tasks of the test.
pub(crate) fn alone() {
    HELD.with_borrow_mut(|held| {
        held.get_or_insert_with(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    });
    log::stop();
}

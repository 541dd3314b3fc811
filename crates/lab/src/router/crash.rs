//! Remembers whether a router has crashed.
//!
//! i2pd 2.45 now and then crashes with SIGSEGV while it builds sessions: in two of some eight runs of the interop suite. A check
//! may then fail because of the lost router, not because of our program. So a suite that fails after a crash reports that with its
//! exit code, and runs once more with new routers. A suite that fails without a crash has failed.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::atomic::{AtomicBool, Ordering},
};

/// SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV: a program causes these itself. No suite sends them.
const CRASH_SIGNALS: [i32; 5] = [4, 6, 7, 8, 11];

static RECORDED: AtomicBool = AtomicBool::new(false);

/// Looks at the exit status of a router. Records and prints a crash.
pub(super) fn record(router: &str, status: ExitStatus) {
    if is_crash(status) {
        println!("     {router} has crashed ({status})");
        RECORDED.store(true, Ordering::Relaxed);
    }
}

/// Forgets the crashes so far, because their network is gone.
pub(crate) fn forget() {
    RECORDED.store(false, Ordering::Relaxed);
}

/// Returns whether a router has crashed.
pub(crate) fn was_recorded() -> bool {
    RECORDED.load(Ordering::Relaxed)
}

fn is_crash(status: ExitStatus) -> bool {
    status.signal().is_some_and(|signal| CRASH_SIGNALS.contains(&signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_was_killed_or_has_exited_has_not_crashed() {
        let crashed = |raw| is_crash(ExitStatus::from_raw(raw));
        assert!(crashed(11));
        assert!(crashed(6 | 0x80), "with a core dump");
        assert!(!crashed(9));
        assert!(!crashed(15));
        assert!(!crashed(1 << 8));
        assert!(!crashed(0));
    }
}

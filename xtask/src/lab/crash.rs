//! Routers that crash.
//!
//! i2pd 2.45 takes a SIGSEGV now and then while it builds sessions: in two of some eight runs of the interop suite. What a suite finds
//! in a network that has lost a router says nothing of our program. So a suite that fails after a crash says so by its exit
//! code, and is run once more, on new routers. One that fails without a crash has failed.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::atomic::{AtomicBool, Ordering},
};

/// Exit code of a suite that failed after a router had crashed (`EX_TEMPFAIL` of sysexits.h: try again).
pub(crate) const EXIT_CODE: u8 = 75;
/// SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV: what a program does to itself. Nobody here sends them.
const OWN_DOING: [i32; 5] = [4, 6, 7, 8, 11];

static SEEN: AtomicBool = AtomicBool::new(false);

/// Takes note of how a router has ended, and says so where it was a crash.
pub(crate) fn note(what: &str, status: ExitStatus) {
    if is_crash(status) {
        println!("     {what} has crashed ({status})");
        SEEN.store(true, Ordering::Relaxed);
    }
}

/// Forgets the crashes so far: the network that they happened in is gone.
pub(crate) fn forget() {
    SEEN.store(false, Ordering::Relaxed);
}

/// Whether a router of this process has crashed.
pub(crate) fn seen() -> bool {
    SEEN.load(Ordering::Relaxed)
}

fn is_crash(status: ExitStatus) -> bool {
    status.signal().is_some_and(|signal| OWN_DOING.contains(&signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_was_killed_or_has_ended_has_not_crashed() {
        let ended = |raw| is_crash(ExitStatus::from_raw(raw));
        assert!(ended(11));
        assert!(ended(6 | 0x80), "with a core dump");
        assert!(!ended(9));
        assert!(!ended(15));
        assert!(!ended(1 << 8));
        assert!(!ended(0));
    }
}

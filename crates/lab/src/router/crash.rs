//! Remembers whether a router has crashed.
//!
//! i2pd (2.45 and 2.59) now and then crashes with SIGSEGV while it builds sessions: in two of some eight runs of the interop suite. A check
//! may then fail because of the lost router, not because of our program. So a suite that fails after a crash reports that with its
//! exit code, and runs once more with new routers. A suite that fails without a crash has failed.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV: a program causes these itself. No suite sends them.
const CRASH_SIGNALS: [i32; 5] = [4, 6, 7, 8, 11];

static RECORDED: AtomicBool = AtomicBool::new(false);

/// The processes of the routers that run.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A router runs in this process.
pub(super) fn watch(process: u32) {
    running().push(process);
}

/// Returns whether a router has crashed that nobody has started again.
#[must_use]
pub fn has_happened() -> bool {
    running()
        .iter()
        .any(|process| ended_by_signal(*process).is_some_and(|signal| CRASH_SIGNALS.contains(&signal)))
}

/// The signal that has ended a process, as long as nobody has waited for it.
fn ended_by_signal(process: u32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program comes first, in parentheses, and can hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace();
    // proc_pid_stat(5): the third field is the state, and the last one is the status as waitpid(2) gives it.
    let (state, status) = (fields.next()?, fields.next_back()?.parse::<i32>().ok()?);
    (state == "Z").then_some(status & 0x7f)
}

/// Looks at the exit status of a router. Records and prints a crash.
pub(super) fn record(router: &str, status: ExitStatus) {
    if is_crash(status) {
        println!("     {router} has crashed ({status})");
        RECORDED.store(true, Ordering::Relaxed);
    }
}

/// Forgets the crashes so far, because their network is gone.
pub(crate) fn forget() {
    running().clear();
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
    use std::{
        process::Command,
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_crash_is_seen_before_anybody_waits_for_the_process() {
        for (signal, expected) in [("SEGV", Some(11)), ("KILL", Some(9))] {
            let mut process = Command::new("sh").args(["-c", &format!("kill -{signal} $$")]).spawn().unwrap();
            let until = Instant::now() + Duration::from_secs(20);
            while ended_by_signal(process.id()).is_none() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(ended_by_signal(process.id()), expected);
            process.wait().unwrap();
            assert_eq!(ended_by_signal(process.id()), None, "somebody has waited for it");
        }
    }

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

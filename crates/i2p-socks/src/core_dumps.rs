//! Core dumps: the memory of the proxy holds keys, passwords and what clients asked for, which no crash may write to a file.

use std::io;

/// Forbids core dumps of this process. On Linux, this also keeps other processes of the same user from reading its memory.
pub(crate) fn forbid() -> io::Result<()> {
    let mut outcome: io::Result<()> = Ok(());
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // The limit below does not hold for a program that takes the dump from a pipe, such as systemd-coredump.
        outcome = outcome.and(set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from));
    }
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // Child processes inherit the limit.
        let forbidden = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        outcome = outcome.and(forbidden.map_err(io::Error::from));
    }
    outcome
}

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
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // Child processes inherit the limit. Below the size of any dump, 1 is as good as 0, and Linux then does not even start the
        // program that takes dumps from a pipe (core(5)). A limit of 0 that cannot be raised forbids dumps already.
        let limit = getrlimit(Resource::Core).maximum.map_or(1, |maximum| maximum.min(1));
        let forbidden = setrlimit(Resource::Core, Rlimit { current: Some(limit), maximum: Some(limit) });
        outcome = outcome.and(forbidden.map_err(io::Error::from));
    }
    outcome
}

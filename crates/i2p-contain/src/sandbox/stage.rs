//! The stages of a sandbox: this program executes itself again for each, since namespaces need a process with one thread.
//!
//! ```text
//! outside       the program that contains: host's network; relays streams, terminal and signals
//!   namespaces  first stage: makes all namespaces but the mounts; opens the link; waits
//!     init      second stage, process 1 inside: makes the root, gives up privileges, filters system calls; reaps
//!       program third stage: becomes the program
//! ```

use std::{ffi::OsStr, process::Command};

/// The first argument of a stage. The second is its name.
pub(super) const STAGE: &str = "--i2p-contain-stage";

/// This program, wherever it is: inside, too.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Namespaces,
    Init,
    Program,
    /// The hostile program of [`probes`](super::probes), and a try of it that needs a process of its own.
    Probes,
    ProbeApart,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Namespaces, Self::Init, Self::Program, Self::Probes, Self::ProbeApart];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Init => "init",
            Self::Program => "program",
            Self::Probes => "probes",
            Self::ProbeApart => "probe-apart",
        }
    }

    pub(super) fn named(name: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| name == stage.name())
    }

    /// The command that executes this program as the stage.
    pub(super) fn command(self) -> Command {
        let mut command = Command::new(THIS_PROGRAM);
        command.args([STAGE, self.name()]);
        command
    }
}

/// The exit code of a stage that has refused.
pub(super) const REFUSED: u8 = 125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_names_of_their_own() {
        for stage in Stage::ALL {
            assert_eq!(Stage::named(OsStr::new(stage.name())), Some(stage));
        }
        assert_eq!(Stage::named(OsStr::new("outside")), None);
    }
}

//! What the chores (`xtask`) and the suites (`lab` and above) share: where the workspace is, how a command line is run so that
//! a person can repeat it, how missing programs are installed, and how those of other Debian releases are unpacked.

#![forbid(unsafe_code)]

mod debian;
mod invocation;
mod packages;
mod workspace;

pub use debian::unpacked;
pub use invocation::Invocation;
pub use packages::{Program, find, install_missing, package_version};
pub use workspace::Workspace;

//! What the chores (`xtask`) and the suites (`lab` and above) share: where the workspace is, how a command line is run so that
//! a person can repeat it, and how missing programs are installed.

#![forbid(unsafe_code)]

mod invocation;
mod packages;
mod workspace;

pub use invocation::Invocation;
pub use packages::{Program, find, install_missing, package_version};
pub use workspace::Workspace;

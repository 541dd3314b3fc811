//! What an i2pd is started with.

use std::path::PathBuf;

/// What an i2pd is started with.
pub(crate) struct Settings {
    /// The program.
    pub(crate) program: PathBuf,
    /// Where it keeps its files.
    pub(crate) directory: PathBuf,
    /// The network that it joins.
    pub(crate) network_id: u8,
    /// Its first routers, in place of those from a reseed server: an su3 file.
    pub(crate) reseed_file: Option<PathBuf>,
}

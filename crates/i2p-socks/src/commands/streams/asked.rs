//! The host and port that `connect` is asked to reach.

use i2p_name::Target;

/// The host and port to connect to.
pub(in crate::commands) struct ConnectTarget {
    /// The host as the user wrote it.
    pub(in crate::commands) host: String,
    /// The same, parsed.
    pub(in crate::commands) target: Target,
    pub(in crate::commands) port: u16,
}

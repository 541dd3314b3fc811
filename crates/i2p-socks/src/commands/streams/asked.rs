//! Whom `connect` is to reach.

use i2p_name::Target;

/// Whom to reach.
pub(in crate::commands) struct Asked {
    /// As the user wrote it.
    pub(in crate::commands) host: String,
    /// What that is.
    pub(in crate::commands) target: Target,
    pub(in crate::commands) port: u16,
}

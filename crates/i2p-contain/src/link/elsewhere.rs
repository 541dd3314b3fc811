//! Systems without network namespaces.

use super::settings::{LinkError, LinkSettings};

/// The network of a namespace, which exists on Linux only.
#[derive(Debug)]
pub enum Link {}

impl Link {
    /// Fails.
    ///
    /// # Errors
    /// [`LinkError::NotLinux`].
    #[allow(clippy::unused_async, reason = "as on Linux")]
    pub async fn open(_settings: &LinkSettings) -> Result<Self, LinkError> {
        Err(LinkError::NotLinux)
    }
}

//! The router that the proxy runs itself, as the status shows it.

use std::{fmt, sync::Arc, time::Duration};

/// Which router the proxy runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnRouterKind {
    /// An installed i2pd.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "it is started on Linux only"))]
    I2pd,
    /// The embedded router.
    Embedded,
}

impl OwnRouterKind {
    /// The word in `/status.json`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::I2pd => "i2pd",
            Self::Embedded => "embedded",
        }
    }
}

/// The state of a router that the proxy runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnRouterStatus {
    /// Which one it is.
    pub(crate) kind: OwnRouterKind,
    /// What it does now.
    pub(crate) state: OwnRouterState,
    /// How often it has died since the start of the proxy.
    pub(crate) deaths: u64,
    /// How many other routers it knows, if it is known that they are too few.
    pub(crate) too_few_routers: Option<usize>,
}

/// What a router that the proxy runs itself does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnRouterState {
    /// It starts.
    Starting,
    /// It runs.
    Running,
    /// It has died, and is started again after this time.
    Down(Duration),
}

impl OwnRouterState {
    /// The word in `/status.json`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Down(_) => "down",
        }
    }
}

/// Where the state of the router is read from.
#[derive(Clone)]
pub(crate) struct OwnRouterSource(Arc<dyn Fn() -> OwnRouterStatus + Send + Sync>);

impl OwnRouterSource {
    /// Reads the state with this function.
    pub(crate) fn new(read: impl Fn() -> OwnRouterStatus + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Whether it is the embedded router.
    pub(crate) fn is_embedded(&self) -> bool {
        self.read().kind == OwnRouterKind::Embedded
    }

    pub(super) fn read(&self) -> OwnRouterStatus {
        (self.0)()
    }
}

impl fmt::Debug for OwnRouterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnRouterSource").field(&self.read()).finish()
    }
}

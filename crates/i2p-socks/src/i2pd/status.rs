//! The state of an i2pd.

use std::time::Instant;

/// The state of an i2pd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct I2pdStatus {
    pub(crate) condition: I2pdCondition,
    /// How often it has died since the first start.
    pub(crate) deaths: u64,
    /// How many other routers it knows, if they are too few although it has had time to find more.
    pub(crate) too_few_routers: Option<usize>,
}

/// What an i2pd does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum I2pdCondition {
    /// It starts.
    Starting,
    /// Its SAM bridge answers.
    Running,
    /// It has died, and is started again at this time.
    Down { until: Instant },
}

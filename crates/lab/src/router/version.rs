//! The version of the i2pd that suites run.

use std::{fmt, process::Command};

use anyhow::{Context, Result};

/// A version of i2pd, such as 2.45.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct I2pdVersion {
    major: u16,
    minor: u16,
}

impl I2pdVersion {
    /// The version with these numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version of the i2pd that routers are started with.
    pub fn of_routers() -> Result<Self> {
        let program = programs::find("i2pd").context("i2pd is missing")?;
        let output = Command::new(program).arg("--version").output().context("could not start i2pd")?;
        let text = String::from_utf8_lossy(&output.stdout);
        Self::parse(&text).with_context(|| format!("i2pd reports no version: {text}"))
    }

    /// Reads `i2pd version 2.45.1 (0.9.57)`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix("i2pd version ")?.split(['.', ' ']);
        Some(Self { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    }
}

impl fmt::Display for I2pdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let version = I2pdVersion::parse("i2pd version 2.45.1 (0.9.57)\nBoost version 1.74.0\n").unwrap();
        assert_eq!(version.to_string(), "2.45");
        assert!(version < I2pdVersion::new(2, 58) && version < I2pdVersion::new(3, 0));
        assert_eq!(I2pdVersion::parse("i2pd"), None);
    }
}

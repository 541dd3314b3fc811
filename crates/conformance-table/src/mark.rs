//! The outcome of a row on a server.

use std::fmt;

use anyhow::Result;

/// The outcome of a row on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The server behaves like this.
    Pass,
    /// What happened instead.
    Fail(String),
    /// Why the row does not apply to the server.
    NotApplicable(String),
}

impl Mark {
    /// The mark for what a row has returned.
    #[must_use]
    pub fn of(outcome: Result<()>) -> Self {
        match outcome {
            Ok(()) => Self::Pass,
            Err(error) => match error.downcast_ref::<NotApplicable>() {
                Some(reason) => Self::NotApplicable(reason.0.clone()),
                None => Self::Fail(format!("{error:#}")),
            },
        }
    }

    pub(crate) fn symbol(&self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Fail(_) => "✗",
            Self::NotApplicable(_) => "–",
        }
    }
}

/// Why a row does not apply to a server. This is not a failure.
#[derive(Debug)]
pub struct NotApplicable(String);

impl NotApplicable {
    /// The error with which a row returns this reason.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> anyhow::Error {
        Self(reason.into()).into()
    }
}

impl fmt::Display for NotApplicable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotApplicable {}

//! Why a request makes no plan.

/// Why a request makes no plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Such a path would open a wall.
    #[error("{0} cannot be shown to a contained program: the sandbox has its own")]
    ReservedPath(String),
    /// A path is a link to one that would open a wall: a program may have left it there in an earlier run.
    #[error("{0} leads to {1}, which cannot be shown to a contained program: the sandbox has its own")]
    LeadsToReservedPath(String, String),
    /// A path is a closed directory, or in one.
    #[error("{0} cannot be shown to a contained program: {1} is closed to it")]
    Closed(String, String),
    /// A path is relative, or goes up.
    #[error("{0} is not an absolute path without `..`")]
    NotAbsolute(String),
    /// A variable that no environment can hold.
    #[error("{0} is no name of an environment variable")]
    VariableName(String),
}

//! Systems other than Linux: no program is contained there, and none is started.

use std::{convert::Infallible, io, process::ExitCode};

use super::{Plan, Refusal, Wall};

/// Namespaces, which only Linux has.
pub struct Prepared(Infallible);

/// A contained program, which only Linux has.
pub struct Running(Infallible);

impl Prepared {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always: this system has no namespaces.
    pub fn new(_: Plan) -> Result<Self, Refusal> {
        Err(Refusal::because(Wall::Users, "only Linux has what it takes to contain a program"))
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn start(self) -> Result<Running, Refusal> {
        match self.0 {}
    }
}

impl Running {
    /// Never called.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn wait(self) -> io::Result<u8> {
        match self.0 {}
    }
}

/// There are no stages on this system.
pub fn run_if_stage<F>(_: F) -> Option<ExitCode> {
    None
}

//! How the program reaches the service.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    running::{self, Setup},
    subject::Subject,
};

/// How the program reaches the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// As a client of the SOCKS port.
    Socks,
    /// Contained, through the running proxy.
    Proxy,
    /// Contained, with sessions of its own.
    Own,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Socks, Self::Proxy, Self::Own];

    /// The title of its column.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Socks => "SOCKS port",
            Self::Proxy => "exec, through the proxy",
            Self::Own => "exec, own sessions",
        }
    }

    /// `i2p-socks exec` with the options of this way, before those of the run.
    pub(super) fn exec(self, setup: &Setup) -> Result<Command> {
        let mut command = Command::new(running::program(Subject::Ours, &setup.workspace)?);
        command.arg("exec").args([
            "--router",
            "sam",
            "--sam",
            &setup.bridge.address.to_string(),
            "--state-dir",
        ]);
        match self {
            Self::Own => command.arg(setup.lab.join("state of the own sessions")),
            _ => command.arg(setup.state_directory(Subject::Ours)),
        };
        Ok(command)
    }

    /// The same with a program that the sandbox does not show by itself.
    pub(super) fn exec_program(self, setup: &Setup, program: &Path) -> Result<Command> {
        let mut command = self.exec(setup)?;
        let directory = program.parent().context("a program without a directory")?;
        command.arg("--ro-bind").arg(directory).arg("--").arg(program);
        Ok(command)
    }
}

//! What was tried, and what happened.

use std::{io, process::Stdio};

use serde::{Deserialize, Serialize};

use super::super::stage::Stage;

/// One try.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Row {
    /// What was tried.
    pub name: String,
    /// Whether the walls held.
    pub held: bool,
    /// What happened.
    pub detail: String,
}

/// Tries that run in processes of their own.
pub(super) const I386: &str = "i386";
pub(super) const UNMOUNT: &str = "unmount";
pub(super) const CONTROL_GROUPS: &str = "control-groups";

/// The tries so far.
pub(super) struct Rows(pub(super) Vec<Row>);

impl Rows {
    /// Notes a try: `Ok` is how it got out, and an error how it was held.
    pub(super) fn add<E: ToString>(&mut self, name: &str, tried: Result<String, E>) {
        let held = tried.is_err();
        let detail = tried.unwrap_or_else(|error| error.to_string());
        self.0.push(Row { name: name.to_owned(), held, detail });
    }

    /// Notes a try that runs in a process of its own.
    pub(super) fn add_apart(&mut self, name: &str, what: &str) {
        let command =
            Stage::ProbeApart.command().arg(what).stdin(Stdio::null()).stderr(Stdio::null()).status();
        self.add(
            name,
            match command {
                Ok(status) if status.success() => Ok("it worked".to_owned()),
                Ok(status) => Err(status.to_string()),
                Err(error) => Err(error.to_string()),
            },
        );
    }

    /// Notes how many of several things worked: one is enough to get out.
    pub(super) fn add_found(&mut self, name: &str, found: &[String]) {
        self.add(name, if found.is_empty() { Err("none".to_owned()) } else { Ok(found.join(" ")) });
    }
}

/// That a system call worked is enough to get out.
pub(super) fn worked<T>(result: Result<T, impl Into<io::Error>>) -> io::Result<String> {
    result.map(|_| "it worked".to_owned()).map_err(Into::into)
}

//! Checks of a configuration before anything is bound.

use super::{
    bridge::{NO_EMBEDDED_ROUTER, bridge},
    identities::StoredIdentity,
};
use crate::{
    command_error::CommandError,
    config::{Config, tunnel::KeyMode, values::Backend},
};

/// Checks what the text of a configuration alone does not show: the files that it names, and whether this build has what it asks for.
/// Opens no connection and no listener.
///
/// # Errors
/// Every problem, one per line.
pub(crate) fn check_files(config: &Config) -> Result<(), CommandError> {
    match <[CommandError; 1]>::try_from(problems_of_files(config)) {
        // A single problem keeps its exit code.
        Ok([problem]) => Err(problem),
        Err(problems) if problems.is_empty() => Ok(()),
        Err(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(CommandError::usage(lines.join("\n")))
        }
    }
}

/// Checks that the values of a configuration fit together, and what [`check_files`] checks.
///
/// # Errors
/// Every problem, one per line.
pub(crate) fn check_everything(config: &Config) -> Result<(), CommandError> {
    let mut problems = config.contradictions();
    for problem in problems_of_files(config) {
        let problem = problem.to_string();
        // Both checks see some problems.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(CommandError::usage(problems.join("\n"))) }
}

fn problems_of_files(config: &Config) -> Vec<CommandError> {
    let mut problems = Vec::new();
    let mut note = |result: Result<(), CommandError>| problems.extend(result.err());
    if config.router.backend == Backend::Embedded && !cfg!(feature = "embedded") {
        note(Err(CommandError::usage(NO_EMBEDDED_ROUTER)));
    }
    note(bridge(config).map(|_| ()));
    note(config.virtual_addresses.options().map(|_| ()));
    config.tunnels().iter().for_each(|tunnel| note(tunnel.access_policy().map(|_| ())));
    for tunnel in config.tunnels().iter().filter(|tunnel| tunnel.key == KeyMode::Persistent) {
        let keys =
            config.state_dir().and_then(|state_dir| StoredIdentity::of(&state_dir, tunnel.name()).load());
        note(keys.map(|_| ()));
    }
    problems
}

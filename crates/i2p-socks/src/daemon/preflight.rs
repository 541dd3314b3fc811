//! What is wrong with a configuration beyond its text, found before anything is bound.

use super::{
    bridge::{NO_EMBEDDED_ROUTER, bridge},
    identities::Kept,
};
use crate::{
    config::{Config, tunnel::KeyMode, values::Backend},
    failure::Failure,
};

/// What is wrong with a configuration beyond its text: with files that it names, and values that do not go together. Binds
/// nothing and asks nobody.
///
/// # Errors
/// All of it.
pub(crate) fn files(config: &Config) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let mut note = |result: Result<(), Failure>| problems.extend(result.err());
    if config.router.backend == Backend::Embedded && !cfg!(feature = "embedded") {
        note(Err(Failure::usage(NO_EMBEDDED_ROUTER)));
    }
    note(bridge(config).map(|_| ()));
    note(config.virtual_addresses.options().map(|_| ()));
    config.tunnels().iter().for_each(|tunnel| note(tunnel.access_policy().map(|_| ())));
    for tunnel in config.tunnels().iter().filter(|tunnel| tunnel.key == KeyMode::Persistent) {
        let keys = config.state_dir().and_then(|state_dir| Kept::of(&state_dir, tunnel.name()).load());
        note(keys.map(|_| ()));
    }
    match <[Failure; 1]>::try_from(problems) {
        // One keeps its own exit code.
        Ok([problem]) => Err(problem),
        Err(problems) if problems.is_empty() => Ok(()),
        Err(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(Failure::usage(lines.join("\n")))
        }
    }
}

//! Checks of a configuration before anything is bound.

use super::{
    bridge::{NO_EMBEDDED_ROUTER, bridge},
    home::{Consequence, StateDirectory},
    identities::StoredIdentity,
    own_router::faults_of_files,
};
use crate::{
    command_error::CommandError,
    config::{
        Config,
        file::ConfigFile,
        options::Options,
        problem::{Place, Problem},
        tunnel::KeyMode,
        values::Backend,
    },
    status::own_router::OwnRouterKind,
};

/// Checks what the text of a configuration alone does not show: the files that it names, and whether this build has what it asks for.
/// Opens no connection and no listener.
///
/// # Errors
/// Every problem, one per line.
pub(crate) fn check_files(config: &Config) -> Result<(), CommandError> {
    let errors = errors_of_files(config).into_iter().map(|(error, _)| error);
    match <[CommandError; 1]>::try_from(errors.collect::<Vec<_>>()) {
        // A single problem keeps its exit code.
        Ok([problem]) => Err(problem),
        Err(problems) if problems.is_empty() => Ok(()),
        Err(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(CommandError::usage(lines.join("\n")))
        }
    }
}

/// Reads a configuration. Checks that its values fit together, and what [`check_files`] checks.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub(crate) fn load_and_check_everything(
    file: &ConfigFile,
    options: &Options,
) -> Result<Config, CommandError> {
    let (config, mut findings) = file.parse_as_far_as_possible(options)?;
    if let Some(config) = &config {
        config.contradictions().into_iter().for_each(|problem| findings.add(problem));
        let of_directory = match StateDirectory::examine(config) {
            Some(Consequence::Refused(text, place)) => Some((text, place)),
            _ => None,
        };
        for (error, place) in errors_of_files(config) {
            // Keys in a directory that cannot be used cannot be read, either.
            if of_directory.as_ref().is_none_or(|(_, of)| !place.is_same_key(*of)) {
                findings.add(Problem::new(error, [place]));
            }
        }
        for (key, fault) in own_router(config).into_iter().flat_map(|own| faults_of_files(config, own)) {
            findings.add(Problem::new(fault, [Place::of("router", key)]));
        }
        if let Some((text, place)) = of_directory {
            findings.add(Problem::new(text, [place]));
        }
    }
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(findings.into_error()),
    }
}

/// The router of our own that is started in any case. Its files are needed when it starts, and not for a reload.
fn own_router(config: &Config) -> Option<OwnRouterKind> {
    match config.router.backend {
        Backend::I2pd => Some(OwnRouterKind::I2pd),
        Backend::Embedded => Some(OwnRouterKind::Embedded),
        Backend::Auto | Backend::Sam => None,
    }
}

/// The errors, each with the key that it follows from.
fn errors_of_files(config: &Config) -> Vec<(CommandError, Place)> {
    let mut errors = Vec::new();
    let mut note =
        |result: Result<(), CommandError>, place| errors.extend(result.err().map(|error| (error, place)));
    if config.router.backend == Backend::Embedded && !cfg!(feature = "embedded") {
        note(Err(CommandError::usage(NO_EMBEDDED_ROUTER)), Place::of("router", "backend"));
    }
    let of_bridge = match config.router.password_file {
        Some(_) => "password-file",
        None => "sam-certificate",
    };
    note(bridge(config).map(|_| ()), Place::of("router", of_bridge));
    note(config.virtual_addresses.options().map(|_| ()), Place::of("virtual-addresses", "ipv4"));
    for (index, tunnel) in config.tunnels().iter().enumerate() {
        note(tunnel.access_policy().map(|_| ()), Place::nth("tunnel", index, "users-file"));
        if tunnel.key == KeyMode::Persistent {
            let keys =
                config.state_dir().and_then(|state_dir| StoredIdentity::of(&state_dir, tunnel.name()).load());
            note(keys.map(|_| ()), Place::nth("tunnel", index, "key"));
        }
    }
    errors
}

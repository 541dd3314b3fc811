//! Checks of a configuration before anything is bound.

use super::{
    bridge::{NO_EMBEDDED_ROUTER, address, login},
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
    let (config, mut findings) = file.parse_as_far_as_possible(options);
    if let Some(config) = &config {
        config.contradictions().into_iter().for_each(|problem| findings.add(problem));
        let of_directory = StateDirectory::examine(config);
        let is_of_directory = |place: &Place| matches!(&of_directory, Some(Consequence::Refused(_, of)) if place.is_same_key(*of));
        for (error, places) in errors_of_files(config) {
            // Keys in a directory that cannot be used cannot be read, either.
            if !places.iter().any(is_of_directory) {
                findings.add(Problem::new(error, places));
            }
        }
        for (key, fault) in own_router(config).into_iter().flat_map(|own| faults_of_files(config, own)) {
            findings.add(Problem::new(fault, [key, "backend"].map(|key| Place::of("router", key))));
        }
        match of_directory {
            Some(Consequence::Refused(text, place)) => findings.add(Problem::new(text, [place])),
            Some(Consequence::Without(what)) => findings.warn(&what),
            None => {}
        }
    }
    findings.into_result(config)
}

/// The router of our own that is started in any case. Its files are needed when it starts, and not for a reload.
fn own_router(config: &Config) -> Option<OwnRouterKind> {
    match config.router.backend {
        Backend::I2pd => Some(OwnRouterKind::I2pd),
        Backend::Embedded => Some(OwnRouterKind::Embedded),
        Backend::Auto | Backend::Sam => None,
    }
}

/// The errors, each with the keys that it follows from.
fn errors_of_files(config: &Config) -> Vec<(CommandError, Vec<Place>)> {
    let mut errors = Vec::new();
    let mut note = |result: Result<(), CommandError>, places: &[Place]| {
        errors.extend(result.err().map(|error| (error, places.to_vec())));
    };
    let router = &config.router;
    let of_router =
        |keys: &[&'static str]| keys.iter().map(|key| Place::of("router", key)).collect::<Vec<_>>();
    if router.backend == Backend::Embedded && !cfg!(feature = "embedded") {
        note(Err(CommandError::usage(NO_EMBEDDED_ROUTER)), &of_router(&["backend"]));
    }
    note(address(router).map(drop), &of_router(&["sam-certificate"]));
    let of_login = match router.password_file {
        Some(_) => ["password-file", "user"],
        None => ["user", "password-file"],
    };
    note(login(router).map(drop), &of_router(&of_login));
    let of_ranges = ["ipv4", "ipv6"].map(|key| Place::of("virtual-addresses", key));
    note(config.virtual_addresses.options().map(drop), &of_ranges);
    for (index, tunnel) in config.tunnels().iter().enumerate() {
        note(tunnel.access_policy().map(drop), &[Place::nth("tunnel", index, "users-file")]);
        if tunnel.key == KeyMode::Persistent {
            let keys =
                config.state_dir().and_then(|state_dir| StoredIdentity::of(&state_dir, tunnel.name()).load());
            note(keys.map(drop), &["key", "name"].map(|key| Place::nth("tunnel", index, key)));
        }
    }
    errors
}

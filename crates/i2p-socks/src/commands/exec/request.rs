//! What the sandbox is asked for.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use i2p_contain::sandbox::{Bind, Home, Program, Request};

use super::options::{ExecCommand, HomeChoice};
use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelName},
};

/// The name server of the program: any address that leads to the TUN device, since queries are answered whatever server they are sent to.
/// The address of the program itself does not.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 53);
/// Where the homes of identities are, in the state directory.
const HOMES: &str = "exec";

/// The user's program.
pub(super) fn program(command: &ExecCommand) -> Result<Program, CommandError> {
    let mut words = command.program.iter().cloned();
    let name = words.next().ok_or_else(|| CommandError::usage("name a program"))?;
    Ok(Program::Command { name, arguments: words.collect() })
}

/// What the sandbox is asked for. Makes the home directory of an identity, if it does not exist yet.
pub(super) fn request(
    config: &Config,
    command: &ExecCommand,
    program: Program,
) -> Result<Request, CommandError> {
    let read_only = command.ro_bind.iter().map(|path| bind(path, false));
    let binds = read_only.chain(command.bind.iter().map(|path| bind(path, true)));
    Ok(Request {
        program,
        home: home(config, command)?,
        binds: binds.collect::<Result<_, _>>()?,
        allow_unix: command.allow_unix,
        environment: command.env.iter().map(|one| (one.0.clone().into(), one.1.clone().into())).collect(),
        name_server: NAME_SERVER.into(),
    })
}

fn bind(path: &Path, writable: bool) -> Result<Bind, CommandError> {
    let absolute = std::path::absolute(path);
    let path = absolute.map_err(|error| CommandError::usage(format_args!("{}: {error}", path.display())))?;
    Ok(Bind { path, writable })
}

fn home(config: &Config, command: &ExecCommand) -> Result<Home, CommandError> {
    match (command.home, &command.identity) {
        (HomeChoice::Share, _) => {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            home.map(|home| Home::Share(home.into()))
                .ok_or_else(|| CommandError::usage("--home share needs the variable HOME"))
        }
        (HomeChoice::Private, Some(identity)) => home_of(config, identity).map(Home::Private),
        (HomeChoice::Private, None) => Ok(Home::Temporary),
    }
}

/// The home directory of an identity, which only this user can enter.
fn home_of(config: &Config, identity: &TunnelName) -> Result<PathBuf, CommandError> {
    let open = |path: PathBuf| {
        private_directory::open(&path).map_err(|error| {
            CommandError::run_time(format_args!(
                "the home directory {} cannot be used: {error}",
                path.display()
            ))
        })
    };
    let homes = open(config.private_state_dir()?.join(HOMES))?;
    open(homes.join(identity.as_str()))
}

//! What the sandbox is asked for.

use std::{
    fs::{self, DirBuilder},
    io,
    net::Ipv4Addr,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use i2p_contain::sandbox::{Bind, Home, Program, Request};
use rustix::process::geteuid;

use super::options::{ExecCommand, HomeChoice};
use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelName},
};

/// The name server of the program: any address that leads to the TUN device, since queries are answered whatever server they are sent to.
/// The address of the program itself does not.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 53);
/// The permissions to read and to enter a directory that others have.
const FOR_OTHERS: u32 = 0o005;
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
    let (home, binds) = (home(config, command)?, binds.collect::<Result<Vec<_>, _>>()?);
    let shared = match &home {
        Home::Share(home) => Some(home.as_path()),
        _ => None,
    };
    let closed = closed(config, binds.iter().map(|bind| bind.path.as_path()).chain(shared))?;
    Ok(Request {
        program,
        home,
        binds,
        closed,
        allow_unix: command.allow_unix,
        environment: command.env.iter().map(|one| (one.0.clone().into(), one.1.clone().into())).collect(),
        name_server: NAME_SERVER.into(),
        connect_timeout: config.limits.times().dial,
    })
}

/// The state directory: it holds keys, and sockets that carry requests of any identity. If it does not exist, and one of these paths would
/// show it, it is made now, since one that a proxy makes later would be seen.
fn closed<'a>(
    config: &Config,
    mut shown: impl Iterator<Item = &'a Path>,
) -> Result<Vec<PathBuf>, CommandError> {
    let Ok(state_dir) = config.state_dir() else { return Ok(Vec::new()) };
    if !state_dir.exists() {
        let real = real_path(&state_dir);
        if !shown.any(|path| real.starts_with(real_path(path))) {
            return Ok(Vec::new());
        }
        config.private_state_dir()?;
    }
    Ok(vec![state_dir])
}

/// The path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let mut existing = path.ancestors();
    let found = existing.find_map(|parent| Some((parent.canonicalize().ok()?, parent)));
    found.map_or_else(
        || path.to_owned(),
        |(real, parent)| path.strip_prefix(parent).map_or_else(|_| path.to_owned(), |rest| real.join(rest)),
    )
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
            let home = home.ok_or_else(|| CommandError::usage("--home share needs the variable HOME"))?;
            refuse_closed_home_of_root(Path::new(&home))?;
            Ok(Home::Share(home.into()))
        }
        (HomeChoice::Private, Some(identity)) => home_of(config, identity).map(Home::Private),
        (HomeChoice::Private, None) => Ok(Home::Temporary),
    }
}

/// Refuses a home directory that root's program cannot enter, since it runs as another user: it would have no home at all.
fn refuse_closed_home_of_root(home: &Path) -> Result<(), CommandError> {
    let is_open = |found: fs::Metadata| found.mode() & FOR_OTHERS == FOR_OTHERS;
    if !geteuid().is_root() || fs::metadata(home).map_or(true, is_open) {
        return Ok(());
    }
    Err(CommandError::usage(format_args!(
        "root's program runs as another user, who may not enter {}: leave --home share out and show single directories with --bind, or \
         run exec as the user whose home it is",
        home.display()
    )))
}

/// The home directory of an identity, in a directory that only this user can enter. If this is root, the home belongs to the user as
/// whom root's programs run.
fn home_of(config: &Config, identity: &TunnelName) -> Result<PathBuf, CommandError> {
    let homes = config.private_state_dir()?.join(HOMES);
    let home = homes.join(identity.as_str());
    let made = private_directory::open(&homes).map_err(|error| error.to_string());
    made.and_then(|_| make_directory(&home).map_err(|error| error.to_string())).map_err(|error| {
        CommandError::run_time(format_args!("the home directory {} cannot be used: {error}", home.display()))
    })?;
    Ok(home)
}

/// Makes a directory that only its owner can enter, unless there is one.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let is_directory = fs::symlink_metadata(path)?.is_dir();
    if is_directory { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{file::ConfigFile, options::Options};

    #[test]
    fn the_state_directory_is_closed_if_it_exists_or_would_be_shown() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        let options = Options { state_dir: Some(state.clone()), ..Options::default() };
        let config = ConfigFile::default().load(&options).unwrap();
        let closed = |shown: &[&Path]| closed(&config, shown.iter().copied()).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert_eq!(closed(&[Path::new("/usr")]), Vec::<PathBuf>::new());
        assert!(!state.exists(), "nobody would see it");
        assert_eq!(closed(&[Path::new("/usr"), &link]), [state.as_path()]);
        assert!(state.is_dir());
        // The system's directories are shown, too, and it may be in one.
        assert_eq!(closed(&[]), [state.as_path()]);
    }
}

//! What the user asks for, and what is known of the machine that it is asked on.

use std::{
    env,
    ffi::OsString,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::users;

/// What to run, and what it may see.
#[derive(Clone, Debug)]
pub struct Request {
    /// What runs inside.
    pub program: Program,
    /// The home directory that the program sees.
    pub home: Home,
    /// Further paths that the program sees.
    pub binds: Vec<Bind>,
    /// Directories that are empty for the program, even where it sees what they are in. They must exist: one that is made later would not
    /// be empty. A private home may be in one.
    pub closed: Vec<PathBuf>,
    /// Whether the program may make Unix sockets. It then reaches every program that listens on one in a
    /// directory that it sees.
    pub allow_unix: bool,
    /// Variables of the environment, beside the harmless ones that are passed on.
    pub environment: Vec<(OsString, OsString)>,
    /// Where DNS is answered inside.
    pub name_server: IpAddr,
    /// What the link is told: after how long `connect` reports `ETIMEDOUT`, see [`LinkSettings`](crate::link::LinkSettings).
    pub connect_timeout: Duration,
}

impl Request {
    /// The paths that the program sees, at the same place as this user.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Path> + Clone {
        self.binds.iter().map(|bind| bind.path.as_path()).chain(self.shared_home())
    }

    /// The path of the user's home directory, if the program sees that.
    pub(super) fn shared_home(&self) -> Option<&Path> {
        match &self.home {
            Home::Share(path) => Some(path),
            Home::Private(_) | Home::Temporary => None,
        }
    }

    /// The path of a home directory for contained programs only.
    pub(super) fn private_home(&self) -> Option<&Path> {
        match &self.home {
            Home::Private(path) => Some(path),
            Home::Share(_) | Home::Temporary => None,
        }
    }
}

/// What runs inside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Program {
    /// A program, looked for in `PATH` unless its name contains a slash.
    Command {
        /// Its name or path, inside.
        name: OsString,
        /// Its arguments, without its name.
        arguments: Vec<OsString>,
    },
    /// The program that runs now, which need not be visible inside: for probes.
    Itself {
        /// Its arguments, without its name.
        arguments: Vec<OsString>,
    },
}

/// The home directory that the program sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Home {
    /// An empty one, which is gone when the program ends.
    Temporary,
    /// This directory of the host, which exists and belongs to the user. It stays. One of root's has to be empty at first:
    /// it is given to the user whom root's programs run as.
    Private(PathBuf),
    /// The user's own, at this path. What the program writes there, programs outside may run.
    Share(PathBuf),
}

/// A path of the host that the program sees at the same place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    /// Absolute, and not a part of `/proc`, `/sys`, `/dev` or the root itself.
    pub path: PathBuf,
    /// Whether the program may change it.
    pub writable: bool,
}

/// What is known of the machine: what a plan depends on, beside the request.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The environment of this process.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory of this process.
    pub working_directory: PathBuf,
    /// Directories of system programs, and entries of `/etc`, that exist here.
    pub entries: Vec<Entry>,
    /// What user's paths lead to, without symbolic links, and what `HOME` does.
    pub resolved: Vec<(PathBuf, Entry)>,
    /// Whether this process is root to the kernel. The program then runs as another user.
    pub is_root: bool,
    /// Two numbers that nobody else has, as UUIDs: for `machine-id` and `boot_id`.
    pub random_ids: [String; 2],
}

/// A path of the host, and what is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The path.
    pub path: PathBuf,
    /// What is there.
    pub kind: EntryKind,
}

/// What is at a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// Anything else that is not a symbolic link.
    File,
    /// A symbolic link with this target.
    Link(PathBuf),
}

impl Host {
    /// Looks at this machine.
    ///
    /// # Errors
    ///
    /// There is no working directory, a path of the request cannot be read, or the kernel gives no random number.
    pub fn read(request: &Request, candidates: &[&str]) -> io::Result<Self> {
        let resolve = |path: &Path| {
            let real = fs::canonicalize(path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            let kind = if real.is_dir() { EntryKind::Directory } else { EntryKind::File };
            Ok((path.to_owned(), Entry { path: real, kind }))
        };
        // It may be missing: then nobody can write there.
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.exists());
        let closed = request.closed.iter().map(PathBuf::as_path);
        let asked = request.shown().chain(request.private_home()).chain(home.as_deref()).chain(closed);
        Ok(Self {
            environment: env::vars_os().collect(),
            working_directory: env::current_dir()?,
            entries: candidates.iter().filter_map(|path| entry(Path::new(path))).collect(),
            resolved: asked.map(resolve).collect::<io::Result<_>>()?,
            is_root: users::is_root()?,
            random_ids: [random_id()?, random_id()?],
        })
    }
}

/// The kernel gives another one to each reader.
fn random_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

fn entry(path: &Path) -> Option<Entry> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let kind = if metadata.is_symlink() {
        EntryKind::Link(fs::read_link(path).ok()?)
    } else if metadata.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::File
    };
    Some(Entry { path: path.to_owned(), kind })
}

use std::{io, path::PathBuf};

/// The reason why an embedded router or a private network did not start. Each text names the cause, the consequence and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state directory cannot be created, read or written, or its permissions cannot be set.
    #[error(
        "cannot use the state directory {}: {source}. The embedded router keeps its keys there and does not start \
         without it. Make the directory writable for this user, or choose another one.",
        path.display()
    )]
    StateDirectory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// The state directory, or a symbolic link to it, belongs to another user, who could read or replace the keys.
    #[error(
        "the state directory {} belongs to another user (user ID {owner}), who could read or replace the router's \
         keys, so the embedded router does not use it. Choose a directory of your own, or change its owner.",
        path.display()
    )]
    StateDirectoryOwner {
        /// The directory or link, as given.
        path: PathBuf,
        /// The numeric user ID of its owner.
        owner: u32,
    },

    /// Another running embedded router uses this state directory.
    #[error(
        "the state directory {} is in use by another running embedded router. Two routers with the same keys would \
         break each other's connections. Stop the other one, or choose another state directory.",
        path.display()
    )]
    StateDirectoryInUse {
        /// The directory.
        path: PathBuf,
    },

    /// A file with the router's keys or identity has the wrong size or content.
    #[error(
        "{} is damaged: {problem}. The embedded router cannot start with it. Delete it and start again: the router then \
         creates a new one and has a new identity, which nothing else depends on.",
        path.display()
    )]
    DamagedState {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },

    /// Too few routers are stored, and no reseed server gave any.
    #[error(
        "cannot learn of other I2P routers (reseed): {problem}. The embedded router knows no router to connect to, so \
         nothing in I2P can be reached. Connect to the internet and start again; or use an I2P router that is already \
         running, with `--router sam`; or give a reseed file with the configuration key `reseed-file` in `[router]`."
    )]
    Reseed {
        /// The problem.
        problem: String,
    },

    /// The reseed file or directory that the user gave cannot be used.
    #[error(
        "cannot use {} as reseed file: {problem}. The embedded router knows no router to connect to, so nothing in I2P can \
         be reached. Give an i2pseeds.su3 from a reseed server, or the netDb directory of another I2P router; or leave \
         `reseed-file` out to ask the reseed servers over the internet.",
        path.display()
    )]
    ReseedFile {
        /// The file or directory, as given.
        path: PathBuf,
        /// The problem.
        problem: String,
    },

    /// The router did not start, or panicked while it started.
    #[error(
        "the embedded I2P router did not start: {problem}. Nothing in I2P can be reached through it. Start again, or \
         use an I2P router that is already running, with `--router sam`."
    )]
    Router {
        /// The error of the router.
        problem: String,
    },

    /// The operating system gave no threads or no random bytes.
    #[error(
        "cannot start the embedded I2P router: {0}. Free some memory or raise the limit of processes, and start again."
    )]
    System(#[source] io::Error),

    /// A private network of these numbers could not build tunnels.
    #[error(
        "a private network of {routers} routers with {floodfills} floodfills and {sam_bridges} SAM bridges cannot work: \
         it needs at least 3 routers, at least 1 floodfill, and not more of either kind than routers."
    )]
    NetworkShape {
        /// The number of routers.
        routers: usize,
        /// The number of floodfills among them.
        floodfills: usize,
        /// The number of routers with a SAM bridge.
        sam_bridges: usize,
    },
}

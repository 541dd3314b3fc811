use std::{io, path::PathBuf};

/// Why an embedded router or a private network did not start. Every text names the cause, what it means, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state directory cannot be made, read, written or given its permissions.
    #[error(
        "cannot use the state directory {}: {source}. The embedded router keeps its keys there and does not start \
         without it. Make the directory writable for this user, or choose another one.",
        path.display()
    )]
    StateDirectory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The state directory, or a symbolic link to it, belongs to another user, who could read or swap the keys.
    #[error(
        "the state directory {} belongs to another user (user ID {owner}), who could read or exchange the router's \
         keys, so the embedded router does not use it. Choose a directory of your own, or change its owner.",
        path.display()
    )]
    StateDirectoryOwner {
        /// The directory or link as it was given.
        path: PathBuf,
        /// The numeric user ID of its owner.
        owner: u32,
    },

    /// Another embedded router runs with this state directory.
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
         makes a new one and has a new identity, which nothing else depends on.",
        path.display()
    )]
    DamagedState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// Neither enough stored routers nor an answer of a reseed server.
    #[error(
        "cannot learn of other I2P routers (reseed): {problem}. The embedded router knows nobody to connect to, so \
         nothing in I2P can be reached. Connect to the internet and start again; or use an I2P router that runs \
         already, with `--router sam`; or give a reseed file with the configuration key `reseed-file` in `[router]`."
    )]
    Reseed {
        /// How it failed.
        problem: String,
    },

    /// The reseed file or directory that the user gave cannot be used.
    #[error(
        "cannot use {} as reseed file: {problem}. The embedded router knows nobody to connect to, so nothing in I2P can \
         be reached. Give an i2pseeds.su3 from a reseed server, or the netDb directory of another I2P router; or leave \
         `reseed-file` out to ask the reseed servers over the internet.",
        path.display()
    )]
    ReseedFile {
        /// The file or directory as it was given.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// The router inside did not start, or panicked while it started.
    #[error(
        "the embedded I2P router did not start: {problem}. Nothing in I2P can be reached through it. Start again, or \
         use an I2P router that runs already, with `--router sam`."
    )]
    Router {
        /// What it said.
        problem: String,
    },

    /// The operating system gave no threads or no random bytes.
    #[error(
        "cannot start the embedded I2P router: {0}. Free some memory or raise the limit of processes, and start again."
    )]
    System(#[source] io::Error),

    /// A private network of a size or mix in which tunnels cannot be built.
    #[error(
        "a private network of {routers} routers with {floodfills} floodfills and {sam_bridges} SAM bridges cannot work: \
         it needs at least 3 routers, at least 1 floodfill, and not more of either kind than routers."
    )]
    NetworkShape {
        /// Routers asked for.
        routers: usize,
        /// How many of them were to be floodfills.
        floodfills: usize,
        /// How many of them were to have a SAM bridge.
        sam_bridges: usize,
    },
}

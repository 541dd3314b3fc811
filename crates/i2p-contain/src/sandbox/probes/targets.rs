//! What hostile programs try to reach.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What an outside process says to each process that reaches it.
pub(super) const GREETING: &[u8] = b"OUTSIDE";

/// What to try to reach, and what to recognise the machine by.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Targets {
    /// Ports of listeners on 127.0.0.1, and of one on `::1` if there is IPv6.
    pub(super) tcp: u16,
    pub(super) tcp6: Option<u16>,
    pub(super) udp: u16,
    /// Unix sockets: an abstract one, and those in a home directory, in `/tmp` and in `/run`.
    pub(super) abstract_socket: String,
    pub(super) home_socket: PathBuf,
    pub(super) home_datagrams: PathBuf,
    pub(super) temporary_socket: PathBuf,
    pub(super) run_socket: Option<PathBuf>,
    /// Something in the host's `/run`.
    pub(super) run_entry: Option<PathBuf>,
    /// A file of a home directory that an outside program would execute, and a FIFO that it reads.
    pub(super) home_script: PathBuf,
    pub(super) home_fifo: PathBuf,
    /// A file in `/dev/shm`.
    pub(super) shared_file: PathBuf,
    /// System V shared memory.
    pub(super) shared_memory_key: i32,
    /// A process.
    pub(super) process: i32,
    /// An inherited socket, connected to the TCP listener.
    pub(super) inherited: i32,
    /// Pipes that other programs outside have, too.
    pub(super) pipes: Vec<(u64, u64)>,
    /// The user's terminal.
    pub(super) terminal: Option<(u64, u64)>,
    /// What tells the machine and its user.
    pub(super) host_name: String,
    pub(super) domain_name: String,
    /// Names of the machine and its user that its devices and file systems do not have anyway.
    pub(super) names: Vec<String>,
    pub(super) machine_id: String,
    pub(super) boot_id: String,
    pub(super) accounts: String,
    pub(super) interfaces: Vec<String>,
    pub(super) control_group: String,
}

impl Targets {
    /// The port of the listener on 127.0.0.1.
    pub const fn tcp_port(&self) -> u16 {
        self.tcp
    }
}

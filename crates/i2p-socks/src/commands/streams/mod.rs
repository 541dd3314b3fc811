//! What `connect` and `listen` share: streams and datagrams of I2P for programs without SOCKS. They go through the running proxy
//! (`running`) or, if there is none, through sessions of this process (`own`).
//! May import what `commands` may; only `connect`, `listen` and `exec` import it.

pub(super) mod asked;
pub(super) mod datagrams;
#[cfg(unix)]
pub(super) mod fd_pass;
pub(super) mod incoming;
pub(super) mod own;
pub(super) mod reply;
pub(super) mod running;
pub(super) mod stdio;
pub(super) mod user;

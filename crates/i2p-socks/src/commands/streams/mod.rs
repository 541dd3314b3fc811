//! Streams and datagrams of I2P for programs that know nothing of SOCKS: what `connect` and `listen` share. Each goes through the
//! proxy that runs (`running`), or, where none does, through sessions of its own (`own`).
//! May import what `commands` may; only `connect` and `listen` import it.

pub(super) mod asked;
pub(super) mod datagrams;
pub(super) mod incoming;
pub(super) mod own;
pub(super) mod reply;
pub(super) mod running;
pub(super) mod stdio;
pub(super) mod user;

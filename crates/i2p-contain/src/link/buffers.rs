//! How much the kernel holds for each connection of a program.

use super::sysctl;

/// The least, the initial and the greatest number of bytes that it receives ahead, and that it sends ahead. The link has no latency, so
/// more would only wait in the queue of the device: there it would delay new connections, and a program could fill memory with it. The
/// greatest values that kernels choose are up to 32 MiB.
const RECEIVED: &str = "4096 131072 1048576";
const SENT: &str = "4096 16384 1048576";

/// Limits it for the network namespace of this thread.
pub(super) fn limit() {
    sysctl::set("tcp_rmem", RECEIVED);
    sysctl::set("tcp_wmem", SENT);
}

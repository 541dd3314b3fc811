use super::queue::MAX_LOOKUPS;
use crate::outproxy::MAX_EXITS;

/// Per session for datagrams: its UDP socket, its connection to the router, and the connection of the session for streams.
const OF_SESSION: usize = 3;
/// Per relay of an outproxy: its UDP socket and its TCP connection.
const OF_EXIT: usize = 2;

/// The most file descriptors that one client's datagrams need with this many outproxies, not counting its own connection and UDP
/// socket. When a client leaves, the next one uses the descriptors of its sessions.
#[must_use]
pub fn datagram_descriptors(outproxies: usize) -> usize {
    OF_SESSION + MAX_LOOKUPS + OF_EXIT * outproxies.min(MAX_EXITS)
}

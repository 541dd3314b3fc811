use super::{exits::MAX_EXITS, queue::MAX_LOOKUPS};

/// File descriptors of a session for datagrams: its UDP socket and its connection to the router, and that of the streams' session
/// beside it.
const OF_SESSION: usize = 3;
/// Those of a relay of an outproxy: its UDP socket and the connection on which it was asked for.
const OF_EXIT: usize = 2;

/// The most file descriptors that one client's datagrams need where there are so many outproxies, beside its own connection and
/// the relay's socket. A client that goes leaves those of the sessions to the next one.
#[must_use]
pub fn datagram_descriptors(outproxies: usize) -> usize {
    OF_SESSION + MAX_LOOKUPS + OF_EXIT * outproxies.min(MAX_EXITS)
}

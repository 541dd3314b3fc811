//! How many connections this process has file descriptors for.

use std::num::NonZeroUsize;

/// A higher limit is never needed and costs kernel memory.
const MAX_DESCRIPTORS: u64 = 1 << 20;
/// One for the client, and one for its stream or for the socket of its datagrams.
const PER_CONNECTION: u64 = 2;
/// Reserved for everything else: sessions and lookups at the router, listeners, clients that are refused for lack of room, files.
const RESERVE: u64 = 256;

/// Raises the limit of this process as far as the system allows without privileges. Returns the new limit.
pub(crate) fn raise_limit() -> u64 {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
        if limit.current.is_some_and(|current| current < most) {
            limit.current = Some(most);
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::debug!("cannot raise the limit of file descriptors: {error}");
            }
        }
        getrlimit(Resource::Nofile).current.unwrap_or(MAX_DESCRIPTORS)
    }
    #[cfg(not(unix))]
    MAX_DESCRIPTORS
}

/// How many connections fit into a limit, if `datagrams` descriptors are kept for what datagrams need beside them.
pub(crate) fn max_connections(limit: u64, datagrams: u64) -> NonZeroUsize {
    let free = limit - RESERVE.min(limit / 2);
    let ours = free.saturating_sub(datagrams);
    usize::try_from(ours / PER_CONNECTION).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_whatever_the_limit_is() {
        for (limit, connections) in [(20_000, 9_872), (1_024, 384), (256, 64), (8, 2), (0, 1)] {
            assert_eq!(max_connections(limit, 0).get(), connections, "{limit}");
        }
    }

    #[test]
    fn what_datagrams_need_is_no_room_for_connections() {
        for (datagrams, connections) in [(152, 308), (768, 1), (5_000, 1)] {
            assert_eq!(max_connections(1_024, datagrams).get(), connections, "{datagrams}");
        }
    }
}

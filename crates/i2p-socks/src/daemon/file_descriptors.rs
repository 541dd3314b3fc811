//! How many connections this process has file descriptors for.

use std::num::NonZeroUsize;

/// More than this would cost the kernel memory for nothing.
const ENOUGH: u64 = 1 << 20;
/// A client, and the way on: a stream, or the socket that its datagrams come to.
const PER_CONNECTION: u64 = 2;
/// Kept for everything else: sessions and lookups at the router, listeners, clients that hear that there is no room, files.
const RESERVE: u64 = 256;

/// Raises the limit of this process as far as it may by itself. Gives what it is then.
pub(crate) fn raise() -> u64 {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
        if limit.current.is_some_and(|current| current < most) {
            limit.current = Some(most);
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::debug!("cannot raise the limit of file descriptors: {error}");
            }
        }
        getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH)
    }
    #[cfg(not(unix))]
    ENOUGH
}

/// How many connections fit into a limit, so many descriptors being kept for what datagrams need beside them. An embedded router
/// has connections of its own, to hundreds of others.
pub(crate) fn connections(limit: u64, with_router: bool, datagrams: u64) -> NonZeroUsize {
    let free = limit - RESERVE.min(limit / 2);
    let ours = if with_router { free / 2 } else { free }.saturating_sub(datagrams);
    usize::try_from(ours / PER_CONNECTION).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_whatever_the_limit_is() {
        for (limit, without, with) in
            [(20_000, 9_872, 4_936), (1_024, 384, 192), (256, 64, 32), (8, 2, 1), (0, 1, 1)]
        {
            assert_eq!(connections(limit, false, 0).get(), without, "{limit}");
            assert_eq!(connections(limit, true, 0).get(), with, "{limit}");
        }
    }

    #[test]
    fn what_datagrams_need_is_no_room_for_connections() {
        for (datagrams, without, with) in [(152, 308, 116), (768, 1, 1), (5_000, 1, 1)] {
            assert_eq!(connections(1_024, false, datagrams).get(), without, "{datagrams}");
            assert_eq!(connections(1_024, true, datagrams).get(), with, "{datagrams}");
        }
    }
}

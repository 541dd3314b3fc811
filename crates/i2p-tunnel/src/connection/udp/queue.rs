use crate::account::DropReason;

/// Most lookups at the same time for one client.
pub(super) const MAX_LOOKUPS: usize = 16;
/// Most datagrams that wait for one lookup.
const MAX_QUEUED_PER_LOOKUP: usize = 8;
/// Most bytes of one client's datagrams that wait for lookups.
pub(super) const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// Datagrams that wait for the lookup of their target.
#[derive(Default)]
pub(super) struct Queue {
    lookups: Vec<Lookup>,
    bytes: usize,
}

struct Lookup {
    /// ATYP, DST.ADDR and DST.PORT.
    target: Box<[u8]>,
    datagrams: Vec<Vec<u8>>,
}

impl Queue {
    /// Queues a datagram for the lookup of its target. Returns whether the lookup is to be started.
    pub(super) fn push(&mut self, target: &[u8], data: &[u8]) -> Result<bool, DropReason> {
        if self.bytes + data.len() > MAX_QUEUED_BYTES {
            return Err(DropReason::QueueFull);
        }
        let full = self.lookups.len() >= MAX_LOOKUPS;
        let under_way = self.lookups.iter_mut().find(|lookup| *lookup.target == *target);
        let begins = match under_way {
            Some(Lookup { datagrams, .. }) if datagrams.len() >= MAX_QUEUED_PER_LOOKUP => {
                return Err(DropReason::QueueFull);
            }
            Some(Lookup { datagrams, .. }) => {
                datagrams.push(data.to_vec());
                false
            }
            None if full => return Err(DropReason::QueueFull),
            None => {
                self.lookups.push(Lookup { target: target.into(), datagrams: vec![data.to_vec()] });
                true
            }
        };
        self.bytes += data.len();
        Ok(begins)
    }

    /// Takes the datagrams for this target, in order.
    pub(super) fn take(&mut self, target: &[u8]) -> Vec<Vec<u8>> {
        let Some(at) = self.lookups.iter().position(|lookup| *lookup.target == *target) else {
            return Vec::new();
        };
        let datagrams = self.lookups.swap_remove(at).datagrams;
        self.bytes -= datagrams.iter().map(Vec::len).sum::<usize>();
        datagrams
    }

    /// Drops all datagrams and returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(self).lookups.iter().map(|lookup| lookup.datagrams.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_frees_its_space() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(b"a", b"1"), Ok(true));
        for _ in 1..MAX_QUEUED_PER_LOOKUP {
            assert_eq!(queue.push(b"a", b"2"), Ok(false));
        }
        assert_eq!(queue.push(b"a", b"3"), Err(DropReason::QueueFull));
        for number in 1..MAX_LOOKUPS {
            assert_eq!(queue.push(&number.to_be_bytes(), b"1"), Ok(true));
        }
        assert_eq!(queue.push(b"b", b"1"), Err(DropReason::QueueFull));
        assert_eq!(queue.take(b"a").len(), MAX_QUEUED_PER_LOOKUP);
        assert_eq!(queue.take(b"a"), Vec::<Vec<u8>>::new());
        let large = vec![0; MAX_QUEUED_BYTES - (MAX_LOOKUPS - 1)];
        assert_eq!(queue.push(b"b", &large), Ok(true));
        assert_eq!(queue.push(b"b", b"1"), Err(DropReason::QueueFull));
        assert_eq!(queue.take(b"b"), std::slice::from_ref(&large));
        assert_eq!(queue.push(b"b", b"1"), Ok(true));
        assert_eq!(queue.push(b"b", b"2"), Ok(false));
        assert_eq!((queue.clear(), queue.clear()), (MAX_LOOKUPS + 1, 0));
        assert_eq!(queue.push(b"b", &large), Ok(true), "all of the room is there again");
    }
}

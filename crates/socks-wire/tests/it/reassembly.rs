//! Reassembly of fragmented datagrams.

use std::time::Duration;

use proptest::prelude::*;
use socks_wire::{Reassembled, Reassembly, udp::Header};

/// The flag of the last fragment.
const LAST: u8 = 0x80;

fn fragment(number: u8, data: &[u8]) -> Vec<u8> {
    [&[0, 0, number, 3, 5][..], b"a.i2p", &[0, 80], data].concat()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reassembly() -> Reassembly {
    Reassembly::new(at(10), 1000)
}

#[test]
fn fragments_in_order_are_reassembled() {
    let mut queue = reassembly();
    assert_eq!(queue.push(at(0), &fragment(1, b"one ")), Ok(Reassembled::Kept));
    let alone = fragment(0, b"alone");
    assert_eq!(
        queue.push(at(1), &alone),
        Ok(Reassembled::Standalone(&alone)),
        "a standalone datagram passes"
    );
    assert_eq!(queue.push(at(1), &fragment(2, b"two ")), Ok(Reassembled::Kept));
    let Ok(Reassembled::Complete(whole)) = queue.push(at(9), &fragment(3 | LAST, b"three")) else { panic!() };
    assert_eq!(whole, fragment(0, b"one two three"));
    assert_eq!(queue.push(at(9), &fragment(4, b"x")), Ok(Reassembled::Dropped), "the sequence has ended");
    let Ok(Reassembled::Complete(whole)) = queue.push(at(9), &fragment(1 | LAST, b"one")) else { panic!() };
    assert_eq!(whole, fragment(0, b"one"), "a sequence of one");
}

#[test]
fn gaps_repetitions_and_late_fragments_discard_the_sequence() {
    for second in [3, 1 | LAST, LAST] {
        let mut queue = reassembly();
        queue.push(at(0), &fragment(1, b"one")).unwrap();
        let second_fragment = fragment(second, b"x");
        let result = queue.push(at(0), &second_fragment).unwrap();
        // Fragment 1 starts a new sequence; position 0 and gaps discard it.
        assert_eq!(matches!(result, Reassembled::Complete(_)), second == 1 | LAST);
        assert_eq!(queue.push(at(0), &fragment(2 | LAST, b"two")), Ok(Reassembled::Dropped));
    }
    let mut queue = reassembly();
    queue.push(at(0), &fragment(1, b"one")).unwrap();
    assert_eq!(queue.push(at(10), &fragment(2 | LAST, b"two")), Ok(Reassembled::Dropped), "expired");
    // The RFC's minimum applies even if a shorter timeout is set.
    let mut hasty = Reassembly::new(Duration::ZERO, 1000);
    hasty.push(at(0), &fragment(1, b"one")).unwrap();
    assert!(matches!(hasty.push(at(4), &fragment(2 | LAST, b"two")), Ok(Reassembled::Complete(_))));
}

#[test]
fn the_size_is_bounded() {
    let mut queue = Reassembly::new(at(10), 10);
    queue.push(at(0), &fragment(1, b"12345")).unwrap();
    assert_eq!(queue.push(at(0), &fragment(2 | LAST, b"123456")), Ok(Reassembled::Dropped));
    queue.push(at(0), &fragment(1, b"12345")).unwrap();
    assert!(matches!(queue.push(at(0), &fragment(2 | LAST, b"12345")), Ok(Reassembled::Complete(_))));
}

proptest! {
    #[test]
    fn any_datagrams_are_handled_within_the_size_limit(
        datagrams in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        let mut queue = Reassembly::new(at(10), 100);
        for (number, data) in datagrams {
            if let Ok(Reassembled::Complete(whole)) = queue.push(at(0), &fragment(number, &data)) {
                prop_assert!(Header::split(&whole).unwrap().1.len() <= 100);
            }
            let _ = queue.push(at(0), &data);
        }
    }
}

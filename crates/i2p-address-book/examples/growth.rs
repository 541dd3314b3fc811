//! How the cost of a book grows with its names, for `cargo xtask bench`: a book grows from each number of names that is given to
//! the next one, and at each its opening and its lookups are timed.
//!
//! A line on stdout for each time that it was measured: names, ns to open, ns of a lookup that finds, ns of one that does not.
//! In a book without names nothing is found, and 0 stands there.
//!
//! ```sh
//! cargo run --release -p i2p-address-book --example growth -- 0 1000 10000 100000
//! ```
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use i2p_address_book::{AddressBook, FeedName};
use i2p_name::{Destination, HostName};

/// How often each number of names is measured, and how many lookups of each kind make one measurement.
const TIMES: usize = 5;
const LOOKUPS: usize = 10_000;
/// From one name that is asked for to the next one: neighbours in the file are not asked for one after the other.
const STRIDE: usize = 61_803;

/// An Ed25519 destination in shape, different for each number.
fn destination(number: usize) -> Destination {
    let mut bytes = vec![0x5a; 384];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes.extend([5, 0, 4, 0, 7, 0, 4]);
    Destination::from_bytes(bytes).unwrap()
}

fn name(number: usize, of: &str) -> HostName {
    format!("name-{number}.{of}.i2p").parse().unwrap()
}

/// The time of one lookup of these names, each of which has to be found, or not.
fn lookups(book: &AddressBook, names: &[HostName], found: bool) -> Duration {
    let start = Instant::now();
    for name in names {
        assert_eq!(book.lookup(black_box(name)).unwrap().is_some(), found);
    }
    start.elapsed() / u32::try_from(names.len().max(1)).unwrap()
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|size| size.parse().unwrap()).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("names.redb");
    let mut there = 0;
    for size in sizes {
        let mut hosts = String::new();
        for number in there..size {
            writeln!(hosts, "{}={}", name(number, "example").as_str(), destination(number).to_base64())
                .unwrap();
        }
        let grown = AddressBook::open(&path).unwrap().import(hosts.as_bytes(), &FeedName::new("hosts.txt"));
        assert_eq!(grown.unwrap().added, (size - there) as u64);
        there = size;
        let number = |turn: usize| turn * STRIDE % size.max(1);
        let names = |of| (0..LOOKUPS).map(|turn| name(number(turn), of)).collect::<Vec<_>>();
        let (known, unknown) = (if size == 0 { Vec::new() } else { names("example") }, names("unknown"));
        for _ in 0..TIMES {
            let start = Instant::now();
            let book = AddressBook::open(&path).unwrap();
            let opened = start.elapsed();
            let (found, missing) = (lookups(&book, &known, true), lookups(&book, &unknown, false));
            println!("{size} {} {} {}", opened.as_nanos(), found.as_nanos(), missing.as_nanos());
        }
    }
}

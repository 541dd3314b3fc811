//! Measures how the cost of an address book grows with its size, for the benchmarks of i2p-socks. A new book, in the given file,
//! grows to each of the given numbers of names; at each number the time to open it and the time of lookups are measured.
//!
//! Prints a line for each measurement: number of names, ns to open, ns of a lookup of a known name, ns of a lookup of an unknown
//! name. For an empty book, the third number is 0.
//!
//! ```sh
//! cargo run --release -p address-book-growth -- /tmp/growth.redb 0 1000 10000 100000
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark fails by panicking")]

use std::{
    fmt::Write,
    hint::black_box,
    path::PathBuf,
    time::{Duration, Instant},
};

use i2p_address_book::{AddressBook, FeedName};
use i2p_name::{Destination, HostName};

/// The number of measurements at each number of names.
const MEASUREMENTS: usize = 5;
/// The number of lookups of each kind in one measurement.
const LOOKUPS: usize = 10_000;
/// The distance from one name looked up to the next, so that no two neighbours in the file follow each other.
const STRIDE: usize = 61_803;

/// A destination with the layout of Ed25519, different for each number.
fn destination(number: usize) -> Destination {
    let mut bytes = vec![0x5a; 384];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes.extend([5, 0, 4, 0, 7, 0, 4]);
    Destination::from_bytes(bytes).unwrap()
}

fn name(number: usize, of: &str) -> HostName {
    format!("name-{number}.{of}.i2p").parse().unwrap()
}

/// Measures the time of one lookup. Either all of the names must be found or none.
fn lookups(book: &AddressBook, names: &[HostName], found: bool) -> Duration {
    let start = Instant::now();
    for name in names {
        assert_eq!(book.lookup(black_box(name)).unwrap().is_some(), found);
    }
    start.elapsed() / u32::try_from(names.len().max(1)).unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().unwrap());
    assert!(!path.exists(), "{} exists already", path.display());
    let sizes: Vec<usize> = arguments.map(|size| size.parse().unwrap()).collect();
    let mut imported = 0;
    for size in sizes {
        let mut hosts = String::new();
        for number in imported..size {
            writeln!(hosts, "{}={}", name(number, "example").as_str(), destination(number).to_base64())
                .unwrap();
        }
        let grown = AddressBook::open(&path).unwrap().import(hosts.as_bytes(), &FeedName::new("hosts.txt"));
        assert_eq!(grown.unwrap().added, (size - imported) as u64);
        imported = size;
        let number = |turn: usize| turn * STRIDE % size.max(1);
        let names = |of| (0..LOOKUPS).map(|turn| name(number(turn), of)).collect::<Vec<_>>();
        let (known, unknown) = (if size == 0 { Vec::new() } else { names("example") }, names("unknown"));
        for _ in 0..MEASUREMENTS {
            let start = Instant::now();
            let book = AddressBook::open(&path).unwrap();
            let opened = start.elapsed();
            let (found, missing) = (lookups(&book, &known, true), lookups(&book, &unknown, false));
            println!("{size} {} {} {}", opened.as_nanos(), found.as_nanos(), missing.as_nanos());
        }
    }
}

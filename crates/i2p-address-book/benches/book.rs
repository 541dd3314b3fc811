//! Measures an address book of 100,000 names: opening it, lookups of known and unknown names, and the work of reading a feed.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fmt::Write, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use i2p_address_book::{AddressBook, FeedName, feed};
use i2p_name::{Destination, HostName};

/// Names in the book.
const NAMES: u32 = 100_000;

/// A destination with the layout of Ed25519, different for each number.
fn destination(number: u32) -> Destination {
    let mut bytes = vec![0x5a; 384];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.extend([5, 0, 4, 0, 7, 0, 4]);
    Destination::from_bytes(bytes).unwrap()
}

fn name(number: u32) -> HostName {
    format!("name-{number}.example.i2p").parse().unwrap()
}

fn book(criterion: &mut Criterion) {
    let mut hosts = String::new();
    for number in 0..NAMES {
        writeln!(hosts, "{}={}", name(number).as_str(), destination(number).to_base64()).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("names.redb");
    let started = std::time::Instant::now();
    let report =
        AddressBook::open(&path).unwrap().import(hosts.as_bytes(), &FeedName::new("hosts.txt")).unwrap();
    assert_eq!(report.added, u64::from(NAMES));
    println!("import of {NAMES} new names: {:?}", started.elapsed());
    println!("file: {} bytes", std::fs::metadata(&path).unwrap().len());

    criterion.bench_function("open", |bencher| bencher.iter(|| AddressBook::open(&path).unwrap()));
    let book = AddressBook::open(&path).unwrap();
    let mut number = 0;
    let mut next = || {
        // The stride has no common factor with NAMES, so no two neighbours in the file follow each other.
        number = (number + 61_803) % NAMES;
        number
    };
    criterion.bench_function("lookup, found", |bencher| {
        bencher.iter_batched(
            || name(next()),
            |name| assert!(book.lookup(black_box(&name)).unwrap().is_some()),
            criterion::BatchSize::SmallInput,
        );
    });
    let unknown: HostName = "name-5.unknown.i2p".parse().unwrap();
    criterion.bench_function("lookup, not found", |bencher| {
        bencher.iter(|| assert!(book.lookup(black_box(&unknown)).unwrap().is_none()));
    });
    let hash = destination(7).b32();
    criterion.bench_function("names of a destination", |bencher| {
        bencher.iter(|| assert_eq!(book.names_of(black_box(&hash), 10).unwrap().len(), 1));
    });
    let line = hosts.lines().next().unwrap();
    criterion.bench_function("parse a line", |bencher| {
        bencher.iter(|| assert!(matches!(feed::parse_line(black_box(line.as_bytes())), Ok(Some(_)))));
    });
    for (name, lines) in [
        ("DSA_SHA1", include_str!("../tests/vectors/dsa-sha1.txt")),
        ("ECDSA P-256", include_str!("../tests/vectors/ecdsa-sha256-p256.txt")),
        ("ECDSA P-384", include_str!("../tests/vectors/ecdsa-sha384-p384.txt")),
        ("ECDSA P-521", include_str!("../tests/vectors/ecdsa-sha512-p521.txt")),
        ("Ed25519", include_str!("../tests/vectors/eddsa-sha512-ed25519.txt")),
    ] {
        // The removal, because it has one signature.
        let Ok(Some(feed::Line::Command(command))) =
            feed::parse_line(lines.lines().nth(1).unwrap().as_bytes())
        else {
            panic!("not a command");
        };
        criterion.bench_function(&format!("verify, {name}"), |bencher| {
            bencher.iter(|| black_box(command.clone()).verify().unwrap());
        });
    }
}

criterion_group!(benches, book);
criterion_main!(benches);

//! Hostile feeds: bounded, counted, and without effect on existing entries.

use std::io::{BufReader, Read};

use crate::holder::{Holder, Shelf, host};
use i2p_address_book::{FeedName, Limits, LineRefusal, Source, feed::LineError};

#[test]
fn bad_lines_are_counted_and_good_ones_imported() {
    let holder = Holder::new(1);
    let shelf = Shelf::new();
    let mut feed = Vec::new();
    feed.extend(b"../../../etc/passwd.i2p=AAAA\n\xff\xfe\xfd=\n\x1b[2J.i2p=x\n");
    feed.extend(holder.entry("good.i2p").as_bytes());
    feed.extend(vec![b'x'; 100_000]);
    feed.push(b'\n');
    feed.extend(holder.change("dup.i2p", &[]).trim_end().as_bytes());
    feed.extend(b"#sig=AAAA\n");
    feed.extend(holder.entry("also-good.i2p").trim_end().as_bytes());
    let report = shelf.import(&feed);
    assert_eq!((report.added, report.refused, report.truncated), (2, 5, false));
    let lines: Vec<_> = report.refused_lines.iter().map(|refused| refused.line).collect();
    assert_eq!(lines, [1, 2, 3, 5, 6]);
    assert_eq!(report.refused_lines[3].reason, LineRefusal::Line(LineError::TooLong));
    assert_eq!(report.refused_lines[4].to_string(), "line 6: a property after #! is there twice");
}

#[test]
fn a_report_lists_at_most_a_hundred_refused_lines() {
    let report = Shelf::new().import("x\n".repeat(5_000));
    assert_eq!((report.refused, report.refused_lines.len()), (5_000, 100));
}

#[test]
fn an_endless_feed_is_truncated() {
    let shelf = Shelf::with(Limits { max_import_bytes: 100_000, ..Limits::default() });
    let endless = BufReader::new(std::io::repeat(b'x'));
    let report = shelf.book.import(endless, &FeedName::new("endless")).unwrap();
    assert!(report.truncated && report.added == 0, "{report:?}");
    let lines = BufReader::new(std::io::repeat(b'\n').take(u64::MAX));
    assert!(shelf.book.import(lines, &FeedName::new("endless")).unwrap().truncated);
}

#[test]
fn the_book_and_each_source_have_a_limit() {
    let limits = Limits { max_entries: 5, max_entries_per_source: 3, ..Limits::default() };
    let (shelf, holder) = (Shelf::with(limits), Holder::new(1));
    let names = |letter: char| (0..4).map(|n| holder.entry(&format!("{letter}{n}.i2p"))).collect::<String>();
    let report = shelf.import_from("a", names('a'));
    assert_eq!((report.added, report.refused_lines[0].reason), (3, LineRefusal::SourceFull));
    let report = shelf.import_from("b", names('b'));
    assert_eq!((report.added, report.refused_lines[0].reason), (2, LineRefusal::BookFull));
    assert_eq!(shelf.book.len().unwrap(), 5);
    assert!(shelf.book.add(&host("c.i2p"), &holder.destination).is_err());
    // A removal makes room.
    let removal = holder.removal(&[("action", "remove"), ("name", "a0.i2p")]);
    assert_eq!(shelf.import_from("b", removal).removed, 1);
    assert_eq!(shelf.import_from("a", holder.entry("a9.i2p")).added, 1);
}

#[test]
fn lines_before_an_error_of_the_reader_stay_imported() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let (shelf, holder) = (Shelf::new(), Holder::new(1));
    let lines: String = (0..1_000).map(|n| holder.entry(&format!("n{n}.i2p"))).collect();
    let reader = BufReader::new(lines.as_bytes().chain(Fails));
    assert!(shelf.book.import(reader, &FeedName::new("a")).is_err());
    assert_eq!(shelf.book.len().unwrap(), 1_000);
}

#[test]
fn the_name_of_a_source_cannot_control_a_terminal() {
    let source = Source::feed("http://a.i2p/\u{1b}[2J\r\n\u{202e}txt\u{2028}");
    let shown = source.to_string();
    assert!(shown.starts_with("http://a.i2p/\u{fffd}[2J"), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2028}'), "{shown:?}");
    let long = FeedName::new(&"ä".repeat(1_000));
    assert_eq!(long.as_str().len(), 200);
}

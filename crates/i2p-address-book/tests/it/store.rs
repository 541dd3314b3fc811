//! The file: what it keeps, who can read it, and how damage is handled.

use std::{fs, io::Write};

use crate::holder::{Holder, Shelf, host};
use i2p_address_book::{AddressBook, BookError, Source};

#[test]
fn imported_names_are_kept_after_the_book_is_closed() {
    let holder = Holder::new(1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state/names.redb");
    let book = AddressBook::open(&path).unwrap();
    let feed = i2p_address_book::FeedName::new("hosts.txt");
    book.import(holder.entry("a.i2p").as_bytes(), &feed).unwrap();
    drop(book);
    let book = AddressBook::open(&path).unwrap();
    let entry = book.entry(&host("a.i2p")).unwrap().unwrap();
    assert_eq!(
        (entry.destinations.as_slice(), entry.source),
        ([holder.destination].as_slice(), Source::Feed(feed))
    );
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/names.redb");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    drop(AddressBook::open(&path).unwrap());
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(AddressBook::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_book_cannot_be_open_twice() {
    let shelf = Shelf::new();
    let second = AddressBook::open(shelf.path());
    assert!(matches!(second, Err(BookError::InUse { .. })), "{second:?}");
}

#[test]
fn a_file_that_is_not_an_address_book_is_an_error_and_stays_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("hosts.txt", Holder::new(1).entry("a.i2p").into_bytes()),
        ("zeroes", vec![0; 8192]),
        ("short", b"redb".to_vec()),
        ("one", vec![1]),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, &content).unwrap();
        let opened = AddressBook::open(&path);
        assert!(matches!(opened, Err(BookError::Damaged { .. })), "{name}: {opened:?}");
        assert_eq!(fs::read(&path).unwrap(), content, "{name}");
    }
    let opened = AddressBook::open(directory.path());
    assert!(matches!(opened, Err(BookError::Open { .. })), "{opened:?}");
}

/// Damage anywhere is found when the book is opened, unless it is in an unused place.
#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    let shelf = Shelf::new();
    let lines: String = (0..100).map(|number| Holder::new(number).entry(&format!("n{number}.i2p"))).collect();
    shelf.import(&lines);
    let mut whole = Vec::new();
    shelf.book.export(&mut whole).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("names.redb");
    let mut damaged = 0;
    let bytes = {
        // The file after the book was closed.
        let closed = directory.path().join("closed.redb");
        let book = AddressBook::open(&closed).unwrap();
        book.import(lines.as_bytes(), &i2p_address_book::FeedName::new("hosts.txt")).unwrap();
        drop(book);
        fs::read(closed).unwrap()
    };
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    for number in 0..150 {
        let at = if number < 64 { number * 4 } else { used * (number - 64) / 86 };
        let mut other = bytes.clone();
        other[at] ^= 0x41;
        fs::write(&copy, &other).unwrap();
        match AddressBook::open(&copy) {
            Ok(book) => {
                let mut exported = Vec::new();
                book.export(&mut exported).unwrap();
                assert_eq!(exported, whole, "byte {at}");
            }
            Err(error) => {
                assert!(
                    matches!(error, BookError::Damaged { .. } | BookError::Open { .. }),
                    "byte {at}: {error:?}"
                );
                damaged += 1;
            }
        }
    }
    assert!(damaged > 20, "{damaged} of 150");
    fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
    assert!(AddressBook::open(&copy).is_err(), "half a file");
}

#[test]
fn lookups_and_writers_do_not_wait_for_an_import() {
    let holder = Holder::new(1);
    let shelf = Shelf::new();
    shelf.import(holder.entry("a.i2p"));
    // A feed that stalls for as long as the test needs.
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let feed = i2p_address_book::FeedName::new("slow");
            shelf.book.import(std::io::BufReader::new(reader), &feed).unwrap()
        });
        writer.write_all(holder.entry("b.i2p").as_bytes()).unwrap();
        assert!(shelf.lookup("a.i2p").is_some());
        // Other writers do not wait either: the store is not locked while the feed is read.
        shelf.book.add(&host("c.i2p"), &holder.destination).unwrap();
        drop(writer);
        assert_eq!(slow.join().unwrap().added, 1);
    });
    assert!(shelf.lookup("b.i2p").is_some());
}

#[test]
fn lists_have_pages_and_exports_can_be_imported() {
    let shelf = Shelf::new();
    let lines: String =
        (0..25).map(|number| Holder::new(number).entry(&format!("n{number:02}.i2p"))).collect();
    shelf.import(Holder::new(1).entry("z.i2p") + &lines + &Holder::new(2).entry("a.i2p"));
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let page = shelf.book.list("n", after.as_ref(), 10).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 10);
        after = Some(last.host.clone());
        names.extend(page.into_iter().map(|entry| entry.host.as_str().to_owned()));
    }
    assert_eq!(names, (0..25).map(|number| format!("n{number:02}.i2p")).collect::<Vec<_>>());
    assert_eq!(shelf.book.list("", None, 100).unwrap().len(), 27);
    let mut exported = Vec::new();
    shelf.book.export(&mut exported).unwrap();
    let other = Shelf::new();
    let report = other.import(&exported);
    assert_eq!((report.added, report.refused), (27, 0));
    let mut again = Vec::new();
    other.book.export(&mut again).unwrap();
    assert_eq!(exported, again);
}

//! First come, first served: a name keeps its destination, and other claims are recorded as conflicts.

use std::time::{Duration, SystemTime};

use crate::holder::{Holder, Shelf, host};
use i2p_address_book::{BookError, FeedName, Limits, Source};
use proptest::prelude::*;

#[test]
fn a_conflict_changes_nothing_and_is_recorded_once() {
    let (first, second) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    assert_eq!(shelf.import(first.entry("a.i2p")).added, 1);
    for _ in 0..2 {
        let report = shelf.import_from("http://other.i2p/", second.entry("a.i2p"));
        assert_eq!((report.conflicts, report.added), (1, 0));
    }
    // A signature gives the second destination no right to the name.
    assert_eq!(shelf.import(second.change("a.i2p", &[])).conflicts, 1);
    assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&first.destination));
    let conflicts = shelf.book.conflicts(10).unwrap();
    let [conflict] = conflicts.as_slice() else { panic!("{conflicts:?}") };
    assert_eq!(conflict.host, host("a.i2p"));
    assert_eq!((&conflict.kept, &conflict.offered), (&first.destination, &second.destination));
    assert_eq!(conflict.source, Source::feed("http://other.i2p/"));
    let age = SystemTime::now().duration_since(conflict.at).unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
    assert_eq!(shelf.book.drop_conflicts(&host("a.i2p")).unwrap(), 1);
    assert!(shelf.book.conflicts(10).unwrap().is_empty());
}

#[test]
fn the_oldest_conflicts_are_dropped_first() {
    let (first, second) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::with(Limits { max_conflicts: 3, ..Limits::default() });
    for number in 0..6 {
        shelf.import(first.entry(&format!("n{number}.i2p")));
        shelf.import(second.entry(&format!("n{number}.i2p")));
    }
    let names: Vec<_> = shelf.book.conflicts(10).unwrap().into_iter().map(|conflict| conflict.host).collect();
    assert_eq!(names, [host("n5.i2p"), host("n4.i2p"), host("n3.i2p")]);
    assert_eq!(shelf.book.conflicts(1).unwrap().len(), 1);
}

/// They would be in the way of the router or the proxy, or mistaken for an address.
#[test]
fn the_user_cannot_add_what_no_feed_can() {
    let holder = Holder::new(1);
    let shelf = Shelf::new();
    for name in ["proxy.i2p", "www.mail.i2p", &format!("{}.i2p", "a".repeat(52))] {
        let (added, replaced) = (
            shelf.book.add(&host(name), &holder.destination),
            shelf.book.replace(&host(name), &holder.destination),
        );
        assert!(matches!(added, Err(BookError::NotImportable(_))), "{name}: {added:?}");
        assert!(matches!(replaced, Err(BookError::NotImportable(_))), "{name}: {replaced:?}");
    }
    assert!(shelf.book.is_empty().unwrap());
}

#[test]
fn the_user_can_replace_a_taken_name_but_not_add_it() {
    let (first, second) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(first.entry("a.i2p"));
    shelf.import(second.entry("a.i2p"));
    let taken = shelf.book.add(&host("a.i2p"), &second.destination);
    assert!(matches!(taken, Err(BookError::NameTaken)), "{taken:?}");
    assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&first.destination));
    shelf.book.replace(&host("a.i2p"), &second.destination).unwrap();
    assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&second.destination));
    assert!(shelf.book.conflicts(10).unwrap().is_empty());
    assert_eq!(shelf.book.entry(&host("a.i2p")).unwrap().unwrap().source, Source::Hand);
    assert!(shelf.book.names_of(&first.destination.b32(), 10).unwrap().is_empty());
    assert_eq!(shelf.import(first.entry("a.i2p")).superseded, 1);
    assert!(shelf.book.conflicts(10).unwrap().is_empty());
}

#[test]
fn no_feed_adds_again_what_the_user_removed() {
    let (first, second) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(first.entry("a.i2p"));
    assert!(shelf.book.remove(&host("a.i2p")).unwrap());
    assert!(!shelf.book.remove(&host("a.i2p")).unwrap());
    assert_eq!(shelf.import(first.entry("a.i2p")).superseded, 1);
    assert_eq!(shelf.import(first.change("a.i2p", &[("date", "1700000000")])).superseded, 1);
    assert_eq!(shelf.lookup("a.i2p"), None);
    // The name is free for another destination, and for the user.
    assert_eq!(shelf.import(second.entry("a.i2p")).added, 1);
    assert!(shelf.book.remove(&host("a.i2p")).unwrap());
    shelf.book.add(&host("a.i2p"), &first.destination).unwrap();
    assert_eq!(shelf.lookup("a.i2p"), Some(first.destination));
}

#[test]
fn a_backup_brings_back_what_the_user_removed_but_not_what_its_holder_removed() {
    let (first, second) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(first.entry("a.i2p"));
    shelf.import(second.entry("b.i2p"));
    let mut backup = Vec::new();
    shelf.book.export(&mut backup).unwrap();
    shelf.book.remove(&host("a.i2p")).unwrap();
    assert_eq!(shelf.import(second.removal(&[("action", "remove"), ("name", "b.i2p")])).removed, 1);
    let report = shelf.book.restore(backup.as_slice(), &FeedName::new("backup")).unwrap();
    assert_eq!((report.added, report.superseded), (1, 1));
    assert_eq!((shelf.lookup("a.i2p"), shelf.lookup("b.i2p")), (Some(first.destination.clone()), None));
    assert!(!shelf.book.was_removed(&host("a.i2p"), &first.destination).unwrap());
    assert_eq!(shelf.import(first.entry("a.i2p")).same, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the order of plain lines, the first destination of a name stays.
    #[test]
    fn conflicts_never_replace(lines in proptest::collection::vec((0_u8..4, 1_u8..5), 1..30)) {
        let shelf = Shelf::new();
        let holders: Vec<_> = (0..5).map(Holder::new).collect();
        let mut first = std::collections::BTreeMap::new();
        for (name, seed) in lines {
            let name = format!("n{name}.i2p");
            let holder = &holders[usize::from(seed)];
            shelf.import(holder.entry(&name));
            first.entry(name).or_insert_with(|| holder.destination.clone());
        }
        for (name, destination) in first {
            prop_assert_eq!(shelf.lookup(&name), Some(destination));
        }
    }
}

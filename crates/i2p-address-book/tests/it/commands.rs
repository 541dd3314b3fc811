//! The effect of each command, and who may give it.

use crate::holder::{Holder, Shelf, host};
use i2p_address_book::{ImportReport, LineRefusal, feed::SignatureError};

/// The reason for refusing the only line of an import.
fn refusal(report: &ImportReport) -> LineRefusal {
    assert_eq!(report.refused, 1, "{report:?}");
    report.refused_lines[0].reason
}

/// The properties of a command with a date.
const fn dated<'a>(action: &'a str, date: &'a str) -> [(&'a str, &'a str); 2] {
    [("action", action), ("date", date)]
}

#[test]
fn changedest_needs_the_old_key() {
    let (old, new, thief) = (Holder::new(1), Holder::new(2), Holder::new(3));
    let shelf = Shelf::new();
    shelf.import(old.entry("a.i2p"));
    // Signed by the new key, and by a third key that claims to be the old one.
    let stolen = thief.change_from("a.i2p", &new, &[("action", "changedest")]);
    assert_eq!(shelf.import(stolen).conflicts, 1);
    let unsigned = thief.change("a.i2p", &[("action", "changedest"), ("olddest", &old.base64())]);
    let reason = refusal(&shelf.import(unsigned));
    assert_eq!(reason, LineRefusal::Signature(SignatureError::Missing("oldsig")));
    assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&old.destination));
    let line = new.change_from("a.i2p", &old, &dated("changedest", "1700000000"));
    assert_eq!(shelf.import(&line).changed, 1);
    assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&new.destination));
    assert_eq!(shelf.import(&line).same, 1);
    // Feeds still contain the old line.
    assert_eq!(shelf.import(old.entry("a.i2p")).superseded, 1);
    assert!(shelf.book.names_of(&old.destination.b32(), 9).unwrap().is_empty());
    assert_eq!(shelf.book.names_of(&new.destination.b32(), 9).unwrap(), [host("a.i2p")]);
}

#[test]
fn a_replayed_command_has_no_effect() {
    let (one, two) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(one.entry("a.i2p"));
    let there = two.change_from("a.i2p", &one, &dated("changedest", "1700000000"));
    let back = one.change_from("a.i2p", &two, &dated("changedest", "1700000001"));
    assert_eq!(shelf.import(&there).changed, 1);
    assert_eq!(shelf.import(&back).changed, 1);
    assert_eq!(shelf.import(&there).superseded, 1);
    let undated = two.change_from("a.i2p", &one, &[("action", "changedest")]);
    assert_eq!(shelf.import(&undated).superseded, 1);
    assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&one.destination));
}

#[test]
fn a_change_of_an_unknown_name_adds_it() {
    let (old, new) = (Holder::new(1), Holder::new(2));
    for action in ["changedest", "adddest"] {
        let shelf = Shelf::new();
        assert_eq!(shelf.import(new.change_from("a.i2p", &old, &[("action", action)])).added, 1);
        assert_eq!(shelf.import(old.entry("a.i2p")).superseded, 1, "{action}");
        assert_eq!(shelf.lookup("a.i2p").as_ref(), Some(&new.destination));
    }
}

#[test]
fn adddest_keeps_the_old_destination() {
    let (old, new) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(old.entry("a.i2p"));
    let thief = Holder::new(3).change_from("a.i2p", &Holder::new(4), &[("action", "adddest")]);
    assert_eq!(shelf.import(thief).conflicts, 1);
    assert_eq!(shelf.import(new.change_from("a.i2p", &old, &[("action", "adddest")])).changed, 1);
    let entry = shelf.book.entry(&host("a.i2p")).unwrap().unwrap();
    assert_eq!(entry.destinations, [old.destination.clone(), new.destination.clone()]);
    assert_eq!(shelf.book.names_of(&new.destination.b32(), 9).unwrap(), [host("a.i2p")]);
    // Each of the two destinations can now be replaced without the other.
    let newer = Holder::new(5);
    assert_eq!(shelf.import(newer.change_from("a.i2p", &old, &[("action", "changedest")])).changed, 1);
    let entry = shelf.book.entry(&host("a.i2p")).unwrap().unwrap();
    assert_eq!(entry.destinations, [new.destination, newer.destination]);
}

#[test]
fn a_name_moves_from_dsa_to_ed25519() {
    let shelf = Shelf::new();
    let line = include_str!("../vectors/dsa-sha1.txt").lines().next().unwrap();
    let (entry, rest) = line.split_once("#!").unwrap();
    let (_, dsa) = rest.split_once("olddest=").unwrap();
    shelf.import(format!("example.i2p={}\n", dsa.split('#').next().unwrap()));
    assert_eq!(shelf.import(line).changed, 1);
    assert_eq!(format!("example.i2p={}", shelf.lookup("example.i2p").unwrap().to_base64()), entry);
}

#[test]
fn a_name_has_at_most_eight_destinations() {
    let first = Holder::new(1);
    let shelf = Shelf::new();
    shelf.import(first.entry("a.i2p"));
    for seed in 2..=8 {
        let line = Holder::new(seed).change_from("a.i2p", &first, &[("action", "adddest")]);
        assert_eq!(shelf.import(line).changed, 1);
    }
    let line = Holder::new(9).change_from("a.i2p", &first, &[("action", "adddest")]);
    assert_eq!(refusal(&shelf.import(line)), LineRefusal::TooManyDestinations);
}

#[test]
fn addname_needs_the_key_of_the_other_name() {
    let (holder, thief) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(holder.entry("a.i2p"));
    let alias = [("action", "addname"), ("oldname", "a.i2p")];
    assert_eq!(refusal(&shelf.import(thief.change("b.i2p", &alias))), LineRefusal::NotHolder);
    assert_eq!(shelf.import(holder.change("b.i2p", &alias)).added, 1);
    assert_eq!(
        shelf.import(thief.change("b.i2p", &[("action", "addname"), ("oldname", "x.i2p")])).conflicts,
        1
    );
    assert_eq!(shelf.book.names_of(&holder.destination.b32(), 9).unwrap(), [host("a.i2p"), host("b.i2p")]);
}

#[test]
fn changename_moves_the_name_and_the_old_line_does_not_add_it_again() {
    let (holder, thief) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.import(holder.entry("old.i2p"));
    let change = [("action", "changename"), ("oldname", "old.i2p"), ("date", "1700000000")];
    assert_eq!(refusal(&shelf.import(thief.change("new.i2p", &change))), LineRefusal::NotHolder);
    assert_eq!(shelf.import(holder.change("new.i2p", &change)).changed, 1);
    assert_eq!((shelf.lookup("old.i2p"), shelf.lookup("new.i2p")), (None, Some(holder.destination.clone())));
    assert_eq!(shelf.import(holder.entry("old.i2p")).superseded, 1);
    assert_eq!(shelf.lookup("old.i2p"), None);
    // The same holds if the command comes first.
    let shelf = Shelf::new();
    assert_eq!(shelf.import(holder.change("new.i2p", &change)).added, 1);
    assert_eq!(shelf.import(holder.entry("old.i2p")).superseded, 1);
    // A name changed to itself must stay.
    let itself = holder.change("new.i2p", &[("action", "changename"), ("oldname", "new.i2p")]);
    assert_eq!(shelf.import(itself).same, 1);
    assert!(shelf.lookup("new.i2p").is_some());
    // A name changed to one that is taken: both names stay.
    shelf.import(thief.entry("taken.i2p"));
    let onto = holder
        .change("taken.i2p", &[("action", "changename"), ("oldname", "new.i2p"), ("date", "1700000001")]);
    assert_eq!(shelf.import(onto).conflicts, 1);
    assert!(shelf.lookup("new.i2p").is_some());
    assert_eq!(shelf.lookup("taken.i2p"), Some(thief.destination));
}

#[test]
fn addsubdomain_needs_the_key_of_the_parent_name() {
    let (parent, child, thief) = (Holder::new(1), Holder::new(2), Holder::new(3));
    let shelf = Shelf::new();
    shelf.import(parent.entry("a.i2p"));
    let sub = [("action", "addsubdomain"), ("oldname", "a.i2p")];
    assert_eq!(refusal(&shelf.import(thief.change_from("s.a.i2p", &thief, &sub))), LineRefusal::NotHolder);
    assert_eq!(shelf.import(child.change_from("s.a.i2p", &parent, &sub)).added, 1);
    assert_eq!(shelf.lookup("s.a.i2p"), Some(child.destination));
}

#[test]
fn remove_and_removeall_remove_only_names_of_the_signer() {
    let (holder, other) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    for name in ["a.i2p", "b.i2p", "c.i2p"] {
        shelf.import(holder.entry(name));
    }
    shelf.import(other.entry("x.i2p"));
    let remove = [("action", "remove"), ("name", "a.i2p"), ("date", "1700000000")];
    assert_eq!(refusal(&shelf.import(other.removal(&remove))), LineRefusal::NotHolder);
    assert_eq!(shelf.import(holder.removal(&remove)).removed, 1);
    assert_eq!(shelf.import(holder.entry("a.i2p")).superseded, 1);
    // A newer signed line adds it again, and the old removal has no effect on that.
    assert_eq!(shelf.import(holder.change("a.i2p", &[("date", "1700000001")])).added, 1);
    assert_eq!(shelf.import(holder.removal(&remove)).superseded, 1);
    shelf.book.add(&host("c.i2p"), &holder.destination).unwrap();
    let report = shelf.import(holder.removal(&dated("removeall", "1700000002")));
    assert_eq!(report.removed, 2);
    assert_eq!(shelf.book.names_of(&holder.destination.b32(), 9).unwrap(), [host("c.i2p")], "kept by hand");
    assert!(shelf.lookup("x.i2p").is_some());
}

#[test]
fn removeall_removes_more_names_than_one_page() {
    let holder = Holder::new(1);
    let shelf = Shelf::new();
    let names: String = (0..1_201).map(|number| holder.entry(&format!("n{number}.i2p"))).collect();
    assert_eq!(shelf.import(names).added, 1_201);
    assert_eq!(shelf.import(holder.removal(&[("action", "removeall")])).removed, 1_201);
    assert!(shelf.book.is_empty().unwrap());
}

#[test]
fn no_command_changes_what_the_user_added() {
    let (holder, new) = (Holder::new(1), Holder::new(2));
    let shelf = Shelf::new();
    shelf.book.add(&host("a.i2p"), &holder.destination).unwrap();
    for line in [
        new.change_from("a.i2p", &holder, &[("action", "changedest")]),
        new.change_from("a.i2p", &holder, &[("action", "adddest")]),
        holder.change("b.i2p", &[("action", "changename"), ("oldname", "a.i2p")]),
        holder.removal(&[("action", "remove"), ("name", "a.i2p")]),
    ] {
        assert_eq!(refusal(&shelf.import(&line)), LineRefusal::KeptByHand, "{line}");
    }
    assert_eq!(shelf.lookup("a.i2p"), Some(holder.destination));
    assert_eq!(shelf.lookup("b.i2p"), None);
}

#[test]
fn expired_and_future_dated_commands_are_refused() {
    let holder = Holder::new(1);
    let shelf = Shelf::new();
    let expired = holder.change("a.i2p", &[("expires", "1700000000")]);
    assert_eq!(refusal(&shelf.import(expired)), LineRefusal::Expired);
    let future = holder.change("a.i2p", &[("date", "99999999999")]);
    let report = shelf.import(future);
    assert_eq!((refusal(&report), report.future_dated), (LineRefusal::FromTheFuture, 1));
    assert_eq!(shelf.import(holder.change("a.i2p", &[("expires", "99999999999")])).added, 1);
    assert_eq!(shelf.import(holder.change("a.i2p", &[("action", "update"), ("colour", "red")])).same, 1);
}

//! Parsing of lines.

use std::io::{BufReader, Cursor};

use crate::holder::{Holder, text};
use i2p_address_book::feed::{Action, Line, LineError, Lines, MAX_LINE_BYTES, parse_line};
use proptest::prelude::*;

fn error(line: &str) -> LineError {
    parse_line(line.as_bytes()).unwrap_err()
}

#[test]
fn comments_and_empty_lines_are_skipped() {
    for line in ["", "  ", "\r", "#", "# a comment", ";", "; a=b", " # a"] {
        assert_eq!(parse_line(line.as_bytes()), Ok(None), "{line:?}");
    }
}

#[test]
fn an_entry_may_have_a_comment_and_blanks_around_it() {
    let holder = Holder::new(1);
    for line in [
        format!("Example.i2p={}", holder.base64()),
        format!("  example.i2p = {} # anything=else\r", holder.base64()),
        format!("example.i2p={}#comment #!sig=x", holder.base64()),
    ] {
        let Ok(Some(Line::Entry(entry))) = parse_line(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((entry.host.as_str(), &entry.destination), ("example.i2p", &holder.destination));
    }
}

#[test]
fn names_that_must_not_be_imported_are_refused() {
    let holder = Holder::new(1);
    let base32 = format!("{}.i2p", "a".repeat(52));
    for name in [
        "",
        "i2p",
        ".i2p",
        "example.com",
        "proxy.i2p",
        "a.proxy.i2p",
        "Router.i2p",
        "console.i2p",
        "mail.i2p",
        "x.mail.i2p",
        "../../etc/passwd.i2p",
        "..\\a.i2p",
        "/a.i2p",
        "a..i2p",
        "a.-b.i2p",
        "a-.i2p",
        "a--b.i2p",
        "a_b.i2p",
        "a b.i2p",
        "b32.i2p",
        "a.b32.i2p",
        &base32,
        "example.i2p.",
        "example.i2p.alt",
        "ä.i2p",
        "a\u{1b}[2J.i2p",
        "127.0.0.1",
        &format!("{}.i2p", "a.".repeat(40)),
    ] {
        let line = holder.entry(name);
        assert!(parse_line(line.trim_end().as_bytes()).is_err(), "{name:?}");
    }
    for name in
        ["a.i2p", "mymail.i2p", "xn--a-b--c.i2p", "a.xn--b--c.i2p", &format!("{}b.i2p", "a".repeat(51))]
    {
        assert!(parse_line(holder.entry(name).trim_end().as_bytes()).is_ok(), "{name:?}");
    }
}

#[test]
fn destinations_of_the_wrong_length_are_refused() {
    assert_eq!(error("a.i2p=AAAA"), LineError::DestinationLength(4));
    assert_eq!(error(&format!("a.i2p={}", "A".repeat(617))), LineError::DestinationLength(617));
    assert!(matches!(error(&format!("a.i2p={}", "A".repeat(520))), LineError::Destination(_)));
    assert!(matches!(error(&format!("a.i2p={}+", "A".repeat(515))), LineError::Destination(_)));
    assert_eq!(error("a.i2p"), LineError::NoDestination);
}

#[test]
fn properties_are_pairs_with_values_and_no_key_occurs_twice() {
    let entry = Holder::new(1).change("a.i2p", &[]);
    let entry = entry.trim_end();
    assert!(parse_line(entry.as_bytes()).is_ok());
    assert_eq!(error(&format!("{entry}#sig=AAAA")), LineError::DuplicateKey);
    assert_eq!(error(&format!("{entry}#x=1#x=1")), LineError::DuplicateKey);
    for bad in ["#", "#x", "#x=", "#=x", "##x=1", "#a= #x=1", "#a=1 #x=1"] {
        assert_eq!(error(&format!("{entry}{bad}")), LineError::Property, "{bad}");
    }
    assert_eq!(error("#!"), LineError::Property);
    assert_eq!(error(&format!("{entry}#date=now")), LineError::Time("date"));
    assert_eq!(error(&format!("{entry}#expires=-1")), LineError::Time("expires"));
    assert_eq!(error(&format!("{entry}#oldsig=?")), LineError::Signature("oldsig"));
}

#[test]
fn an_action_needs_its_properties_and_the_right_kind_of_line() {
    let (holder, old) = (Holder::new(1), Holder::new(2));
    let entry = holder.entry("a.b.i2p");
    let entry = entry.trim_end();
    let (dest, olddest) = (holder.base64(), old.base64());
    let line = |properties: &[(&str, &str)]| text(entry, properties);
    assert_eq!(error(&line(&[("action", "changename")])), LineError::MissingProperty("oldname"));
    assert_eq!(error(&line(&[("action", "addname")])), LineError::MissingProperty("oldname"));
    assert_eq!(error(&line(&[("action", "changedest")])), LineError::MissingProperty("olddest"));
    assert_eq!(error(&line(&[("action", "adddest")])), LineError::MissingProperty("olddest"));
    assert_eq!(
        error(&line(&[("action", "addsubdomain"), ("oldname", "b.i2p")])),
        LineError::MissingProperty("olddest")
    );
    let sub = |old: &str| line(&[("action", "addsubdomain"), ("oldname", old), ("olddest", &olddest)]);
    assert_eq!(error(&sub("c.i2p")), LineError::NotASubdomain);
    assert_eq!(error(&sub("a.b.i2p")), LineError::NotASubdomain);
    assert!(parse_line(sub("b.i2p").as_bytes()).is_ok());
    assert_eq!(error(&line(&[("action", "remove"), ("dest", &dest)])), LineError::Action);
    assert_eq!(error(&line(&[("action", "Update")])), LineError::Action);
    assert_eq!(error("#!action=remove"), LineError::MissingProperty("dest"));
    assert_eq!(
        error(&text("", &[("action", "remove"), ("dest", &dest)])),
        LineError::MissingProperty("name")
    );
    assert_eq!(error(&text("", &[("action", "update"), ("dest", &dest)])), LineError::Action);
    assert_eq!(error(&text("", &[("dest", &dest)])), LineError::MissingProperty("action"));
    let bad = text("", &[("action", "remove"), ("dest", &dest), ("name", "../a.i2p")]);
    assert!(matches!(error(&bad), LineError::Name(_)));
    let Ok(Some(Line::Command(command))) =
        parse_line(text("", &[("action", "removeall"), ("dest", &dest), ("date", "7")]).as_bytes())
    else {
        panic!("not a command")
    };
    assert_eq!((command.action(), command.date()), (&Action::RemoveAll, Some(7)));
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
    let holder = Holder::new(1);
    let mut input = b"a.i2p=".to_vec();
    input.extend(vec![b'A'; 5_000_000]);
    input.push(b'\n');
    input.extend(vec![b' '; MAX_LINE_BYTES]);
    input.extend(b"\r\n");
    input.extend(holder.entry("b.i2p").trim_end().as_bytes());
    let mut lines = Lines::new(BufReader::with_capacity(100, Cursor::new(input)));
    let failure = lines.next().unwrap().unwrap().unwrap_err();
    assert_eq!((failure.number, failure.error), (1, LineError::TooLong));
    assert!(matches!(lines.next(), Some(Ok(Ok(Line::Entry(_))))), "the last line needs no end");
    assert_eq!(lines.number(), 3);
    assert!(lines.next().is_none());
}

#[test]
fn a_line_beyond_the_limit_is_not_returned_in_part() {
    let holder = Holder::new(1);
    // Truncated after the destination, the signed line would be an unsigned one.
    let input = holder.entry("a.i2p") + &holder.change("b.i2p", &[]);
    for limit in 0..=input.len() as u64 {
        let mut lines = Lines::with_limit(BufReader::with_capacity(64, input.as_bytes()), limit);
        let first = holder.entry("a.i2p").len() as u64;
        assert_eq!(
            lines.by_ref().count(),
            usize::from(limit >= first) + usize::from(limit >= input.len() as u64)
        );
        assert_eq!(lines.limit_reached(), limit < input.len() as u64);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        for line in Lines::new(input.as_slice()) {
            line.unwrap().ok();
        }
    }

    #[test]
    fn a_printed_line_is_parsed_to_the_same(
        seed in 0_u8..4,
        name in "n[a-z0-9]{1,20}(\\.n[a-z0-9]{1,9}){0,2}\\.i2p",
        properties in proptest::collection::btree_map("[A-Z]{4,9}", "[a-zA-Z0-9=/ä-]{1,9}", 0..4),
        signed in any::<bool>(),
    ) {
        let holder = Holder::new(seed);
        let pairs: Vec<_> = properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let line = if signed { holder.change(&name, &pairs) } else { holder.entry(&name) };
        let parsed = parse_line(line.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(parsed.to_string(), line.trim_end());
        prop_assert_eq!(parse_line(parsed.to_string().as_bytes()), Ok(Some(parsed)));
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let holder = Holder::new(1);
    let line = format!("\u{feff}a.i2p={}\r\n", holder.base64());
    let mut lines = Lines::new(Cursor::new(line.repeat(2)));
    let Some(Ok(Ok(Line::Entry(entry)))) = lines.next() else { panic!("the first line is valid") };
    assert_eq!(entry.host.as_str(), "a.i2p");
    assert!(matches!(lines.next(), Some(Ok(Err(_)))), "only the input begins with a mark");
    assert!(Lines::new(Cursor::new("\u{feff}")).next().is_none());
}

//! The leak guard.

use std::{net::IpAddr, sync::LazyLock};

use proptest::prelude::*;
use stream_filters::{
    Next,
    leak::{Leak, LeakGuard, LeakPatterns, Machine},
};

const ID: &str = "0123456789abcdef0123456789abcdef";

static PATTERNS: LazyLock<LeakPatterns> = LazyLock::new(patterns);

fn patterns() -> LeakPatterns {
    let addresses: Vec<IpAddr> =
        ["192.0.2.35", "2001:db8::a:1", "127.0.0.1", "::1", "0.0.0.0", "::ffff:198.51.100.7"]
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
    LeakPatterns::new(&Machine {
        addresses: &addresses,
        hardware_addresses: &[[0x52, 0x54, 0x00, 0x0a, 0xbc, 0xde]],
        host_names: &[
            "laptop",
            "tower.example.",
            "pc",
            "localhost",
            "localhost.localdomain",
            "ip6-localhost",
            "desk.home.arpa",
            "pc.lan",
            "tablet.fritz.box.",
        ],
        logins: &["marysmith", "root"],
        machine_ids: &[ID, "short"],
    })
    .unwrap()
}

/// What is found in a text that arrives in chunks of this size.
fn found_in(text: &[u8], size: usize) -> Vec<Leak> {
    let mut guard = LeakGuard::new(&PATTERNS);
    let mut leaks: Vec<Leak> = text.chunks(size).flat_map(|chunk| guard.look(chunk).0).collect();
    leaks.extend(guard.end());
    leaks
}

fn found(text: &str) -> Vec<Leak> {
    found_in(text.as_bytes(), usize::MAX)
}

#[test]
fn every_written_form_is_found() {
    for form in [
        "192.0.2.35",
        "192.000.002.035",
        "192,0,2,35",
        "192-0-2-35",
        "192_0_2_35",
        "35.2.0.192.in-addr.arpa",
        "3221226019",
        "c0000223",
        "C0000223",
        "0xc0000223",
        "0xc0.0x0.0x2.0x23",
        "::ffff:192.0.2.35",
        "::ffff:c000:223",
        "::ffff:c000:0223",
        "198.51.100.7",
        "2001:db8::a:1",
        "2001:DB8:0:0:0:0:A:1",
        "2001:0db8:0000:0000:0000:0000:000a:0001",
        "20010db80000000000000000000a0001",
        "1.0.0.0.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        // Names that providers and clouds make from an address.
        "ip-192-0-2-35.example",
        "c-192-0-2-35-pool",
        "host_192_0_2_35",
        "ip-192.0.2.35_1",
    ] {
        assert_eq!(found(form), [Leak::Address], "{form}");
        assert_eq!(found(&format!("PORT <{form}>\r\n")), [Leak::Address], "{form}");
    }
    for form in [
        "52:54:00:0a:bc:de",
        "52-54-00-0A-BC-DE",
        "5254.000a.bcde",
        "5254000abcde",
        "52:54:0:a:bc:de",
        "fe80::5054:ff:fe0a:bcde",
    ] {
        assert_eq!(found(form), [Leak::HardwareAddress], "{form}");
    }
    for (form, leak) in [
        ("EHLO laptop\r\n", Leak::HostName),
        ("laptop.local", Leak::HostName),
        ("LAPTOP", Leak::HostName),
        ("tower.example", Leak::HostName),
        ("EHLO desk", Leak::HostName),
        ("EHLO desk.lan", Leak::HostName),
        ("pc.lan", Leak::HostName),
        ("tablet", Leak::HostName),
        ("USER marysmith 0", Leak::Login),
        ("/home/marysmith/x", Leak::Login),
        (ID, Leak::MachineId),
        ("01234567-89ab-cdef-0123-456789abcdef", Leak::MachineId),
    ] {
        assert_eq!(found(form), [leak], "{form}");
    }
    assert_eq!(found("laptop marysmith laptop"), [Leak::HostName, Leak::Login]);
}

#[test]
fn what_only_looks_like_it_is_not_found() {
    for text in [
        "192.0.2.351",
        "1192.0.2.35",
        "a192.0.2.35",
        "192.0.2.3",
        "32212260190",
        "laptops",
        "my-laptop",
        "my_laptop",
        "laptop_2",
        "a-marysmith",
        "x-5254000abcde",
        "ip-192-0-2-351",
        "ip-1192-0-2-35",
        "laptop-2",
        "marysmithers",
        "\u{e9}marysmith",
        "tower pc.home tower.lan localhost.localdomain localhost4 ip6-localhost",
        "root pc localhost 127.0.0.1 ::1 0.0.0.0 short",
        "0123456789abcdef0123456789abcdef0",
        "",
    ] {
        assert_eq!(found(text), [], "{text}");
        assert_eq!(found_in(text.as_bytes(), 1), [], "{text}");
    }
}

#[test]
fn a_guard_stops_at_tls_and_after_its_bytes() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 laptop ";
    for (text, expected) in [
        (hello.to_vec(), vec![]),
        ([&b"STARTTLS\r\n"[..], hello].concat(), vec![]),
        ([&b"EHLO laptop\r\n"[..], hello].concat(), vec![Leak::HostName]),
        // The record begins right after the word.
        ([&b"laptop"[..], hello].concat(), vec![Leak::HostName]),
        (b"\x16\x03\x04\x40\x00\x01\x00\xff\xff\x03\x00 laptop ".to_vec(), vec![]),
        // Something is not as in a ClientHello: version, length or type of the record, length or version of the message.
        (b"\x16\x03\x05\x02\x00\x01\x00\x01\xfc\x03\x03 laptop ".to_vec(), vec![Leak::HostName]),
        (b"\x16\x03\x01\x41\x00\x01\x00\x01\xfc\x03\x03 laptop ".to_vec(), vec![Leak::HostName]),
        (b"\x16\x03\x01\x02\x00\x02\x00\x01\xfc\x03\x03 laptop ".to_vec(), vec![Leak::HostName]),
        (b"\x16\x03\x01\x02\x00\x01\x01\x01\xfc\x03\x03 laptop ".to_vec(), vec![Leak::HostName]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x05 laptop ".to_vec(), vec![Leak::HostName]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x02\x03 laptop ".to_vec(), vec![Leak::HostName]),
        (b"\x16\x03\x01\x02\x00\x01 laptop ".to_vec(), vec![Leak::HostName]),
        // Colours and an action of IRC.
        (b"PRIVMSG #c :\x16\x03\x02hi\x01 laptop ".to_vec(), vec![Leak::HostName]),
    ] {
        for size in [1, 7, usize::MAX] {
            assert_eq!(found_in(&text, size), expected, "{text:?}");
        }
    }
    let short = LeakPatterns::new(&Machine { host_names: &["desk"], ..Machine::default() }).unwrap();
    let mut guard = LeakGuard::new(&short);
    assert!(hello.iter().chain(b" desk ").all(|byte| guard.look(&[*byte]).0.is_empty()));
    let mut guard = LeakGuard::new(&PATTERNS);
    assert_eq!(guard.look(&[b'x'; LeakGuard::BYTES - 1]), (vec![], Next::Filter));
    assert_eq!(guard.look(b" laptop "), (vec![], Next::Release));
    assert_eq!(guard.look(b" laptop "), (vec![], Next::Release));
    assert_eq!(guard.end(), []);
    let mut guard = LeakGuard::new(&PATTERNS);
    let text = [vec![b' '; LeakGuard::BYTES - 6], b"laptop".to_vec()].concat();
    assert_eq!(guard.look(&text), (vec![Leak::HostName], Next::Release));
}

#[test]
fn what_a_guard_shows_holds_no_value() {
    let patterns = patterns();
    let mut guard = LeakGuard::new(&patterns);
    let (leaks, _) = guard.look(b"laptop ");
    let shown = format!("{patterns:?} {guard:?} {leaks:?} {}", leaks[0]);
    assert!(!shown.contains("laptop") && shown.contains("host name"), "{shown}");
    let words: std::collections::BTreeSet<_> = Leak::ALL.iter().map(|leak| leak.as_str()).collect();
    assert_eq!(words.len(), Leak::ALL.len());
}

proptest! {
    #[test]
    fn chunks_change_nothing(
        pieces in prop::collection::vec(prop::sample::select(&[
            "laptop", "marysmith", "192.0.2.35", ".example", " ", "-", "x", "5254000abcde", "1", "\r\n", "\u{16}\u{3}\u{1}ab",
            "\u{16}\u{3}\u{1}\u{2}b", "\u{1}", "\u{1}\0ab\u{3}\u{3}",
        ][..]), 0..30),
        size in 1_usize..20,
    ) {
        let text = pieces.concat();
        prop_assert_eq!(found(&text), found_in(text.as_bytes(), size));
        prop_assert_eq!(found(&text), found_in(text.as_bytes(), 1));
    }

    #[test]
    fn a_word_that_stands_alone_is_found(before in "[ .,/@=:\"]{0,40}", after in "[ .,/@=:\"]{0,40}", size in 1_usize..20) {
        for (word, leak) in [("marysmith", Leak::Login), ("192,0,2,35", Leak::Address)] {
            prop_assert_eq!(found_in(format!("{before}{word}{after}").as_bytes(), size), [leak]);
        }
    }
}

//! Classification of hosts: every spelling of the three kinds of target, and invalid ones.

use i2p_name::{Destination, HostName, I2pName, ImportRefusal, NameError, Target};
use proptest::prelude::*;

fn i2p(text: &str) -> String {
    match Target::parse(text.as_bytes()) {
        Ok(Target::I2p(name)) => name.to_string(),
        other => panic!("{text:?} is {other:?}"),
    }
}

#[test]
fn i2p_names_are_recognised_in_any_spelling() {
    assert_eq!(i2p("example.i2p"), "example.i2p");
    assert_eq!(i2p("EXAMPLE.I2P"), "example.i2p");
    assert_eq!(i2p("example.i2p."), "example.i2p");
    assert_eq!(i2p("Example.i2p.ALT"), "example.i2p");
    assert_eq!(i2p("example.i2p.alt."), "example.i2p");
    assert_eq!(i2p("www.my-site.i2p"), "www.my-site.i2p");
    assert_eq!(i2p("xn--bcher-kva.i2p"), "xn--bcher-kva.i2p");
    let b32 = format!("{}.b32.i2p", "a".repeat(52));
    assert_eq!(i2p(&b32), b32);
    assert_eq!(i2p(&b32.to_uppercase()), b32);
    let blinded = "63qw7qj2erwsulavbfi6lw2meacqya7djkhibqu3e34nchzs2hj2bs4w.b32.i2p";
    assert_eq!(i2p(blinded), blinded);
    assert_eq!(i2p(&blinded.to_uppercase()), blinded);
}

#[test]
fn base64_destinations_are_recognised() {
    let destination = Destination::from_bytes([vec![0; 384], vec![5, 0, 4, 0, 7, 0, 4]].concat()).unwrap();
    assert_eq!(i2p(&destination.to_base64()), destination.to_base64());
    let broken = destination.to_base64().replacen("AAAA", "AA A", 1);
    assert_eq!(Target::parse(broken.as_bytes()), Err(NameError::ForbiddenByte { byte: b' ', position: 2 }));
}

#[test]
fn addresses_are_recognised_or_refused_in_any_spelling() {
    for (text, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("::1", "::1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::ffff:a00:1]", "10.0.0.1"),
        ("::10.0.0.1", "10.0.0.1"),
        ("64:ff9b::10.0.0.1", "10.0.0.1"),
        ("64:FF9B::a00:1", "10.0.0.1"),
        ("[64:ff9b::10.0.0.1].", "10.0.0.1"),
        ("::ffff:0:10.0.0.1", "10.0.0.1"),
        ("0:0:0:0:0:ffff:7f00:1", "127.0.0.1"),
        ("[::].", "::"),
    ] {
        assert_eq!(Target::parse(text.as_bytes()), Ok(Target::Ip(address.parse().unwrap())), "{text}");
    }
    for text in [
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "0x7f.1",
        "127.1",
        "127.1.",
        "127.0.1",
        "0177.0.0.01",
        "0177.0.0.0x1",
        "127.0.0.0x1",
        "127.0.0.01",
        "256.1.1.1",
        "4294967296",
        "18446744073709551616",
        "127.0.0.1.1",
        "1.2.3.4.5",
        "a.1",
        "0x",
        "a.0x",
        "0",
        "00",
    ] {
        assert_eq!(Target::parse(text.as_bytes()), Err(NameError::NumericHost), "{text}");
    }
    for text in [
        "[127.0.0.1]",
        "[::1",
        "::1]",
        "[::1]:80",
        "::ffff:127.1",
        "::ffff:0x7f.0.0.1",
        "fe80::1%eth0",
        "127.0.0.1:80",
    ] {
        assert!(matches!(Target::parse(text.as_bytes()), Err(NameError::MalformedHost(_))), "{text}");
    }
    let mapped = "::ffff:127.0.0.1".parse().unwrap();
    assert_eq!(Target::from_ip(mapped), Target::Ip("127.0.0.1".parse().unwrap()));
}

#[test]
fn hosts_outside_i2p_are_recognised() {
    for text in ["example.com", "localhost", "i2p.example", "exampleXi2p", "_srv.example.com", "a.alt"] {
        assert!(matches!(Target::parse(text.as_bytes()), Ok(Target::ClearNet(_))), "{text}");
    }
}

#[test]
fn malformed_names_are_errors() {
    for text in [
        "",
        ".",
        "i2p",
        ".i2p",
        "..i2p",
        "a..i2p",
        "-a.i2p",
        "a-.i2p",
        "a--b.i2p",
        "a_b.i2p",
        "b32.i2p",
        ".b32.i2p",
        "x.b32.i2p",
        "aa.b32.i2p.x.i2p",
        "aa.b32.i2px.i2p",
        "b32.i2p.i2p",
        "a.i2p SILENT=true",
        "a.i2p\nQUIT",
        "a.i2p\0",
        "\"a\".i2p",
        "a\\.i2p",
        "a=b.i2p",
        "user@a.i2p",
        "http://a.i2p",
        "a.i2p:80",
        "a.i2p%00",
        "[::1",
        "[example.com]",
        "a.i2p..",
        "example..com",
    ] {
        assert!(Target::parse(text.as_bytes()).is_err(), "{text:?} was accepted");
    }
    let twice = format!("{}.b32.i2p.i2p", "a".repeat(52));
    assert!(Target::parse(twice.as_bytes()).is_err());
    let subdomain = format!("www.{}.b32.i2p", "a".repeat(52));
    assert!(Target::parse(subdomain.as_bytes()).is_err());
    assert_eq!(Target::parse(&[b'a'; 256]), Err(NameError::TooLong { length: 256, limit: 255 }));
    assert!(matches!(Target::parse(&[b'A'; 100_000]), Err(NameError::TooLong { .. })));
}

/// The naming document's rules for import (`addressbook/AddressBook.isValidKey` of Java I2P).
#[test]
fn reserved_and_misleading_names_cannot_be_imported() {
    for (host, allowed) in [
        ("example.i2p", Ok(())),
        ("a.i2p", Ok(())),
        ("proxy.i2p", Err(ImportRefusal::Reserved)),
        ("www.router.i2p", Err(ImportRefusal::Reserved)),
        ("Console.I2P", Err(ImportRefusal::Reserved)),
        ("mail.i2p", Err(ImportRefusal::Reserved)),
        ("proxy.example.i2p", Ok(())),
        ("myproxy.i2p", Ok(())),
    ] {
        assert_eq!(host.parse::<HostName>().unwrap().check_importable(), allowed, "{host}");
    }
    let like_base32 = format!("{}q.i2p", "a".repeat(51));
    let refused = like_base32.parse::<HostName>().unwrap().check_importable();
    assert_eq!(refused, Err(ImportRefusal::LooksLikeBase32));
    let unlike = format!("{}b.i2p", "a".repeat(51));
    assert_eq!(unlike.parse::<HostName>().unwrap().check_importable(), Ok(()));
}

#[test]
fn errors_and_debug_do_not_repeat_the_name() {
    let error = Target::parse(b"secret--name.i2p").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    for text in ["secret.i2p", "secret.com"] {
        assert!(!format!("{:?}", Target::parse(text.as_bytes()).unwrap()).contains("secret"));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Target::parse(&bytes);
    }

    /// Every accepted name can stand as one value in a SAM line.
    #[test]
    fn accepted_names_cannot_break_a_sam_line(text in "[ -~]{0,300}") {
        if let Ok(Target::I2p(name)) = Target::parse(text.as_bytes()) {
            let sam = name.to_string();
            prop_assert!(sam.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.~=".contains(&b)), "{}", sam);
            prop_assert!(!sam.trim_end_matches('=').contains('='));
        }
    }

    /// `.i2p` in any spelling is I2P or an error, and so never leaves by another route.
    #[test]
    fn i2p_is_never_clear_net(host in "[a-zA-Z0-9_.-]{0,40}", suffix in "\\.[iI]2[pP](\\.[aA][lL][tT])?\\.?") {
        let name = format!("{host}{suffix}");
        let parsed = Target::parse(name.as_bytes());
        prop_assert!(matches!(parsed, Ok(Target::I2p(_)) | Err(_)), "{:?}", parsed);
    }
}

/// Destinations are boxed, so the enum stays small.
#[test]
fn a_target_is_small() {
    assert!(size_of::<I2pName>() <= 40);
}

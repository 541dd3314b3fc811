//! International names, which clients send as UTF-8.

use i2p_name::{HostName, NameError, Target};

#[test]
fn letters_of_all_scripts_become_ascii_labels() {
    // The ASCII labels are those of the IDNA2008 test tables and of browsers.
    for (typed, canonical) in [
        ("bücher.i2p", "xn--bcher-kva.i2p"),
        ("BÜCHER.I2P", "xn--bcher-kva.i2p"),
        ("bu\u{308}cher.i2p", "xn--bcher-kva.i2p"),
        ("faß.i2p", "xn--fa-hia.i2p"),
        ("пример.i2p", "xn--e1afmkfd.i2p"),
        ("例え.i2p.alt", "xn--r8jz45g.i2p"),
        ("www.bücher.i2p.", "www.xn--bcher-kva.i2p"),
        ("a\u{3002}i2p", "a.i2p"),
        ("ａ．ｉ２ｐ", "a.i2p"),
        ("a.ⅰ2p", "a.i2p"),
        ("exam\u{ad}ple.i2p", "example.i2p"),
    ] {
        assert_eq!(typed.parse::<HostName>().unwrap().as_str(), canonical, "{typed}");
    }
    let Ok(Target::ClearNet(host)) = Target::parse("bücher.example".as_bytes()) else {
        panic!("not a clear-net host")
    };
    assert_eq!(host.as_str(), "xn--bcher-kva.example");
}

/// Names that are refused in ASCII, and names that are invalid in any script.
#[test]
fn wide_letters_do_not_bypass_the_rules() {
    for typed in [
        "-ü.i2p",
        "ü-.i2p",
        "ab--ü.i2p",
        "ü_b.i2p",
        "a\u{200b}\u{202e}b.i2p",
        "ü b.i2p",
        "xn--ü.i2p",
        "אa.i2p",
    ] {
        assert!(Target::parse(typed.as_bytes()).is_err(), "{typed:?} was accepted");
    }
    assert_eq!(Target::parse("ｂ３２．i2p".as_bytes()), Target::parse(b"b32.i2p"));
    assert!(Target::parse("ｂ３２．i2p".as_bytes()).is_err());
    assert_eq!(Target::parse("a＝b.i2p".as_bytes()), Err(NameError::International));
    assert_eq!(Target::parse("ü..i2p".as_bytes()), Err(NameError::MalformedHost("a label is empty")));
    assert_eq!(Target::parse("\u{ad}".as_bytes()), Err(NameError::Empty));
    assert_eq!(Target::parse(b"b\xfccher.i2p"), Err(NameError::NotUtf8 { position: 1 }));
    assert_eq!(
        Target::parse("ü".repeat(128).as_bytes()),
        Err(NameError::TooLong { length: 256, limit: 255 })
    );
    // One character stands for four, and for more in ASCII: short as typed, too long in canonical form.
    let long = "\u{337f}.".repeat(60);
    assert!(matches!(Target::parse(long.as_bytes()), Err(NameError::TooLong { limit: 255, .. })));
}

#[test]
fn wide_digits_are_addresses_or_errors() {
    assert_eq!(Target::parse("１２７．０．０．１".as_bytes()), Ok(Target::Ip("127.0.0.1".parse().unwrap())));
    assert_eq!(Target::parse("①②⑦.1".as_bytes()), Err(NameError::NumericHost));
    assert_eq!(Target::parse("０ｘ７ｆ".as_bytes()), Err(NameError::NumericHost));
}

//! Verification of signatures: a command is valid only if the right keys have signed it.

use crate::holder::{Holder, text};
use i2p_address_book::feed::{Command, Line, SignatureError, parse_line};
use i2p_name::{Destination, base64};

fn command(line: &str) -> Command {
    match parse_line(line.trim_end().as_bytes()) {
        Ok(Some(Line::Command(command))) => command,
        other => panic!("{other:?}"),
    }
}

/// Commands signed by OpenSSL (`tests/vectors/make.py`): for each type, a change from a destination of the type, and a removal.
const VECTORS: [(&str, &str); 5] = [
    ("dsa-sha1", include_str!("../vectors/dsa-sha1.txt")),
    ("ecdsa-sha256-p256", include_str!("../vectors/ecdsa-sha256-p256.txt")),
    ("ecdsa-sha384-p384", include_str!("../vectors/ecdsa-sha384-p384.txt")),
    ("ecdsa-sha512-p521", include_str!("../vectors/ecdsa-sha512-p521.txt")),
    ("eddsa-sha512-ed25519", include_str!("../vectors/eddsa-sha512-ed25519.txt")),
];

#[test]
fn signatures_of_every_type_by_openssl_are_valid() {
    for (name, lines) in VECTORS {
        for line in lines.lines() {
            assert!(command(line).verify().is_ok(), "{name}: {line}");
        }
    }
}

#[test]
fn a_change_of_one_character_makes_every_signature_wrong() {
    for (name, lines) in VECTORS {
        for line in lines.lines() {
            let other_date = line.replace("date=170000000", "date=170000009");
            assert_ne!(line, other_date);
            assert!(matches!(command(&other_date).verify(), Err(SignatureError::Wrong(_))), "{name}");
            // The first character of the signature, which is the last property of the removal.
            let (head, sig) = line.rsplit_once("#sig=").unwrap();
            let (first, rest) = sig.split_at(1);
            let other_sig = format!("{head}#sig={}{rest}", if first == "B" { "C" } else { "B" });
            assert_eq!(command(&other_sig).verify(), Err(SignatureError::Wrong("sig")), "{name}");
        }
    }
}

#[test]
fn the_new_signature_covers_the_old_one() {
    let (new, old, other) = (Holder::new(1), Holder::new(2), Holder::new(3));
    let line = new.change_from("a.i2p", &old, &[("action", "changedest")]);
    assert!(command(&line).verify().is_ok());
    // Without the old signature both are invalid, because the new one covers it.
    let oldsig = command(&line).property("oldsig").unwrap().to_owned();
    let without = line.replace(&format!("#oldsig={oldsig}"), "");
    assert_eq!(command(&without).verify(), Err(SignatureError::Missing("oldsig")));
    let forged = line.replace(&oldsig, &other.sign("anything"));
    assert_eq!(command(&forged).verify(), Err(SignatureError::Wrong("oldsig")));
    // Signed by the old key alone.
    let alone = text(
        new.entry("a.i2p").trim_end(),
        &[("action", "changedest"), ("olddest", &old.base64()), ("oldsig", &oldsig)],
    );
    assert_eq!(command(&alone).verify(), Err(SignatureError::Missing("sig")));
}

#[test]
fn a_signature_by_another_key_or_of_another_length_or_none_is_refused() {
    let (holder, other) = (Holder::new(1), Holder::new(2));
    let entry = holder.entry("a.i2p");
    let entry = entry.trim_end();
    assert_eq!(command(&text(entry, &[("x", "1")])).verify(), Err(SignatureError::Missing("sig")));
    let mut by_other = text(entry, &[("x", "1")]);
    by_other = text(entry, &[("x", "1"), ("sig", &other.sign(&by_other))]);
    assert_eq!(command(&by_other).verify(), Err(SignatureError::Wrong("sig")));
    for length in [1, 40, 63, 65, 132] {
        let sig = base64::encode(&vec![1; length]);
        assert_eq!(command(&text(entry, &[("sig", &sig)])).verify(), Err(SignatureError::Wrong("sig")));
    }
}

#[test]
fn reddsa_is_verified_like_ed25519_and_unknown_types_are_refused() {
    let holder = Holder::new(1);
    let with_type = |number: u8| {
        let mut bytes = holder.destination.as_bytes().to_vec();
        bytes[388] = number;
        let entry = format!("a.i2p={}", Destination::from_bytes(bytes).unwrap().to_base64());
        command(&text(&entry, &[("sig", &holder.sign(&entry))])).verify()
    };
    assert!(with_type(7).is_ok());
    assert!(with_type(11).is_ok());
    for number in [8, 9, 10, 12, 255] {
        assert_eq!(with_type(number), Err(SignatureError::UnknownType(number.into())));
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    // The neutral element as key and as commitment. Without a check, this signature is valid for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut bytes = vec![0; 352];
    bytes.extend(neutral);
    bytes.extend([5, 0, 4, 0, 7, 0, 4]);
    let entry = format!("a.i2p={}", Destination::from_bytes(bytes).unwrap().to_base64());
    let signature = base64::encode(&[neutral, [0; 32]].concat());
    assert_eq!(command(&text(&entry, &[("sig", &signature)])).verify(), Err(SignatureError::Wrong("sig")));
}

#[test]
fn invalid_keys_are_refused_without_panic() {
    for fill in [0, 1, 0xff] {
        for (number, length) in [(0, 0), (1, 64), (2, 96), (3, 132), (7, 64)] {
            let mut bytes = vec![fill; 384];
            if number == 0 {
                bytes.extend([0, 0, 0]);
            } else {
                let excess = if number == 3 { 4 } else { 0 };
                bytes.extend([5, 0, 4 + excess, 0, number, 0, 4]);
                bytes.extend(vec![fill; excess.into()]);
            }
            let entry = format!("a.i2p={}", Destination::from_bytes(bytes).unwrap().to_base64());
            for value in [0, 1, 0xff] {
                let sig = base64::encode(&vec![value; if number == 0 { 40 } else { length }]);
                assert_eq!(
                    command(&text(&entry, &[("sig", &sig)])).verify(),
                    Err(SignatureError::Wrong("sig")),
                    "type {number} of {fill}, signature of {value}"
                );
            }
        }
    }
    // A P-521 destination whose certificate lacks the rest of the key is not valid.
    let mut bytes = vec![1; 384];
    bytes.extend([5, 0, 4, 0, 3, 0, 4]);
    assert!(Destination::from_bytes(bytes).is_err());
}

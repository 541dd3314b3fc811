//! Typing errors in addresses of encrypted lease sets are detected at once, offline.

use i2p_name::{BlindedName, NameError, Target};

/// An address made by i2pd 2.45.1: Ed25519, no flags.
const ADDRESS: &str = "63qw7qj2erwsulavbfi6lw2meacqya7djkhibqu3e34nchzs2hj2bs4w";
/// RFC 4648 section 6, in lower case.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz234567";

/// Parses [`ADDRESS`] with other flags and key types in its first three bytes.
fn with_header(header: [u8; 3]) -> Result<BlindedName, NameError> {
    let mut alphabet = data_encoding::Specification::new();
    alphabet.symbols.push_str(ALPHABET);
    let base32 = alphabet.encoding().unwrap();
    let mut bytes = base32.decode(ADDRESS.as_bytes()).unwrap();
    // ADDRESS has flags 0 and the key types 7 and 11.
    for (byte, (old, new)) in bytes.iter_mut().zip([0, 7, 11].into_iter().zip(header)) {
        *byte ^= old ^ new;
    }
    base32.encode(&bytes).parse()
}

#[test]
fn one_wrong_character_is_detected() {
    let mut undetected = Vec::new();
    for position in 0..ADDRESS.len() {
        for other in ALPHABET.bytes() {
            let mut typed = ADDRESS.as_bytes().to_vec();
            typed[position] = other;
            let typed = String::from_utf8(typed).unwrap();
            if let Ok(name) = typed.parse::<BlindedName>()
                && typed != ADDRESS
            {
                undetected.push((position, name));
            }
        }
    }
    // The format cannot detect a change of the two flags, alone or together, or of the key type to the other one.
    let positions: Vec<usize> = undetected.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, [1, 1, 1, 2]);
    let original: BlindedName = ADDRESS.parse().unwrap();
    assert!(undetected.iter().all(|(_, name)| name.public_key() == original.public_key()));
}

#[test]
fn two_swapped_characters_are_detected() {
    for position in 0..ADDRESS.len() - 1 {
        let mut typed = ADDRESS.as_bytes().to_vec();
        typed.swap(position, position + 1);
        let typed = String::from_utf8(typed).unwrap();
        assert!(typed == ADDRESS || typed.parse::<BlindedName>().is_err(), "{typed}");
    }
}

#[test]
fn a_missing_or_extra_character_is_detected() {
    for length in [50, 53, 54, 55, 57, 60, 64, 200] {
        let host = format!("{}.b32.i2p", ADDRESS.repeat(4).get(..length).unwrap());
        assert_eq!(Target::parse(host.as_bytes()), Err(NameError::Base32Length(length)), "{length}");
    }
    assert_eq!("a".repeat(55).parse::<BlindedName>(), Err(NameError::Base32Length(55)));
}

#[test]
fn flags_say_what_a_client_needs() {
    for (flags, secret, client_key) in
        [(0, false, false), (2, true, false), (4, false, true), (6, true, true)]
    {
        let name = with_header([flags, 7, 11]).unwrap();
        assert_eq!((name.needs_secret(), name.needs_client_key()), (secret, client_key));
        assert_eq!(name.with_secret(false).with_client_key(false).label(), ADDRESS);
        let made = ADDRESS.parse::<BlindedName>().unwrap().with_secret(secret).with_client_key(client_key);
        assert_eq!(made, name);
    }
}

#[test]
fn errors_name_the_check_that_failed() {
    for flags in [0x01, 0x03, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff] {
        assert_eq!(with_header([flags, 7, 11]), Err(NameError::BlindedFlags { flags }));
    }
    for (public, blinded) in [(0, 11), (1, 11), (8, 11), (12, 11), (7, 7), (11, 7), (7, 0), (255, 255)] {
        assert_eq!(
            with_header([0, public, blinded]),
            Err(NameError::BlindedKeyTypes { public, blinded }),
            "{public} {blinded}"
        );
    }
    assert!(with_header([0, 11, 11]).is_ok());
    assert_eq!(ADDRESS.replace('7', "1").parse::<BlindedName>(), Err(NameError::Base32));
}

use super::*;

/// A file of 75 routers that r4sas-reseed@mail.i2p signed in April 2025, from emissary-util 0.4.
pub(in crate::reseed) const SIGNED: &[u8] = include_bytes!("../../../tests/vectors/i2pseeds.su3");

/// The middle of 2026, when the signer's certificate was valid.
pub(in crate::reseed) const THEN: Duration = Duration::from_secs(1_782_864_000);

/// The error for a file, at the time at which `SIGNED` is valid.
fn problem(bytes: &[u8]) -> Option<&'static str> {
    Su3::parse(bytes).and_then(|su3| su3.verified(THEN)).err()
}

fn changed(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = SIGNED.to_vec();
    assert_ne!(bytes[at], byte, "a change");
    bytes[at] = byte;
    bytes
}

#[test]
fn a_signed_file_gives_its_archive() {
    let archive = Su3::parse(SIGNED).unwrap().verified(THEN).unwrap();
    assert!(archive.starts_with(b"PK"));
    assert_eq!(
        archive.len(),
        SIGNED.len() - SIGNATURE_LENGTH - HEADER_LENGTH - 16 - "r4sas-reseed@mail.i2p".len()
    );
}

#[test]
fn every_prefix_is_refused() {
    for length in (0..600).chain((600..SIGNED.len()).step_by(997)).chain([SIGNED.len() - 1]) {
        assert!(problem(&SIGNED[..length]).is_some(), "{length}");
    }
}

#[test]
fn no_byte_can_change() {
    for at in (0..HEADER_LENGTH + 100).chain([SIGNED.len() - SIGNATURE_LENGTH - 1, SIGNED.len() - 1]) {
        let problem = problem(&changed(at, SIGNED[at] ^ 1));
        assert!(problem.is_some(), "byte {at}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (bytes, said) in [
        (changed(7, 1), "it is damaged"),
        (changed(9, 0), "signed in another way"),
        (changed(10, 1), "its signature has a wrong length"),
        (changed(11, 1), "its signature has a wrong length"),
        (changed(13, 15), "it is damaged"),
        (changed(15, 0), "not signed by a reseed server that this program knows"),
        (changed(16, 0xff), "it is damaged"),
        (changed(25, 1), "another purpose"),
        (changed(27, 1), "another purpose"),
        (changed(56, b'x'), "not signed by a reseed server that this program knows"),
        (changed(SIGNED.len() - 1, 0), "its signature is not"),
    ] {
        let problem = problem(&bytes).unwrap();
        assert!(problem.contains(said), "{said}: {problem}");
    }
}

#[test]
fn an_expired_signer_is_no_signer() {
    let later = THEN + Duration::from_secs(2 * 365 * 24 * 3600);
    assert!(Su3::parse(SIGNED).unwrap().verified(later).unwrap_err().contains("not signed by"));
}

#[test]
fn lengths_that_lead_nowhere_are_refused() {
    for fill in [0, 1, 0x10, 0x7f, 0xff] {
        for length in [0, 1, 39, 40, 300, 70_000] {
            let bytes = [MAGIC, &vec![fill; length]].concat();
            assert!(Su3::parse(&bytes).is_err(), "{length} times {fill}");
        }
    }
    let mut longest = SIGNED.to_vec();
    longest[16..24].fill(0xff);
    assert!(Su3::parse(&longest).is_err());
}

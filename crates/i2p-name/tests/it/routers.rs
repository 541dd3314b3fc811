//! Destinations and addresses of encrypted lease sets that routers made.

use i2p_name::{BlindedName, Destination, EncryptionType, I2pName, SignatureType};

/// Types of certificates: the first byte after the key fields.
const NULL_CERTIFICATE: u8 = 0;
const KEY_CERTIFICATE: u8 = 5;

/// The fields of each line that is not a comment.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

#[test]
fn destinations_of_each_key_type_are_parsed() {
    let mut seen = 0;
    for fields in lines(include_str!("../vectors/destinations.txt")) {
        let [signature, encryption, hash, text] = fields.try_into().unwrap();
        let destination: Destination = text.parse().unwrap();
        assert_eq!(destination.to_base64(), text);
        assert_eq!(destination.b32().label(), hash);
        let signature = SignatureType::from_number(signature.parse().unwrap());
        assert_eq!(destination.signature_type(), signature);
        assert_eq!(destination.encryption_type(), EncryptionType::from_number(encryption.parse().unwrap()));
        let certificate = match signature {
            SignatureType::DSA_SHA1 => NULL_CERTIFICATE,
            _ => KEY_CERTIFICATE,
        };
        assert_eq!(destination.as_bytes()[384], certificate);
        let key = destination.signing_public_key().unwrap();
        assert_eq!(Some(key.len()), signature.public_key_length());
        // The key ends at byte 384. The last four bytes of P-521's 132 are at the end of the certificate.
        let bytes = destination.as_bytes();
        if signature == SignatureType::ECDSA_SHA512_P521 {
            assert_eq!(key, [&bytes[256..384], &bytes[391..]].concat());
        } else {
            assert_eq!(key, &bytes[384 - key.len()..384]);
        }
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn addresses_of_encrypted_lease_sets_are_parsed() {
    let mut seen = 0;
    for fields in lines(include_str!("../vectors/blinded.txt")) {
        let [flags, label, destination] = fields.try_into().unwrap();
        let destination: Destination = destination.parse().unwrap();
        let name: BlindedName = label.parse().unwrap();
        assert_eq!(name, BlindedName::of(&destination).unwrap().with_client_key(flags == "4"));
        assert!(!name.needs_secret());
        assert_eq!(name.needs_client_key(), flags == "4");
        assert_eq!(name.signature_type(), destination.signature_type());
        assert_eq!(name.public_key().as_slice(), &*destination.signing_public_key().unwrap());
        assert_eq!(name.label(), label);
        assert_eq!(I2pName::parse(&name.to_string().to_uppercase()).unwrap(), I2pName::Blinded(name));
        seen += 1;
    }
    assert_eq!(seen, 3);
}

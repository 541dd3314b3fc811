//! Every format survives a round trip, and no spelling is accepted whose plain form is refused.

use i2p_name::{
    B32, BlindedName, Destination, EncryptionType, HostName, I2pName, NameError, SignatureType, Target,
};
use proptest::prelude::*;

/// A target as text that can be parsed again.
fn text(target: &Target) -> String {
    match target {
        Target::I2p(name) => name.to_string(),
        Target::ClearNet(host) => host.as_str().to_owned(),
        Target::Ip(address) => address.to_string(),
        _ => String::new(),
    }
}

/// Hosts close to the rules, valid and invalid.
fn hosts() -> impl Strategy<Value = String> {
    let suffix = prop_oneof![
        Just(".i2p"),
        Just(".b32.i2p"),
        Just(".i2p.i2p"),
        Just("i2p"),
        Just(".com"),
        Just(".1"),
        Just(".0x1"),
        Just("")
    ];
    ("[a-z0-9_.:=-]{0,8}|[a-q]{52}|xn--[a-z0-9-]{1,5}|[\\[\\]:.0-9a-f]{1,12}", suffix)
        .prop_map(|(host, suffix)| format!("{host}{suffix}"))
}

/// Replaces each ASCII character by its wide form, which UTS 46 maps back.
fn wide(host: &str) -> String {
    host.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect()
}

/// An IPv4 address in a spelling that resolvers of some systems understand and a policy should not have to.
fn ipv4_in_disguise() -> impl Strategy<Value = String> {
    let number = (any::<u64>(), 0..3_u8).prop_map(|(value, form)| match form {
        0 => format!("{value}"),
        1 => format!("{value:#X}"),
        _ => format!("0{value:o}"),
    });
    (proptest::collection::vec(number, 1..6), any::<bool>())
        .prop_map(|(numbers, dot)| format!("{}{}", numbers.join("."), if dot { "." } else { "" }))
}

fn destinations() -> impl Strategy<Value = Destination> {
    let keys = proptest::collection::vec(any::<u8>(), 384);
    let types = (0..14_u16, 0..7_u16, proptest::collection::vec(any::<u8>(), 0..40));
    (keys, types).prop_map(|(mut bytes, (signature, encryption, unknown))| {
        let excess = match (
            SignatureType::from_number(signature).public_key_length(),
            EncryptionType::from_number(encryption).public_key_length(),
        ) {
            (Some(length), Some(_)) => vec![1; length.saturating_sub(128)],
            (Some(length), None) => vec![1; length.saturating_sub(128) + unknown.len()],
            _ => unknown,
        };
        bytes.push(5);
        bytes.extend(u16::try_from(4 + excess.len()).unwrap().to_be_bytes());
        bytes.extend([signature.to_be_bytes(), encryption.to_be_bytes()].concat());
        bytes.extend(excess);
        Destination::from_bytes(bytes).unwrap()
    })
}

proptest! {
    #[test]
    fn destinations_round_trip(destination in destinations()) {
        let text = destination.to_base64();
        prop_assert_eq!(&text.parse::<Destination>().unwrap(), &destination);
        prop_assert_eq!(&text.trim_end_matches('=').parse::<Destination>().unwrap(), &destination);
        prop_assert_eq!(&Destination::from_bytes(destination.as_bytes().to_vec()).unwrap(), &destination);
        prop_assert_eq!(I2pName::parse(&text).unwrap().to_string(), text);
        let length = destination.signature_type().public_key_length();
        prop_assert_eq!(destination.signing_public_key().map(|key| key.len()), length);
    }

    #[test]
    fn base32_round_trips(hash: [u8; 32]) {
        let address = B32::from_hash(hash);
        prop_assert_eq!(address.label().parse::<B32>().unwrap(), address);
        prop_assert_eq!(I2pName::parse(&address.to_string()).unwrap(), I2pName::B32(address));
    }

    #[test]
    fn blinded_addresses_round_trip(key: [u8; 32], red: bool, secret: bool, client_key: bool) {
        let mut bytes = vec![0; 352];
        bytes.extend(key);
        bytes.extend([5, 0, 4, 0, if red { 11 } else { 7 }, 0, 4]);
        let destination = Destination::from_bytes(bytes).unwrap();
        let name = BlindedName::of(&destination).unwrap().with_secret(secret).with_client_key(client_key);
        prop_assert_eq!(name.label().len(), 56);
        prop_assert_eq!(name.to_string().parse::<BlindedName>().unwrap(), name);
        prop_assert_eq!(I2pName::parse(&name.to_string()).unwrap(), I2pName::Blinded(name));
    }

    /// Parsing the canonical form gives the same target.
    #[test]
    fn canonicalisation_is_idempotent(host in prop_oneof![hosts(), "\\PC{0,40}", "\\PC{1,20}\\.i2p", ipv4_in_disguise()]) {
        if let Ok(target) = Target::parse(host.as_bytes()) {
            prop_assert_eq!(Target::parse(text(&target).as_bytes()), Ok(target));
        }
    }

    /// Upper case, a trailing dot, `.alt` and wide letters give the same target or an error.
    #[test]
    fn no_spelling_of_a_refused_name_is_accepted(host in hosts()) {
        let plain = Target::parse(host.as_bytes());
        prop_assert_eq!(Target::parse(host.to_uppercase().as_bytes()).is_ok(), plain.is_ok());
        let mut disguises = vec![host.to_uppercase(), wide(&host), host.replacen('.', "\u{3002}", 1)];
        if !host.is_empty() && !host.ends_with('.') {
            disguises.push(format!("{host}."));
        }
        if host.ends_with(".i2p") {
            disguises.extend([".alt", ".ALT", ".alt."].map(|alt| format!("{host}{alt}")));
        }
        for disguise in disguises {
            if let Ok(target) = Target::parse(disguise.as_bytes()) {
                prop_assert_eq!(Ok(target), plain.clone(), "{}", disguise);
            }
        }
    }

    /// No accepted name contains a character that could end a value, a line or a quotation.
    #[test]
    fn accepted_names_are_plain(host in prop_oneof![any::<String>(), hosts(), "[\\PC\\pC]{0,20}\\.i2p"]) {
        if let Ok(target) = Target::parse(host.as_bytes()) {
            let text = text(&target);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:".contains(c);
            prop_assert!(text.chars().all(plain), "{:?}", text);
        }
    }

    /// A number is an address in its plain form, or an error.
    #[test]
    fn numbers_are_never_hosts(host in ipv4_in_disguise()) {
        match Target::parse(host.as_bytes()) {
            Ok(Target::Ip(address)) => prop_assert_eq!(address.to_string(), host.trim_end_matches('.')),
            other => prop_assert!(matches!(other, Err(NameError::NumericHost | NameError::TooLong { .. })), "{:?}", other),
        }
    }

    /// Parsing a host name gives the same text.
    #[test]
    fn host_names_round_trip(host in "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,1}\\.i2p") {
        let name: HostName = host.parse().unwrap();
        prop_assert_eq!(name.as_str(), host);
    }
}

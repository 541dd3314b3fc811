//! `?i2paddresshelper=DESTINATION`: a URL that says which destination the name of its host has.

use hyper::http::uri::PathAndQuery;
use i2p_name::{B32, I2pName};

use super::super::form::{decoded, pairs};

/// The parameter with the destination.
const PARAMETER: &str = "i2paddresshelper";

/// The address helper of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AddressHelper {
    /// The destination, its hash, or the key of an encrypted lease set.
    pub(super) destination: I2pName,
    /// The path and the query without the parameter.
    pub(super) rest: PathAndQuery,
}

/// Why an address helper is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHelper {
    /// It has two destinations, of which each reader could take another.
    Twice,
    /// It has no destination, or a malformed one.
    Malformed,
}

impl AddressHelper {
    /// Finds the address helper of a URL; `None` if it has none.
    ///
    /// # Errors
    /// [`BadHelper`] if it has one that cannot be used.
    pub(crate) fn of(path: &PathAndQuery) -> Option<Result<Self, BadHelper>> {
        let query = path.query()?;
        let mut given = pairs(query).filter(|(name, _)| is_parameter(name));
        let (_, value) = given.next()?;
        Some(match given.next() {
            Some(_) => Err(BadHelper::Twice),
            None => destination(value).map(|destination| Self { destination, rest: without(path) }),
        })
    }
}

/// The path and the query without address helpers.
pub(super) fn without(path: &PathAndQuery) -> PathAndQuery {
    let Some(query) = path.query() else { return path.clone() };
    let others: Vec<_> = query
        .split('&')
        .filter(|pair| !is_parameter(pair.split_once('=').map_or(*pair, |(name, _)| name)))
        .collect();
    let rest = match others.as_slice() {
        [] => path.path().to_owned(),
        others => format!("{}?{}", path.path(), others.join("&")),
    };
    // A part of what was valid before.
    rest.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

fn is_parameter(name: &str) -> bool {
    decoded(name).as_deref() == Some(PARAMETER)
}

fn destination(value: &str) -> Result<I2pName, BadHelper> {
    let text = decoded(value).ok_or(BadHelper::Malformed)?;
    if let Ok(b32) = text.parse::<B32>() {
        return Ok(b32.into());
    }
    match I2pName::parse(&text) {
        // Another name says nothing of the destination.
        Ok(I2pName::Host(_)) | Err(_) => Err(BadHelper::Malformed),
        Ok(destination) => Ok(destination),
    }
}

/// Whether two names lead to the same destination, as far as they tell.
pub(super) fn is_same(one: &I2pName, other: &I2pName) -> bool {
    match (one, other) {
        (I2pName::Destination(destination), other) | (other, I2pName::Destination(destination)) => {
            !matches!(other, I2pName::Host(_)) && other.allows(destination)
        }
        (one, other) => one == other,
    }
}

/// The address of a destination, as people compare it.
pub(super) fn address_of(destination: &I2pName) -> String {
    match destination {
        I2pName::Destination(destination) => destination.b32().to_string(),
        other => other.to_string(),
    }
}

/// The path of a URL is never made into anything else: without the parameter it is what it was, and a second look finds none.
///
/// # Panics
/// If the property does not hold.
#[cfg(feature = "fuzzing")]
pub fn check_address_helper(input: &[u8]) {
    let Ok(path) = PathAndQuery::try_from(input) else { return };
    let rest = without(&path);
    assert_eq!(rest.path(), path.path());
    assert_eq!(AddressHelper::of(&rest), None, "one is left");
    match AddressHelper::of(&path) {
        // A path that is left out is "/".
        None => assert_eq!(rest.to_string(), path.to_string(), "something else was removed"),
        Some(Err(_)) => {}
        Some(Ok(helper)) => {
            assert_eq!(helper.rest, rest);
            assert!(!matches!(helper.destination, I2pName::Host(_)));
            assert!(is_same(&helper.destination, &helper.destination));
            let again =
                format!("/?{PARAMETER}={}", super::super::form::encoded(&helper.destination.to_string()));
            let again = again.parse().ok().as_ref().and_then(AddressHelper::of);
            assert_eq!(again.and_then(Result::ok).map(|again| again.destination), Some(helper.destination));
        }
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::Destination;

    use super::*;

    fn full() -> Destination {
        // `~` and `-` are in its base64.
        Destination::from_bytes([&[0xfb; 192][..], &[0xff; 192], &[5, 0, 4, 0, 7, 0, 4]].concat()).unwrap()
    }

    fn helper(path: &str) -> Option<Result<AddressHelper, BadHelper>> {
        AddressHelper::of(&path.parse().unwrap())
    }

    #[test]
    fn a_helper_is_found_among_other_parameters_and_taken_out() {
        let full = full();
        let (base64, b32) = (full.to_base64(), full.b32());
        let bare = base64.trim_end_matches('=');
        let escaped = base64.replace('~', "%7e").replace('=', "%3D").replace('A', "%41");
        let b33 = i2p_name::BlindedName::of(&full).unwrap();
        let (full, hash) = (I2pName::from(full.clone()), I2pName::from(b32));
        for (path, destination, rest) in [
            (format!("/?i2paddresshelper={base64}"), &full, "/"),
            (format!("/a/b?i2paddresshelper={bare}"), &full, "/a/b"),
            (format!("/?a=b&i2paddresshelper={base64}&c"), &full, "/?a=b&c"),
            (format!("/?i2paddresshelper={escaped}&a=%20"), &full, "/?a=%20"),
            (format!("/?%692paddresshelper={base64}&"), &full, "/?"),
            (format!("/?i2paddresshelper={b32}"), &hash, "/"),
            (format!("/?i2paddresshelper={}", b32.label().to_uppercase()), &hash, "/"),
            (format!("/?i2paddresshelper={b33}"), &I2pName::Blinded(b33), "/"),
        ] {
            let found = helper(&path).unwrap().unwrap();
            assert!(found.destination == *destination, "{path}");
            assert_eq!(found.rest, rest, "{path}");
        }
    }

    #[test]
    fn other_parameters_are_none_and_two_helpers_are_refused() {
        for path in ["/", "/?", "/?a=i2paddresshelper", "/?xi2paddresshelper=a", "/i2paddresshelper=a"] {
            assert_eq!(helper(path), None, "{path}");
        }
        let b32 = full().b32();
        for path in [
            format!("/?i2paddresshelper={b32}&i2paddresshelper={b32}"),
            format!("/?i2paddresshelper={b32}&a&i2paddress%68elper"),
        ] {
            assert_eq!(helper(&path), Some(Err(BadHelper::Twice)), "{path}");
            assert_eq!(helper(without(&path.parse().unwrap()).as_str()), None, "{path}");
        }
        for value in ["", "a.i2p", "example.com", "127.0.0.1", "%", "%ff", "aaaa.b32.i2p", &"A".repeat(515)] {
            let path = format!("/?i2paddresshelper={value}");
            assert_eq!(helper(&path), Some(Err(BadHelper::Malformed)), "{path}");
        }
    }

    #[test]
    fn a_destination_is_recognized_by_its_hash_and_by_its_key() {
        let full = full();
        let hash = I2pName::from(full.b32());
        let key = I2pName::Blinded(i2p_name::BlindedName::of(&full).unwrap());
        let full = I2pName::from(full);
        assert!(
            is_same(&full, &full) && is_same(&full, &hash) && is_same(&hash, &full) && is_same(&key, &full)
        );
        let other = I2pName::from(B32::from_hash([1; 32]));
        assert!(!is_same(&full, &other) && !is_same(&hash, &other) && !is_same(&key, &hash));
        assert!(!is_same(&full, &I2pName::parse("a.i2p").unwrap()));
    }
}

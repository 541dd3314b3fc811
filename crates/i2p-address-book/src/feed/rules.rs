//! What may be imported: the naming document, "Host Name Rules". They bind import and not lookup.

use i2p_name::{Destination, HostName};

use super::LineError;

/// Names that routers keep for themselves, with everything below them.
const RESERVED: [&str; 4] = ["proxy.i2p", "router.i2p", "console.i2p", "mail.i2p"];
/// Characters of a base32 address.
const BASE32: usize = 52;
/// Characters of a destination in base64.
const DESTINATION: core::ops::RangeInclusive<usize> = 516..=616;

/// A name that may be imported.
pub(super) fn host(text: &str) -> Result<HostName, LineError> {
    let lower = text.to_ascii_lowercase();
    let host: HostName = lower.parse().map_err(LineError::Name)?;
    // What a person may type, a trailing dot or .i2p.alt, would make two names of one in a feed.
    if host.as_str() != lower {
        return Err(LineError::Host("it is not written as address books write it"));
    }
    let below = |name: &str, parent: &str| {
        name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if RESERVED.iter().any(|reserved| below(&lower, reserved)) {
        return Err(LineError::Host("it is reserved for routers"));
    }
    let label = lower.strip_suffix(".i2p").unwrap_or(&lower);
    let base32 = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
    if label.len() == BASE32 && label.chars().all(base32) && label.ends_with(['a', 'q']) {
        return Err(LineError::Host("it looks like a base32 address"));
    }
    Ok(host)
}

/// A destination that may be imported: no longer than today's are, so that an entry has a size.
pub(super) fn destination(text: &str) -> Result<Destination, LineError> {
    if !DESTINATION.contains(&text.len()) {
        return Err(LineError::DestinationLength(text.len()));
    }
    text.parse().map_err(LineError::Destination)
}

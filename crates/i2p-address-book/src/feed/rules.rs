//! The rules for names and destinations that an address book may import (naming document, "Host Name Rules"). They hold for
//! import and not for lookup.

use i2p_name::{Destination, HostName};

use super::error::LineError;

/// The lengths that a destination in base64 may have, in characters.
const DESTINATION_LENGTHS: core::ops::RangeInclusive<usize> = 516..=616;

/// Parses a name that may be imported.
pub(super) fn host(text: &str) -> Result<HostName, LineError> {
    let lower = text.to_ascii_lowercase();
    let host: HostName = lower.parse().map_err(LineError::Name)?;
    // With a dot at the end or .i2p.alt, which a user may type, one name would have two spellings in a feed.
    if host.as_str() != lower {
        return Err(LineError::NotCanonical);
    }
    host.check_importable().map_err(LineError::NotImportable)?;
    Ok(host)
}

/// Parses a destination that may be imported. Its length is limited to that of today's key types, so that an entry has a known
/// size.
pub(super) fn destination(text: &str) -> Result<Destination, LineError> {
    if !DESTINATION_LENGTHS.contains(&text.len()) {
        return Err(LineError::DestinationLength(text.len()));
    }
    text.parse().map_err(LineError::Destination)
}

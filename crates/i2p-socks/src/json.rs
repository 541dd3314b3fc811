//! JSON as people and programs read it.
//! Imports nothing of this crate.

use serde::Serialize;

/// Indented, with a line feed at the end.
pub(crate) fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

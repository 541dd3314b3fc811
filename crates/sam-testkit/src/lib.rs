#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bridge;
mod dial;
mod script;

pub use bridge::TestBridge;
pub use script::Act;

/// A well-formed destination of an Ed25519 key certificate, in base64: what the healthy bridge answers lookups
/// with.
#[must_use]
pub fn destination() -> String {
    // 384 zero bytes and the certificate 05 0004 0007 0004.
    format!("{}{}", "A".repeat(512), "BQAEAAcABA==")
}

/// A private key that starts with [`destination`]: what the healthy bridge answers SESSION CREATE with.
#[must_use]
pub fn private_key() -> String {
    // The 391 bytes of the destination, then 289 of keys: 680 bytes without padding in between.
    format!("{}{}{}", "A".repeat(512), "BQAEAAcABA", "A".repeat(386))
}

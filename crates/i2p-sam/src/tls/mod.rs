//! TLS to a bridge: whom to trust, and the stream.

mod address;
mod failure;
mod fingerprint;
mod stream;
mod verifier;

pub(crate) use self::failure::TlsFailure;
pub use self::{
    address::{TlsAddress, Trust},
    fingerprint::{CertificateFileError, Fingerprint},
    stream::TlsStream,
};

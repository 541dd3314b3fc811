//! Why TLS to a bridge failed.

use std::{fmt, io, sync::Arc};

use tokio_rustls::rustls::{CertificateError, Error, OtherError};

use super::Fingerprint;

/// Why a TLS handshake failed. It is the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFailure {
    /// The certificate is not trusted, for this reason.
    #[error("its certificate is not trusted: {0}")]
    Certificate(String),
    /// The program at the address does not speak TLS.
    #[error("it does not speak TLS")]
    NoTls,
    /// The program at the address closed the connection during the handshake.
    #[error("it closed the connection during the TLS handshake")]
    Closed,
}

impl TlsFailure {
    /// The failure that is the source of this error.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Names the cause of a failed handshake, where it is one of these.
    pub(super) fn explain(error: io::Error) -> io::Error {
        let failure = match error.get_ref().and_then(|source| source.downcast_ref()) {
            Some(Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => {
                Self::Certificate(why.to_string())
            }
            Some(Error::InvalidCertificate(why)) => Self::Certificate(why.to_string()),
            Some(Error::InvalidMessage(_)) => Self::NoTls,
            Some(_) => return error,
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Closed,
                _ => return error,
            },
        };
        io::Error::other(failure)
    }
}

/// Why a certificate is not trusted.
#[derive(Debug)]
pub(super) enum Untrusted {
    /// It is none of those that are pinned.
    NotPinned { found: Fingerprint, pinned: Vec<Fingerprint> },
    /// The authorities of the system do not vouch for it.
    Unknown { found: Fingerprint, why: Error },
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPinned { found, pinned } => match pinned.as_slice() {
                [expected] => write!(f, "its fingerprint is {found}; expected {expected}"),
                _ => write!(
                    f,
                    "its fingerprint is {found}, which is none of the {} expected ones",
                    pinned.len()
                ),
            },
            Self::Unknown { found, why: Error::InvalidCertificate(why) } => {
                write!(f, "{why}; its fingerprint is {found}")
            }
            Self::Unknown { found, why } => write!(f, "{why}; its fingerprint is {found}"),
        }
    }
}

impl std::error::Error for Untrusted {}

impl From<Untrusted> for Error {
    fn from(untrusted: Untrusted) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(untrusted))))
    }
}

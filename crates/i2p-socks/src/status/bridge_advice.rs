//! What to do about a SAM bridge that does not answer or that refuses.

use std::io::ErrorKind;

use i2p_sam::{BridgeAddress, Error, ResultWord};

/// What to do about a bridge that does not answer or that refuses, as a sentence without its end.
pub(crate) fn advice(error: &Error) -> &'static str {
    match error {
        Error::Refused { result: ResultWord::NoVersion, .. } => {
            "Update the router: its SAM bridge is too old"
        }
        Error::Refused { .. } => {
            "Set user and password-file under [router] to a user name and a password that the SAM bridge accepts"
        }
        Error::Unreachable { address: BridgeAddress::Tcp(_) | BridgeAddress::Tls(_), .. } => {
            "Start i2pd, or Java I2P with its SAM bridge enabled, or name the address of the bridge with --sam HOST:PORT"
        }
        Error::Unreachable { source, .. } => match source.kind() {
            ErrorKind::PermissionDenied => {
                "Give the user of i2p-socks write permission for the socket and search permission for its directories, for \
                 example through a group"
            }
            ErrorKind::InvalidInput => "Name the socket of the SAM bridge with --sam unix:/PATH",
            _ => {
                "Start the router, and the program that forwards this socket to its SAM bridge, or name another address with \
                 --sam unix:/PATH or --sam HOST:PORT"
            }
        },
        Error::ExpectsTls { .. } => {
            "If this is the router's SAM bridge with TLS, write its address as tls:HOST:PORT, under [router] or with --sam"
        }
        Error::NoTls { .. } => {
            "If this is the router's SAM bridge without TLS, write its address as HOST:PORT, under [router] or with --sam"
        }
        Error::Certificate { .. } => {
            "If the fingerprint is that of the router's certificate, pin it with sam-certificate under [router], as sha256:HEX or as \
             a file. Look it up on the router's own machine: if it differs, another program answers in place of the router"
        }
        Error::ClosedAtHello { address: BridgeAddress::Tls(_) } => {
            "The proxy speaks TLS there, and the SAM bridge may not: then write its address as HOST:PORT, under [router] or with --sam. \
             If it does, the router may be stopping or starting: try again once it runs"
        }
        Error::ClosedAtHello { address: BridgeAddress::Tcp(_) } => {
            "The SAM bridge may speak TLS, and the proxy does not there: then write its address as tls:HOST:PORT, under [router] or with \
             --sam. If it does not, the router may be stopping or starting: try again once it runs"
        }
        Error::ClosedAtHello { .. } | Error::Closed { .. } => {
            "The router may be stopping or starting: try again once it runs"
        }
        Error::Timeout { .. } => {
            "Check that the router's SAM bridge is at this address and not overloaded. A SAM bridge with TLS has the address \
             tls:HOST:PORT, and one without has HOST:PORT"
        }
        _ => "Name the address of the router's SAM bridge with --sam HOST:PORT or --sam unix:/PATH",
    }
}

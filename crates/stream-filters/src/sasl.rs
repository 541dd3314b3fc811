//! What SASL (RFC 4422) says of a client, in the protocols that have it.

use alloc::vec::Vec;

use crate::{Output, Subject};

/// Mechanisms in which a client says no more than the name that the person chose, and proves that it knows a password, token or key.
const KNOWN: [&str; 8] = [
    "PLAIN",
    "LOGIN",
    "EXTERNAL",
    "CRAM-MD5",
    "DIGEST-MD5",
    "OAUTHBEARER",
    "XOAUTH2",
    "ECDSA-NIST256P-CHALLENGE",
];
/// How the names of a family of such mechanisms begin (RFC 5802).
const SCRAM: &[u8] = b"SCRAM-";
/// The longest name of a mechanism (RFC 4422 section 3.1).
const MAX_NAME_BYTES: usize = 20;

/// Whether a mechanism passes. Others, such as those of Windows and Kerberos, can name the machine and its domain.
pub(crate) fn is_known(mechanism: &[u8]) -> bool {
    let is_named = KNOWN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(mechanism));
    let is_scram = mechanism.get(..SCRAM.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCRAM));
    let is_name = mechanism.len() <= MAX_NAME_BYTES
        && mechanism.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    is_named || (is_scram && is_name)
}

/// What the server's list of mechanisms becomes, with the mark before it: nothing if none is left.
pub(crate) fn known_of(list: &[u8], output: &mut Output) -> Vec<u8> {
    let words = list.split(|byte| matches!(byte, b' ' | b'=')).filter(|word| !word.is_empty());
    let (known, others): (Vec<&[u8]>, Vec<&[u8]>) = words.partition(|mechanism| is_known(mechanism));
    others.iter().for_each(|_| output.removed(Subject::LoginMechanism));
    match list.first().filter(|_| !known.is_empty()) {
        Some(mark) => [&[*mark], known.join(&b' ').as_slice()].concat(),
        None => Vec::new(),
    }
}

/// Whether a line can be data of a mechanism: base64, or the words for "nothing" and "stop".
pub(crate) fn is_data(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=*-_".contains(byte))
}

/// What a client says to begin: a mechanism and, with some, its first data. `None` if the mechanism is refused; the caller then sends a
/// command that the server refuses.
pub(crate) fn begin(words: &[u8], output: &mut Output) -> Option<Vec<u8>> {
    let mut words = words.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let (mechanism, data) = (words.next().unwrap_or_default(), words.next());
    if !is_known(mechanism) || words.next().is_some() {
        output.removed(Subject::LoginMechanism);
        return None;
    }
    Some(match data {
        None => mechanism.to_vec(),
        Some(data) if is_data(data) => [mechanism, b" ", data].concat(),
        Some(_) => {
            output.removed(Subject::Malformed);
            [mechanism, b" *"].concat()
        }
    })
}

/// What a line with data of a mechanism becomes. An asterisk stops it.
pub(crate) fn data<'a>(line: &'a [u8], output: &mut Output) -> &'a [u8] {
    if is_data(line) {
        return line;
    }
    output.removed(Subject::Malformed);
    b"*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_mechanisms_pass() {
        for mechanism in [
            "PLAIN",
            "login",
            "External",
            "CRAM-MD5",
            "DIGEST-MD5",
            "OAUTHBEARER",
            "XOAUTH2",
            "ECDSA-NIST256P-CHALLENGE",
            "SCRAM-SHA-1",
            "scram-sha-256-plus",
            "SCRAM-SHA3-512-PLUS",
        ] {
            assert!(is_known(mechanism.as_bytes()), "{mechanism}");
        }
        for mechanism in [
            "",
            "NTLM",
            "gs2-krb5-plus",
            "GS2-KRB5-PLUS",
            "GSSAPI",
            "GSS-SPNEGO",
            "KERBEROS_V4",
            "ANONYMOUS",
            "PLAIN-PLUS",
            "XFOO",
            "SCRAM",
            "SCRAM-laptop.example",
            "SCRAM-OF-A-LONG-LAPTOP",
        ] {
            assert!(!is_known(mechanism.as_bytes()), "{mechanism}");
        }
    }
}

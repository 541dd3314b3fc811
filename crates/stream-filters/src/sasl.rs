//! What SASL (RFC 4422) says of a client, in the protocols that have it.

use alloc::vec::Vec;

use crate::{Output, Subject};

/// Mechanisms in which a client names its machine, its domain, or the account on it.
const REFUSED: [&str; 8] =
    ["NTLM", "GSSAPI", "GSS-SPNEGO", "GS2-KRB5", "KERBEROS_V4", "KERBEROS_V5", "SPNEGO", "ANONYMOUS"];

/// Whether a mechanism says more than the name and the password that the person chose.
pub(crate) fn is_refused(mechanism: &[u8]) -> bool {
    let mechanism = mechanism.strip_suffix(b"-PLUS").unwrap_or(mechanism);
    REFUSED.iter().any(|refused| refused.as_bytes().eq_ignore_ascii_case(mechanism))
}

/// Whether a line can be data of a mechanism: base64, or the words for "nothing" and "stop".
pub(crate) fn is_data(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=*-_".contains(byte))
}

/// What a client says to begin: a mechanism and, with some, its first data. `None` if it must not; the caller has the server refuse it.
pub(crate) fn begin(words: &[u8], output: &mut Output) -> Option<Vec<u8>> {
    let mut words = words.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let (mechanism, data) = (words.next().unwrap_or_default(), words.next());
    let is_word = !mechanism.is_empty() && is_data(mechanism);
    if is_refused(mechanism) || words.next().is_some() || !is_word {
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

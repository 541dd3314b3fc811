//! What SASL (RFC 4422) says of a client, in the protocols that have it.

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

//! Answers to CONNECT. None of them repeats what the client asked for.

use super::Refusal;
use crate::failure::Failure;

/// The target is connected: what follows is its data (RFC 9110 section 9.3.6).
pub(super) const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The stream was not opened: the status of the failure table, and a hint for the client.
pub(super) fn failed(failure: Failure) -> String {
    let row = failure.row();
    let text = format!("i2p-socks: {}.\n{}\n", row.log, failure.client_hint());
    // Many programs show nothing but the reason.
    with_reason((row.http, failure.title()), "", "text/plain", &text)
}

/// The credentials are refused (RFC 9110 section 15.5.8, RFC 6585 section 4).
pub(super) fn unauthorized(refusal: Refusal) -> String {
    let (what, hint) = refusal.explanation();
    let (status, fields) = match refusal {
        Refusal::Missing | Refusal::Wrong => {
            (407, "Proxy-Authenticate: Basic realm=\"i2p-socks\", charset=\"UTF-8\"\r\n")
        }
        Refusal::Unchecked => (429, "Retry-After: 1\r\n"),
    };
    let text = format!("i2p-socks: {what}.\n{hint}\n");
    with_reason((status, refusal.title()), fields, "text/plain", &text)
}

/// The head is malformed.
pub(super) fn malformed() -> String {
    plain(400, "", "i2p-socks: the request is malformed. Expected CONNECT HOST:PORT HTTP/1.1.\n")
}

/// The method is CONNECT, but not in capital letters: an unknown method (RFC 9110 section 15.6.2).
pub(super) fn method_in_lower_case() -> String {
    plain(
        501,
        "",
        "i2p-socks: the method of the request is unknown, because methods are case-sensitive.\nSend CONNECT in capital \
         letters.\n",
    )
}

/// The head of a response, which is the answer to HEAD (RFC 9110 section 9.3.2).
pub(super) fn without_content(mut response: String) -> String {
    if let Some(head) = response.find("\r\n\r\n") {
        response.truncate(head + 4);
    }
    response
}

/// The head is too long.
pub(super) fn too_long() -> String {
    plain(431, "", "i2p-socks: the head of the request is longer than 8 KiB, or has more than 64 fields.\n")
}

fn plain(status: u16, fields: &str, text: &str) -> String {
    response(status, fields, "text/plain", text)
}

/// Encodes a response that ends the connection.
pub(super) fn response(status: u16, fields: &str, kind: &str, body: &str) -> String {
    with_reason((status, reason(status)), fields, kind, body)
}

fn with_reason((status, reason): (u16, &str), fields: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} {reason}\r\n\
         {fields}\
         Content-Type: {kind}; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Cache-Control: no-store\r\n\
         Connection: close\r\n\
         \r\n\
         {body}",
        body.len()
    )
}

/// The reason phrase (RFC 9110 section 15).
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_status_with_a_reason_and_a_hint() {
        for failure in Failure::ALL {
            let answer = failed(failure);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let row = failure.row();
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", row.http)), "{head}");
            assert!(head.contains(&format!(" {}\r\n", failure.title())) && head.is_ascii(), "{head}");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert!(body.contains(row.log) && body.contains(failure.client_hint()), "{body}");
        }
    }
}

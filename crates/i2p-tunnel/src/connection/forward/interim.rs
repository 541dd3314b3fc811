use std::sync::Arc;

use hyper::{
    Request, StatusCode, Version,
    header::{self, HeaderMap},
};
use tokio_util::sync::CancellationToken;

use super::{super::site::RequestBody, fields, shared::Shared};
use crate::client::HeaderPolicy;

/// Passes the interim answers (1xx) of a site on: `100 Continue` ends the wait for `wanted`, others go to the client in front of the
/// answer. Clients of HTTP/1.0 know none (RFC 9110 section 15.2).
pub(super) fn pass_on_interim_answers(
    request: &mut Request<RequestBody>,
    of_client: Version,
    policy: HeaderPolicy,
    shared: &Arc<Shared>,
) -> CancellationToken {
    let wanted = CancellationToken::new();
    let (told, shared) = (wanted.clone(), Arc::clone(shared));
    let is_told = of_client == Version::HTTP_11;
    hyper::ext::on_informational(request, move |answer| match answer.status() {
        // hyper tells the client once it is asked for the body.
        StatusCode::CONTINUE => told.cancel(),
        StatusCode::SWITCHING_PROTOCOLS => {}
        status if is_told => shared.add_interim(&text(status, answer.headers(), policy)),
        _ => {}
    });
    wanted
}

/// An interim answer as it is sent to the client. It has no body.
fn text(status: StatusCode, fields: &HeaderMap, policy: HeaderPolicy) -> Vec<u8> {
    let mut fields = fields.clone();
    fields::for_client(&mut fields, policy);
    // They would say where a body ends.
    fields.remove(header::CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &fields {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn an_interim_answer_has_no_body_and_nothing_that_ends_here() {
        let fields = [
            (header::LINK, "</a>; rel=preload"),
            (header::CONTENT_LENGTH, "5"),
            (header::TRANSFER_ENCODING, "chunked"),
            (header::CONNECTION, "x"),
            (header::ALT_SVC, "h2=\"x\""),
        ];
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let text = text(StatusCode::EARLY_HINTS, &HeaderMap::from_iter(fields), HeaderPolicy::Filtered);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"
        );
    }
}

//! Fields of requests and answers: those that end at the proxy, and those that pass.

use anyhow::{Result, ensure};

use super::{Row, row};
use crate::{
    conversation::Conversation,
    wire::{field, fields, shown},
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("a field that Connection names does not pass", "RFC 9110 §7.6.1", |talk| {
        let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: X-Private, close\r\nX-Private: secret\r\nX-Open: 1\r\n\r\n";
        let head = talk.head_at_site(request)?;
        ensure!(
            !head.contains("secret") && !head.contains("X-Private"),
            "the site gets {:?}",
            after_line(&head)
        );
        ensure!(head.contains("X-Open: 1\r\n"), "others do not pass either");
        Ok(())
    }),
    row("Keep-Alive, Proxy-Connection and the TE of the client do not pass", "RFC 9110 §7.6.1", |talk| {
        let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nKeep-Alive: timeout=7\r\nProxy-Connection: keep-alive\r\n\
                       TE: gzip\r\n\r\n";
        let head = talk.head_at_site(request)?;
        for name in ["Keep-Alive", "Proxy-Connection"] {
            ensure!(fields(&head, name).is_empty(), "{name} passes");
        }
        ensure!(!head.contains("gzip"), "TE passes");
        Ok(())
    }),
    row("the password for the proxy does not pass", "RFC 9110 §11.7.2: for the proxy", |talk| {
        let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic YTpi\r\n\r\n";
        let head = talk.head_at_site(request)?;
        ensure!(!head.contains("YTpi"), "it passes");
        Ok(())
    }),
    row("Connection cannot remove Host", "a site that gets no host guesses one", |talk| {
        let expected = talk.filled("{host}")?;
        let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: host\r\n\r\n";
        talk.expect_refusal_or(request, |got| {
            ensure!(fields(got, "Host") == [expected.as_str()], "the site gets {:?}", fields(got, "Host"));
            Ok(())
        })
    }),
    row(
        "Connection cannot remove the length of a body",
        "the body would become a request of its own",
        |talk| {
            let request = "POST {url}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nConnection: Content-Length\r\n\r\nhello";
            talk.expect_refusal_or(request, |got| {
                ensure!(got.ends_with("hello"), "the body does not arrive");
                ensure!(has_body_framing(got), "the length is gone, and the body arrives");
                Ok(())
            })
        },
    ),
    row("unknown fields pass, and several of one name stay in order", "RFC 9110 §5.1 and §5.3", |talk| {
        let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nX-Own: 1\r\nX-Other: 2\r\nX-Own: 3\r\n\r\n";
        let head = talk.head_at_site(request)?;
        let own = fields(&head, "X-Own").join(", ").replace(", ", ",");
        ensure!(own == "1,3" && field(&head, "X-Other") == Some("2"), "the site gets {own:?}");
        Ok(())
    }),
    row("bytes over 127 in a value pass", "RFC 9110 §5.5: opaque data", |talk| {
        let head = talk.head_at_site("GET {url}/ HTTP/1.1\r\nHost: {host}\r\nX-Own: \u{e9}\u{ff}\r\n\r\n")?;
        ensure!(field(&head, "X-Own") == Some("\u{e9}\u{ff}"), "the site gets {:?}", field(&head, "X-Own"));
        Ok(())
    }),
    row("an empty value, and one without a space before it, pass", "RFC 9112 §5", |talk| {
        let head =
            talk.head_at_site("GET {url}/ HTTP/1.1\r\nHost:{host}\r\nX-Own:\r\nX-Other:a\t \r\n\r\n")?;
        ensure!(field(&head, "X-Own") == Some(""), "the empty one does not");
        ensure!(field(&head, "X-Other") == Some("a"), "the other one does not");
        Ok(())
    }),
    row("a field of 8000 characters passes", "cookies are long", |talk| {
        let value = "v".repeat(8000);
        let head = talk
            .head_at_site(&format!("GET {{url}}/ HTTP/1.1\r\nHost: {{host}}\r\nCookie: {value}\r\n\r\n"))?;
        ensure!(field(&head, "Cookie") == Some(&value), "it does not");
        Ok(())
    }),
    row("100 fields pass", "browsers with extensions, APIs", |talk| {
        let many: String = (0..100).map(|number| format!("X-{number}: {number}\r\n")).collect();
        let head = talk.head_at_site(&format!("GET {{url}}/ HTTP/1.1\r\nHost: {{host}}\r\n{many}\r\n"))?;
        ensure!(
            (0..100).all(|number| head.contains(&format!("X-{number}: {number}\r\n"))),
            "some are missing"
        );
        Ok(())
    }),
    row("Range, If-None-Match and Cookie pass", "RFC 9110 §14.2, §13.1.2", |talk| {
        let given = "Range: bytes=1-2\r\nIf-None-Match: \"a\"\r\nCookie: a=b; c=d\r\n";
        let head = talk.head_at_site(&format!("GET {{url}}/ HTTP/1.1\r\nHost: {{host}}\r\n{given}\r\n"))?;
        ensure!(
            given.split_inclusive('\n').all(|line| head.contains(line)),
            "the site gets {:?}",
            after_line(&head)
        );
        Ok(())
    }),
    row(
        "nothing tells the site about the proxy or the client's address",
        "anonymity; RFC 9110 §7.6.3 would have Via",
        |talk| {
            let head = talk.head_at_site("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
            for name in ["Via", "Forwarded", "X-Forwarded-For", "X-Real-IP", "Proxy-Connection"] {
                ensure!(fields(&head, name).is_empty(), "{name} does");
            }
            Ok(())
        },
    ),
    row(
        "what names the client, and what its network has added, does not reach the site",
        "anonymity",
        |talk| {
            let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8.14.1\r\nFrom: anna@example.org\r\n\
                       X-Forwarded-For: 192.0.2.7\r\nVia: 1.1 office\r\nAccept-Language: de\r\n\
                       Referer: http://other.example/secret\r\n\r\n";
            let head = talk.head_at_site(request)?;
            for secret in ["curl", "anna", "192.0.2.7", "office", "Accept-Language: de", "other.example"] {
                ensure!(!head.contains(secret), "{secret} does");
            }
            Ok(())
        },
    ),
    row("a field that Connection names in an answer does not pass", "RFC 9110 §7.6.1", |talk| {
        let answer = "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: secret\r\nKeep-Alive: timeout=7\r\nX-Open: 1\r\n\
                      Content-Length: 2\r\n\r\nok";
        let (_, answer) = exchange(talk, answer)?;
        ensure!(!answer.contains("secret"), "it passes");
        ensure!(!answer.contains("timeout=7"), "Keep-Alive passes");
        ensure!(field(&answer, "X-Open") == Some("1"), "others do not pass either");
        Ok(())
    }),
    row(
        "a site cannot ask for the password of the proxy",
        "RFC 9110 §15.5.8: 407 comes from the proxy",
        |talk| {
            let answer =
                "HTTP/1.1 407 Give\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nok";
            let (_, answer) = exchange(talk, answer)?;
            ensure!(!answer.to_ascii_lowercase().contains("proxy-authenticate"), "it can");
            Ok(())
        },
    ),
    row("cookies, types, places and codings of an answer pass", "RFC 9110 §7.7; RFC 6265", |talk| {
        let given = "Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d; Path=/\r\nContent-Type: text/x-own\r\n\
                     Location: http://other.example/%41\r\nContent-Encoding: x-own\r\nETag: \"e\"\r\n";
        let (_, answer) =
            exchange(talk, &format!("HTTP/1.1 201 Made\r\n{given}Content-Length: 2\r\n\r\nok"))?;
        for line in given.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap_or_default();
            ensure!(fields(&answer, name).contains(&value), "{name} is {:?}", fields(&answer, name));
        }
        Ok(())
    }),
];

/// Whether a request says that it has a body.
fn has_body_framing(request: &str) -> bool {
    !fields(request, "Content-Length").is_empty() || !fields(request, "Transfer-Encoding").is_empty()
}

fn after_line(head: &str) -> String {
    shown(head.split_once("\r\n").unwrap_or_default().1)
}

/// What the site and the client get if the site answers like this: both are heads.
fn exchange(talk: &mut Conversation<'_>, answer: &str) -> Result<(String, String)> {
    let (head, answer) = talk.exchange("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n", answer)?;
    Ok((head, answer.head))
}

//! Heads of requests that are malformed, and those without an end.

use anyhow::{Context, Result, bail, ensure};

use super::{Row, row};
use crate::{conversation::Conversation, wire::shown};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("whitespace between a name and its colon: refused", "RFC 9112 §5.1: must be 400", |talk| {
        expect_refusals(talk, &["X-Own : a\r\n", "X-Own\t: a\r\n", "Content-Length : 5\r\n"])
    }),
    row("a folded line: refused, or put on one line", "RFC 9112 §5.2: must be", |talk| {
        for folded in ["X-Own: a\r\n b\r\n", "X-Own:\r\n\ta\r\n"] {
            talk.expect_refusal_or(&request(folded), |got| {
                ensure!(!got.contains("\r\n ") && !got.contains("\r\n\t"), "passed on as it is");
                Ok(())
            })?;
        }
        Ok(())
    }),
    row("whitespace before the first field: refused, or removed", "RFC 9112 §2.2: must be", |talk| {
        let request = "GET {url}/ HTTP/1.1\r\n X-Own: a\r\nHost: {host}\r\n\r\n";
        talk.expect_refusal_or(request, |got| {
            ensure!(!got.contains("\r\n "), "passed on as it is");
            Ok(())
        })
    }),
    row(
        "a line that ends with LF alone: refused, or sent with CR and LF",
        "RFC 9112 §2.2: servers differ in it",
        |talk| {
            for lines in ["X-Own: a\nX-Other: b\r\n", "X-Own: a\r\nX-Other: b\n"] {
                talk.expect_refusal_or(&request(lines), |got| {
                    ensure!(!got.replace("\r\n", "").contains('\n'), "passed on as it is");
                    Ok(())
                })?;
            }
            Ok(())
        },
    ),
    row("a CR within a line: refused, or replaced", "RFC 9112 §2.2: must be", |talk| {
        for lines in ["X-Own: a\rX-Other: b\r\n", "X-Own: a\r\r\n", "\rX-Own: a\r\n"] {
            talk.expect_refusal_or(&request(lines), |got| {
                ensure!(!got.replace("\r\n", "").contains('\r'), "passed on as it is");
                Ok(())
            })
            .with_context(|| lines.escape_debug().to_string())?;
        }
        Ok(())
    }),
    row("a NUL in a value: refused, or replaced", "RFC 9110 §5.5: must be", |talk| {
        talk.expect_refusal_or(&request("X-Own: a\0b\r\n"), |got| {
            ensure!(!got.contains('\0'), "passed on as it is");
            ensure!(!got.contains("X-Own: a\r\n"), "the value is cut off there");
            Ok(())
        })
    }),
    row("a malformed name of a field: refused", "RFC 9110 §5.1: a token", |talk| {
        expect_refusals(
            talk,
            &["X Own: a\r\n", ": a\r\n", "X-Own\r\n", "X(Own): a\r\n", "X\u{b}Own: a\r\n", "X-\u{e9}: a\r\n"],
        )
    }),
    row("a malformed method: refused", "RFC 9110 §9.1: a token", |talk| {
        for method in ["G(T", "GE\u{0}T", "G\u{e9}T", ""] {
            let request = format!("{method} {{url}}/ HTTP/1.1\r\nHost: {{host}}\r\n\r\n");
            talk.expect_refusal(&request).with_context(|| method.escape_debug().to_string())?;
        }
        Ok(())
    }),
    row("an endless first line: answered or closed", "memory of the proxy", |talk| {
        expect_end_of_flood(talk, "GET {url}/", "xxxxxxxxxxxxxxx")
    }),
    row("an endless field: answered or closed", "memory of the proxy", |talk| {
        expect_end_of_flood(talk, "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nX-Own: ", "xxxxxxxxxxxxxxx")
    }),
    row("endless fields: answered or closed", "memory of the proxy", |talk| {
        expect_end_of_flood(talk, "GET {url}/ HTTP/1.1\r\nHost: {host}\r\n", "X-Own: xxxxx\r\n")
    }),
    row("endless empty lines: answered or closed", "memory and time of the proxy", |talk| {
        expect_end_of_flood(talk, "\r\n", "\r\n\r\n\r\n\r\n")
    }),
    row("a request that arrives byte by byte", "TCP has no messages", |talk| {
        let mut client = talk.client()?;
        for letter in talk.filled("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?.chars() {
            client.send(&letter.to_string())?;
        }
        let (head, answer) = talk.exchange_on(&mut client, "GET", crate::conversation::OK)?;
        ensure!(head.starts_with("GET / "), "the site gets {:?}", shown(&head));
        answer.expect(200, "ok")
    }),
];

fn request(fields: &str) -> String {
    format!("GET {{url}}/ HTTP/1.1\r\nHost: {{host}}\r\n{fields}\r\n")
}

fn expect_refusals(talk: &mut Conversation<'_>, lines: &[&str]) -> Result<()> {
    for fields in lines {
        talk.expect_refusal(&request(fields))
            .with_context(|| fields.trim_end().escape_debug().to_string())?;
    }
    Ok(())
}

/// Sends up to 8 MiB without an end. Fails if the proxy reads all of it.
fn expect_end_of_flood(talk: &mut Conversation<'_>, begin: &str, more: &str) -> Result<()> {
    const PARTS: usize = 128;
    let part = more.repeat(64 * 1024 / more.len());
    let mut client = talk.sent(begin)?;
    for _ in 0..PARTS {
        client.look();
        if client.has_ended() || !client.received().is_empty() || client.send(&part).is_err() {
            return Ok(());
        }
    }
    bail!("read 8 MiB of it and did not stop")
}

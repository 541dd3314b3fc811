//! Which site a request is for.

use anyhow::{Context, Result, ensure};

use super::{Row, row};
use crate::{
    conversation::Conversation,
    wire::{fields, shown},
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row(
        "Host at the site is that of the URL, whatever the client sent",
        "RFC 9112 §3.2.2: must be replaced",
        |talk| {
            let head = talk.head_at_site("GET {url}/ HTTP/1.1\r\nHost: other.example\r\n\r\n")?;
            expect_host(talk, &head)
        },
    ),
    row("Host is the first field", "RFC 9110 §7.2: should be", |talk| {
        let head = talk.head_at_site("GET {url}/ HTTP/1.1\r\nA: b\r\nHost: {host}\r\n\r\n")?;
        let second = head.split("\r\n").nth(1).unwrap_or_default();
        ensure!(second.to_ascii_lowercase().starts_with("host:"), "{:?} is", shown(second));
        Ok(())
    }),
    row(
        "HTTP/1.0 without Host is served, and the site gets one",
        "RFC 9112 §3.2: clients of 1.0 need none",
        |talk| {
            let head = talk.head_at_site("GET {url}/ HTTP/1.0\r\n\r\n")?;
            expect_host(talk, &head)
        },
    ),
    row("HTTP/1.1 without Host: refused", "RFC 9112 §3.2: must be 400", |talk| {
        talk.expect_refusal("GET {url}/ HTTP/1.1\r\nA: b\r\n\r\n")
    }),
    row("two Host fields: refused", "RFC 9112 §3.2: must be 400", |talk| {
        for other in ["other.example", "{host}"] {
            let request = format!("GET {{url}}/ HTTP/1.1\r\nHost: {{host}}\r\nHost: {other}\r\n\r\n");
            talk.expect_refusal(&request).with_context(|| other.to_owned())?;
        }
        Ok(())
    }),
    row("a malformed Host: refused", "RFC 9112 §3.2: must be 400", |talk| {
        for host in ["a b", "a/b", "a@b", "http://a"] {
            let request = format!("GET {{url}}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
            talk.expect_refusal(&request).context(host)?;
        }
        Ok(())
    }),
    row("a name in capitals", "RFC 3986 §3.2.2: case does not matter", |talk| {
        let url = talk.filled("{url}")?.replace(talk.host, &talk.host.to_uppercase());
        talk.head_at_site(&format!("GET {url}/ HTTP/1.1\r\nHost: {{host}}\r\n\r\n")).map(drop)
    }),
    row("an unknown name: an error with a text", "RFC 9110 §15.6: the answer explains", |talk| {
        let unknown = talk.unknown;
        let mut client = talk.sent(&format!("GET http://{unknown}/ HTTP/1.1\r\nHost: {unknown}\r\n\r\n"))?;
        let answer = client.answer("GET")?;
        ensure!((400..600).contains(&answer.status), "answered {}", answer.status);
        ensure!(answer.body.is_complete && !answer.body.content.is_empty(), "without a text");
        Ok(())
    }),
    row("an error is final: HEAD gets it without a body", "RFC 9110 §9.3.2", |talk| {
        let unknown = talk.unknown;
        let request =
            format!("HEAD http://{unknown}/ HTTP/1.1\r\nHost: {unknown}\r\nConnection: close\r\n\r\n");
        let mut client = talk.sent(&request)?;
        let head = client.head()?;
        let rest = client.rest()?;
        ensure!(rest.is_empty(), "{} with a body", shown(&head));
        Ok(())
    }),
];

fn expect_host(talk: &Conversation<'_>, head: &str) -> Result<()> {
    let expected = talk.filled("{host}")?;
    let hosts = fields(head, "Host");
    ensure!(hosts == [expected.as_str()], "the site gets {hosts:?}");
    Ok(())
}

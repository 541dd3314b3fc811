//! Answers that are malformed, cut off, or more than was asked for.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Row, row};
use crate::{
    conversation::{Conversation, OK},
    wire::{Wire, field, fields, shown, status_of},
};

const GET: &str = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("an answer that is shorter than its length does not look complete", "RFC 9112 §8", |talk| {
        expect_incomplete(talk, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    }),
    row("a chunked answer without an end does not look complete", "RFC 9112 §8", |talk| {
        expect_incomplete(talk, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    }),
    row("a malformed chunk of an answer: the answer does not look complete", "RFC 9112 §7.1", |talk| {
        for chunk in ["x\r\nworld\r\n", "5\nworld\r\n", "-5\r\nworld\r\n", "fffffffffffffffff\r\n"] {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{chunk}0\r\n\r\n"
            );
            expect_incomplete(talk, &answer).with_context(|| chunk.escape_debug().to_string())?;
        }
        Ok(())
    }),
    row("no answer: 502 or 504", "RFC 9110 §15.6.3", |talk| {
        let status = status_for(talk, "")?;
        ensure!(matches!(status, Some(500..=599)), "{}", told(status));
        Ok(())
    }),
    row("garbage instead of an answer: 502", "RFC 9110 §15.6.3", |talk| {
        for garbage in
            ["garbage\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\r\n\r\n", "SSH-2.0-x\r\n", "<html>hello</html>"]
        {
            let status = status_for(talk, garbage)?;
            ensure!(matches!(status, Some(500..=599)), "{:?}: {}", shown(garbage), told(status));
        }
        Ok(())
    }),
    row("two lengths that differ in an answer: 502 or closed", "RFC 9112 §6.3: must be", |talk| {
        for lengths in ["Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2, 3\r\n"] {
            expect_no_answer(talk, &format!("HTTP/1.1 200 OK\r\n{lengths}\r\nok!"))?;
        }
        Ok(())
    }),
    row("the same length twice in an answer: sent once, or 502", "RFC 9110 §8.6: must be", |talk| {
        for lengths in ["Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2, 2\r\n"] {
            expect_harmless(talk, &format!("HTTP/1.1 200 OK\r\n{lengths}\r\nok"), |head| {
                let lengths = fields(head, "Content-Length");
                ensure!(lengths == ["2"], "the client gets {lengths:?}");
                Ok(())
            })?;
        }
        Ok(())
    }),
    row("a length in an answer that is no number: 502 or closed", "RFC 9112 §6.3: must be", |talk| {
        for length in ["x", "-2", "+2", "0x2", "2a"] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nok");
            expect_no_answer(talk, &answer).context(length)?;
        }
        Ok(())
    }),
    row(
        "a length and chunks in an answer: the length is removed, or 502",
        "RFC 9112 §6.3: must be",
        |talk| {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
            expect_harmless(talk, answer, |head| {
                let [length, coding] =
                    ["Content-Length", "Transfer-Encoding"].map(|name| fields(head, name).len());
                ensure!(length == 0 || coding == 0, "both pass");
                Ok(())
            })
        },
    ),
    row("whitespace before a colon in an answer: removed, or 502", "RFC 9112 §5.1: must be", |talk| {
        expect_harmless(talk, "HTTP/1.1 200 OK\r\nX-Own : a\r\nContent-Length: 2\r\n\r\nok", |head| {
            ensure!(!head.contains("X-Own :"), "it passes");
            Ok(())
        })
    }),
    row("a folded line in an answer: put on one line, or 502", "RFC 9112 §5.2: must be", |talk| {
        expect_harmless(talk, "HTTP/1.1 200 OK\r\nX-Own: a\r\n b\r\nContent-Length: 2\r\n\r\nok", |head| {
            ensure!(!head.contains("\r\n b"), "it passes");
            Ok(())
        })
    }),
    row(
        "a CR or a NUL in a line of an answer: replaced, or 502",
        "RFC 9112 §2.2, RFC 9110 §5.5: must be",
        |talk| {
            for value in ["a\rSet-Cookie: x=y", "a\0b"] {
                let answer = format!("HTTP/1.1 200 OK\r\nX-Own: {value}\r\nContent-Length: 2\r\n\r\nok");
                expect_harmless(talk, &answer, |head| {
                    ensure!(!head.replace("\r\n", "").contains(['\r', '\0']), "it passes");
                    Ok(())
                })?;
            }
            Ok(())
        },
    ),
    row("an endless head of an answer: 502 or closed", "memory of the proxy", |talk| {
        let mut client = talk.sent(GET)?;
        let arrived = talk.request(&mut client)?;
        let site = talk.site(arrived.site)?;
        site.send("HTTP/1.1 200 OK\r\n")?;
        let part = "X-Own: xxxxxxxxx\r\n".repeat(4000);
        for _ in 0..128 {
            site.look();
            client.look();
            let stopped = site.has_ended() || site.send(&part).is_err();
            if stopped || client.has_ended() || !client.received().is_empty() {
                let begun = client.received().starts_with("HTTP/1.1 200");
                ensure!(!begun, "it passes to the client");
                return Ok(());
            }
        }
        bail!("read 8 MiB of it and did not stop")
    }),
    row("a body behind 204 or an answer to HEAD is no answer to the next request", "RFC 9112 §6.3", |talk| {
        for (method, first) in [
            ("GET", "HTTP/1.1 204 None\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"),
        ] {
            expect_right_second_answer(talk, method, first).context(method)?;
        }
        Ok(())
    }),
    row(
        "a second answer to one request is no answer to the next",
        "answers would go to the wrong person",
        |talk| {
            let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse";
            expect_right_second_answer(talk, "GET", two)
        },
    ),
];

fn told(status: Option<u16>) -> String {
    status.map_or("closed".into(), |status| format!("answered {status}"))
}

/// Sends a request, which the site answers with these bytes and the end of the connection.
fn answered(talk: &mut Conversation<'_>, answer: &str) -> Result<Wire> {
    let mut client = talk.sent(GET)?;
    let arrived = talk.request(&mut client)?;
    let site = talk.site(arrived.site)?;
    site.send(answer)?;
    site.half_close()?;
    Ok(client)
}

/// The status that the client gets; nothing if the connection ends without one.
fn status_for(talk: &mut Conversation<'_>, answer: &str) -> Result<Option<u16>> {
    let mut client = answered(talk, answer)?;
    match client.head() {
        Ok(head) => Ok(Some(status_of(&head)?)),
        Err(_) if client.has_ended() && client.received().is_empty() => Ok(None),
        Err(_) if client.has_ended() => bail!("passed on: {:?}", shown(client.received())),
        Err(error) => Err(error),
    }
}

/// Fails unless the client gets an error, or nothing.
fn expect_no_answer(talk: &mut Conversation<'_>, answer: &str) -> Result<()> {
    let status = status_for(talk, answer)?;
    ensure!(matches!(status, None | Some(500..=599)), "{}", told(status));
    Ok(())
}

/// Fails unless the client gets an error, nothing, or a head that `is_harmless` accepts.
fn expect_harmless(
    talk: &mut Conversation<'_>,
    answer: &str,
    is_harmless: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let mut client = answered(talk, answer)?;
    match client.head() {
        Ok(head) if status_of(&head)? >= 500 => Ok(()),
        Ok(head) => is_harmless(&head),
        Err(_) if client.has_ended() && client.received().is_empty() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fails if the client takes this answer, which is cut off, for a complete one.
fn expect_incomplete(talk: &mut Conversation<'_>, answer: &str) -> Result<()> {
    let mut client = answered(talk, answer)?;
    let Ok(answer) = client.answer("GET") else { return Ok(()) };
    ensure!(
        answer.status >= 500 || !answer.body.is_complete,
        "the client takes {:?} for all",
        answer.body.content
    );
    ensure!(answer.status >= 500 || client.has_ended(), "the client waits for the rest");
    Ok(())
}

/// Sends two requests on one connection. Fails if what the site sends behind the first answer becomes the answer to the second.
fn expect_right_second_answer(talk: &mut Conversation<'_>, method: &str, first: &str) -> Result<()> {
    let mut client = talk.sent(&format!("{method} {{url}}/1 HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))?;
    let arrived = talk.request(&mut client)?;
    talk.site(arrived.site)?.send(first)?;
    let answer = client.answer(method)?;
    ensure!(answer.status < 300, "the first is {}", answer.status);
    if field(&answer.head, "Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
        // The client takes nothing that follows.
        return Ok(());
    }
    // What follows is on its way.
    let more = client.for_a_while(Duration::from_millis(200));
    ensure!(!more.contains("false"), "the client gets it");
    if client.has_ended() {
        return Ok(());
    }
    client.send(&talk.filled(GET)?)?;
    let (_, answer) = talk.exchange_on(&mut client, "GET", OK)?;
    answer.expect(200, "ok")
}

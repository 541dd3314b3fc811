//! Answers that are as they should be.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Row, row};
use crate::{
    conversation::Conversation,
    wire::{Answer, field, fields, shown},
};

/// How long a part of an answer may take that has been sent.
const SOON: Duration = Duration::from_secs(3);
const GET: &str = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("the status passes, also one that nobody knows", "RFC 9110 §15", |talk| {
        for status in [200, 299, 301, 404, 418, 499, 503, 599] {
            let answer = format!("HTTP/1.1 {status} Word\r\nContent-Length: 2\r\n\r\nok");
            get(talk, &answer)?.expect(status, "ok").with_context(|| status.to_string())?;
        }
        Ok(())
    }),
    row("an answer with a length passes unchanged", "RFC 9112 §6.2", |talk| {
        let data: String = (0..=255_u8).map(char::from).collect();
        get(talk, &format!("HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\n{data}"))?.expect(200, &data)
    }),
    row("an answer of 1 MiB passes unchanged", "more than any buffer", |talk| {
        let data: String = (0..1 << 20).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
        let mut client = talk.sent(GET)?;
        let arrived = talk.request(&mut client)?;
        let mut sender = talk.site(arrived.site)?.clone_for_sending()?;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{data}", data.len());
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || sender.send(&answer));
            let taken = client.answer("GET")?.expect(200, &data);
            let _ = sending.join();
            taken
        })
    }),
    row("a chunked answer passes", "RFC 9112 §7.1", |talk| get(talk, CHUNKED)?.expect(200, "hello")),
    row("trailers of an answer reach a client that asks for them", "RFC 9110 §6.5", |talk| {
        let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
        let trailer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
        let (_, answer) = talk.exchange(request, trailer)?;
        answer.expect(200, "ok")?;
        ensure!(
            answer.body.trailers.eq_ignore_ascii_case("x-sum: 7\r\n"),
            "the client gets {:?}",
            answer.body.trailers
        );
        Ok(())
    }),
    row("a client of HTTP/1.0 gets no chunks", "RFC 9112 §6.1: must not", |talk| {
        let (_, answer) = talk.exchange("GET {url}/ HTTP/1.0\r\nHost: {host}\r\n\r\n", &closing(CHUNKED))?;
        ensure!(
            field(&answer.head, "Transfer-Encoding").is_none(),
            "the client gets {:?}",
            shown(&answer.head)
        );
        answer.expect(200, "hello")
    }),
    row("an answer that ends with the connection passes whole", "RFC 9112 §6.3", |talk| {
        let mut client = talk.sent(GET)?;
        let arrived = talk.request(&mut client)?;
        let site = talk.site(arrived.site)?;
        site.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")?;
        site.half_close()?;
        client.answer("GET")?.expect(200, "to the end")
    }),
    row("HEAD: the length passes, and there is no body", "RFC 9110 §9.3.2", |talk| {
        let request = "HEAD {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n";
        let mut client = talk.sent(request)?;
        let arrived = talk.request(&mut client)?;
        let site = talk.site(arrived.site)?;
        site.send("HTTP/1.1 200 OK\r\nContent-Length: 77\r\nConnection: close\r\n\r\n")?;
        site.half_close()?;
        let head = client.head()?;
        ensure!(
            field(&head, "Content-Length") == Some("77"),
            "the length is {:?}",
            fields(&head, "Content-Length")
        );
        ensure!(client.rest()?.is_empty(), "there is a body");
        Ok(())
    }),
    row("204 and 304 are complete without a body", "RFC 9112 §6.3", |talk| {
        for answer in
            ["HTTP/1.1 204 None\r\n\r\n", "HTTP/1.1 304 Same\r\nContent-Length: 77\r\nETag: \"a\"\r\n\r\n"]
        {
            let mut client = talk.sent(GET)?;
            let arrived = talk.request(&mut client)?;
            talk.site(arrived.site)?.send(answer)?;
            let head = client.head()?;
            let status = answer.get(9..12).unwrap_or_default();
            ensure!(head.contains(status), "the client gets {:?}", shown(&head));
            let more = client.for_a_while(Duration::from_millis(100));
            ensure!(more.is_empty(), "and a body: {:?}", shown(&more));
        }
        Ok(())
    }),
    row("206 with its range passes", "RFC 9110 §15.3.7", |talk| {
        let answer =
            get(talk, "HTTP/1.1 206 Part\r\nContent-Range: bytes 1-2/5\r\nContent-Length: 2\r\n\r\nbc")?;
        ensure!(field(&answer.head, "Content-Range") == Some("bytes 1-2/5"), "without the range");
        answer.expect(206, "bc")
    }),
    row("the beginning of an answer arrives before its end", "streams, downloads that take hours", |talk| {
        let mut client = talk.sent(GET)?;
        let arrived = talk.request(&mut client)?;
        talk.site(arrived.site)?
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10\r\n\r\nhello")?;
        client.head_within(SOON).context("the head waits")?;
        let begun = client.for_a_while(Duration::from_millis(300));
        ensure!(begun.contains("hello"), "the first part waits for the second");
        talk.site(arrived.site)?.send("world")?;
        Ok(())
    }),
    row(
        "an answer that comes before the body has been sent passes",
        "RFC 9112 §7: clients can stop",
        |talk| {
            let mut client =
                talk.sent("POST {url}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nhello")?;
            let arrived = talk.request(&mut client)?;
            talk.site(arrived.site)?
                .send("HTTP/1.1 413 Long\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
            let head = client.head_within(SOON)?;
            ensure!(head.contains(" 413 "), "the client gets {:?}", shown(&head));
            Ok(())
        },
    ),
];

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

fn closing(answer: &str) -> String {
    answer.replacen("\r\n", "\r\nConnection: close\r\n", 1)
}

/// Asks for something, which the site answers like this.
fn get(talk: &mut Conversation<'_>, answer: &str) -> Result<Answer> {
    Ok(talk.exchange(GET, answer)?.1)
}

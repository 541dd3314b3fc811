//! Where the body of a request ends.

use anyhow::{Context, Result, bail, ensure};

use super::{Row, row};
use crate::{
    conversation::{Conversation, OK},
    wire::{Body, fields, shown},
};

const POST: &str = "POST {url}/ HTTP/1.1\r\nHost: {host}\r\n";

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("a body with a length arrives as it is", "RFC 9112 §6.2", |talk| {
        expect_body(talk, "Content-Length: 5\r\n\r\nhello", "hello")
    }),
    row("a chunked body arrives whole", "RFC 9112 §7.1: must be understood", |talk| {
        expect_body(talk, "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello")
    }),
    row(
        "chunks with extensions, leading zeros and capitals",
        "RFC 9112 §7.1.1: extensions are ignored",
        |talk| {
            let data = "x".repeat(26);
            let body = format!("001A;a=b;c=\"d\"\r\n{data}\r\n0;e\r\n\r\n");
            expect_body(talk, &format!("Transfer-Encoding: chunked\r\n\r\n{body}"), &data)
        },
    ),
    row("`Chunked` in capitals", "RFC 9112 §7: case does not matter", |talk| {
        expect_body(talk, "Transfer-Encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok")
    }),
    row("GET with a body", "RFC 9110 §9.3.1: has no meaning, but is framed", |talk| {
        let mut client =
            talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello")?;
        take_body(talk, &mut client, "hello")
    }),
    row("a body of 1 MiB arrives unchanged", "more than any buffer", |talk| {
        let data: String = (0..1 << 20).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
        expect_body(talk, &format!("Content-Length: {}\r\n\r\n{data}", data.len()), &data)
    }),
    row("a body that looks like a request stays a body", "RFC 9112 §6.3", |talk| {
        let body = "GET /smuggled HTTP/1.1\r\n\r\n";
        expect_body(talk, &format!("Content-Length: {}\r\n\r\n{body}", body.len()), body)
    }),
    row("two lengths that differ: refused", "RFC 9112 §6.3: unrecoverable", |talk| {
        expect_refusals(
            talk,
            &["Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "Content-Length: 5, 6\r\n\r\nhello!"],
        )
    }),
    row("the same length twice: refused, or sent once", "RFC 9110 §8.6", |talk| {
        for lengths in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n"] {
            talk.expect_refusal_or(&format!("{POST}{lengths}\r\nhello"), |got| {
                ensure!(
                    fields(got, "Content-Length") == ["5"],
                    "the site gets {:?}",
                    fields(got, "Content-Length")
                );
                Ok(())
            })?;
        }
        Ok(())
    }),
    row("a length that is no number: refused", "RFC 9110 §8.6: digits", |talk| {
        for length in ["+5", "-5", "0x5", "5a", "5 5", "", "five", "99999999999999999999"] {
            talk.expect_refusal(&format!("{POST}Content-Length: {length}\r\n\r\nhello")).context(length)?;
        }
        Ok(())
    }),
    row(
        "a length and chunks: refused, or the length is removed",
        "RFC 9112 §6.1: request smuggling",
        |talk| {
            for both in [
                "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
            ] {
                talk.expect_refusal_or(&format!("{POST}{both}\r\n0\r\n\r\nX"), |got| {
                    let [length, coding] =
                        ["Content-Length", "Transfer-Encoding"].map(|name| fields(got, name).len());
                    ensure!(length + coding == 1, "the site gets both");
                    Ok(())
                })?;
            }
            Ok(())
        },
    ),
    row(
        "a coding that is not chunked, or not chunked at the end: refused",
        "RFC 9112 §6.3: 400 or 501",
        |talk| {
            for coding in
                ["gzip", "chunked, gzip", "xchunked", "chunked, identity", "\"chunked\"", "chunked;q=1"]
            {
                let request = format!("{POST}Transfer-Encoding: {coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
                talk.expect_refusal(&request).context(coding)?;
            }
            Ok(())
        },
    ),
    row(
        "a coding in two fields: refused, or understood as one list",
        "RFC 9112 §6.1: request smuggling",
        |talk| {
            for second in ["x", "identity", "chunked"] {
                let request = format!(
                    "{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: {second}\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                );
                talk.expect_refusal(&request).context(second)?;
            }
            Ok(())
        },
    ),
    row(
        "HTTP/1.0 with chunks: refused, or closed after the answer",
        "RFC 9112 §6.1: faulty framing",
        |talk| {
            let request = "POST {url}/ HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\nok\r\n0\r\n\r\n";
            talk.expect_refusal_or(request, |got| {
                ensure!(!got.contains("keep-alive"), "passed on, on a connection that stays open");
                Ok(())
            })
        },
    ),
    row("a malformed chunk: the body has no end at the site", "RFC 9112 §7.1", |talk| {
        for chunk in [
            "x\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello!!\r\n",
            "-1\r\n\r\n",
            "fffffffffffffffff\r\n",
            "0x1\r\na\r\n",
        ] {
            expect_no_end(talk, chunk).context(chunk.trim_end().replace('\r', "").replace('\n', " "))?;
        }
        Ok(())
    }),
    row("a body that the client cuts off has no end at the site", "RFC 9112 §8: incomplete", |talk| {
        let mut client = talk.sent(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))?;
        let arrived = talk.request(&mut client)?;
        drop(client);
        let got = talk.site(arrived.site)?.for_a_while(std::time::Duration::from_secs(2));
        ensure!(!got.contains("0\r\n\r\n"), "the site gets an end");
        Ok(())
    }),
    row("a body arrives while it is being sent", "RFC 9112 §7: streams, uploads that take hours", |talk| {
        for (fields, [first, second]) in [
            ("Content-Length: 10\r\n\r\n", ["hello", "world"]),
            ("Transfer-Encoding: chunked\r\n\r\n", ["5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"]),
        ] {
            let mut client = talk.sent(&format!("{POST}{fields}{first}"))?;
            let arrived = talk.request(&mut client).context("the head waits for the whole body")?;
            let site = talk.site(arrived.site)?;
            let mut got = String::new();
            while !got.contains("hello") {
                got += &site.take(1).context("the first part waits for the second")?;
            }
            client.send(second)?;
            while !got.contains("world") {
                got += &site.take(1)?;
            }
            site.send(OK)?;
            client.answer("POST")?.expect(200, "ok")?;
        }
        Ok(())
    }),
];

fn expect_refusals(talk: &mut Conversation<'_>, rests: &[&str]) -> Result<()> {
    for rest in rests {
        talk.expect_refusal(&format!("{POST}{rest}"))
            .with_context(|| rest.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n", ", "))?;
    }
    Ok(())
}

/// Sends a body. Fails unless the site gets it whole, however it is framed.
fn expect_body(talk: &mut Conversation<'_>, rest: &str, expected: &str) -> Result<()> {
    let mut client = talk.client()?;
    let head_end = rest.find("\r\n\r\n").map_or(rest.len(), |end| end + 4);
    let (fields, body) = rest.split_at(head_end);
    client.send(&talk.filled(&format!("{POST}{fields}"))?)?;
    // A long body has to be read at the other end while it is sent.
    std::thread::scope(|scope| {
        let mut sender = client.clone_for_sending()?;
        let sending = scope.spawn(move || sender.send(body));
        let taken = take_body(talk, &mut client, expected);
        match sending.join() {
            Ok(sent) => taken.and(sent),
            Err(_) => bail!("sending panicked"),
        }
    })
}

fn take_body(talk: &mut Conversation<'_>, client: &mut crate::wire::Wire, expected: &str) -> Result<()> {
    let arrived = talk.request(client)?;
    let site = talk.site(arrived.site)?;
    let Body { content, is_complete, .. } = site.body(&arrived.head, false);
    ensure!(is_complete && content == expected, "the site gets {:?}", shown(&content));
    let more = site.for_a_while(std::time::Duration::from_millis(50));
    ensure!(more.is_empty(), "and more: {:?}", shown(&more));
    site.send(OK)?;
    client.answer("POST")?.expect(200, "ok")
}

/// Sends a chunk that is malformed behind a good one. Fails if the site gets a body with an end.
fn expect_no_end(talk: &mut Conversation<'_>, chunk: &str) -> Result<()> {
    let request = format!("{POST}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{chunk}0\r\n\r\n");
    talk.expect_refusal_or(&request, |got| {
        let (head, body) = got.split_once("\r\n\r\n").unwrap_or_default();
        ensure!(!head.to_ascii_lowercase().contains("content-length"), "the site gets a length");
        ensure!(!body.contains("0\r\n\r\n"), "the site gets {:?}", shown(body));
        Ok(())
    })
}

//! Interim answers, and other protocols.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Row, row};
use crate::{
    conversation::OK,
    wire::{field, fields, shown, status_of},
};

/// How long a client waits for `100 Continue` before it sends its body anyway. curl waits 1 s.
const SOON: Duration = Duration::from_secs(3);

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row("a client that waits for 100 gets it from the site, before its body", "RFC 9110 §10.1.1", |talk| {
        let mut client = talk.sent(EXPECTING)?;
        let arrived = talk.request(&mut client)?;
        ensure!(field(&arrived.head, "Expect").is_some(), "the site is not told");
        talk.site(arrived.site)?.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        let head = client.head_within(SOON)?;
        ensure!(status_of(&head)? == 100, "the client gets {:?}", shown(&head));
        client.send("hello")?;
        let site = talk.site(arrived.site)?;
        ensure!(site.take(5)? == "hello", "the site gets another body");
        site.send(OK)?;
        client.answer("POST")?.expect(200, "ok")
    }),
    row("a client that waits for 100 and is refused sends no body", "RFC 9110 §10.1.1", |talk| {
        let mut client = talk.sent(EXPECTING)?;
        let arrived = talk.request(&mut client)?;
        talk.site(arrived.site)?
            .send("HTTP/1.1 413 Long\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
        let head = client.head_within(SOON)?;
        ensure!(status_of(&head)? == 413, "the client gets {:?}", shown(&head));
        Ok(())
    }),
    row("an interim answer (103) passes", "RFC 9110 §15.2: must be forwarded", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let arrived = talk.request(&mut client)?;
        talk.site(arrived.site)?.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")?;
        let early = client.head_within(SOON).context("before the answer")?;
        ensure!(
            status_of(&early)? == 103 && field(&early, "Link").is_some(),
            "the client gets {:?}",
            shown(&early)
        );
        talk.site(arrived.site)?.send(OK)?;
        client.answer("GET")?.expect(200, "ok")
    }),
    row("a client of HTTP/1.0 gets no interim answer", "RFC 9110 §15.2: must not", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let arrived = talk.request(&mut client)?;
        talk.site(arrived.site)?.send(&format!("HTTP/1.1 103 Early Hints\r\n\r\n{OK}"))?;
        let head = client.head()?;
        ensure!(status_of(&head)? == 200, "the client gets {:?}", shown(&head));
        Ok(())
    }),
    row("a WebSocket: 101 passes, then data in both directions", "RFC 9110 §7.8; RFC 6455", |talk| {
        let mut client = talk.sent(WEB_SOCKET)?;
        let arrived = talk.request(&mut client)?;
        let asked = field(&arrived.head, "Upgrade").map(str::to_ascii_lowercase);
        ensure!(asked.as_deref() == Some("websocket"), "the site is not asked");
        let named = fields(&arrived.head, "Connection").join(",").to_ascii_lowercase();
        ensure!(named.contains("upgrade"), "Connection is {named:?}");
        let site = talk.site(arrived.site)?;
        site.send("HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom the site")?;
        let head = client.head()?;
        ensure!(
            status_of(&head)? == 101 && field(&head, "Upgrade").is_some(),
            "the client gets {:?}",
            shown(&head)
        );
        ensure!(client.take(13)? == "from the site", "other data comes");
        client.send("\u{81}\u{5}hello\r\n\r\nmore")?;
        ensure!(talk.site(arrived.site)?.take(15)? == "\u{81}\u{5}hello\r\n\r\nmore", "other data arrives");
        Ok(())
    }),
    row(
        "an upgrade that the site does not want: its answer passes",
        "RFC 9110 §7.8: may be ignored",
        |talk| talk.exchange(WEB_SOCKET, OK)?.1.expect(200, "ok"),
    ),
    row(
        "an upgrade to HTTP/2 does not reach the site",
        "a stream of requests that nobody could look into",
        |talk| {
            let request = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                       HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
            talk.expect_refusal_or(request, |got| {
                ensure!(field(got, "Upgrade").is_none() && field(got, "HTTP2-Settings").is_none(), "it does");
                Ok(())
            })
        },
    ),
    row("101 without a request for it: not passed on", "RFC 9110 §15.2.2: only if asked", |talk| {
        let answer = "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom the site";
        let mut client = talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let arrived = talk.request(&mut client)?;
        talk.site(arrived.site)?.send(answer)?;
        let head = client.head()?;
        ensure!(status_of(&head)? != 101, "the client gets it");
        Ok(())
    }),
];

const EXPECTING: &str =
    "POST {url}/ HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

const WEB_SOCKET: &str = "GET {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

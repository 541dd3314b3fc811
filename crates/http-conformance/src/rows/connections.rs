//! How long connections live, and what goes where on them.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Row, row};
use crate::{
    conversation::OK,
    wire::{field, shown},
};

/// How long an end may take that should be at once.
const SOON: Duration = Duration::from_secs(3);

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    row(
        "a second request on the same connection is served",
        "RFC 9112 §9.3: persistent by default",
        |talk| {
            let mut client = talk.client()?;
            for path in ["/1", "/2", "/3"] {
                let request =
                    talk.filled(&format!("GET {{url}}{path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))?;
                client.send(&request).context(path)?;
                let (head, answer) = talk.exchange_on(&mut client, "GET", OK).context(path)?;
                ensure!(head.starts_with(&format!("GET {path} HTTP/1.")), "the site gets {:?}", shown(&head));
                answer.expect(200, "ok").context(path)?;
            }
            Ok(())
        },
    ),
    row("each request on a connection goes to its own site", "RFC 9112 §3.2.2: each has its URL", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        talk.exchange_on(&mut client, "GET", OK)?.1.expect(200, "ok")?;
        let unknown = talk.unknown;
        client.send(&format!("GET http://{unknown}/stray HTTP/1.1\r\nHost: {unknown}\r\n\r\n"))?;
        match talk.request(&mut client) {
            Ok(stray) => anyhow::bail!("the first site gets {:?}", shown(&stray.head)),
            Err(_) => Ok(()),
        }
    }),
    row("requests that are sent at once are answered in order", "RFC 9112 §9.3.2", |talk| {
        let one = |path: &str| format!("GET {{url}}{path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n");
        let mut client = talk.sent(&format!("{}{}", one("/1"), one("/2")))?;
        for path in ["/1", "/2"] {
            let arrived = talk.request(&mut client).context(path)?;
            let (_, asked) = arrived.head.split_once(' ').unwrap_or_default();
            let asked = asked.split(' ').next().unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{asked}");
            talk.site(arrived.site)?.send(&answer)?;
            client.answer("GET")?.expect(200, path)?;
        }
        Ok(())
    }),
    row("`Connection: close` of the client: closed after the answer", "RFC 9112 §9.6", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        talk.exchange_on(&mut client, "GET", OK)?.1.expect(200, "ok")?;
        client.for_a_while(SOON);
        ensure!(client.has_ended(), "still open after {} s", SOON.as_secs());
        Ok(())
    }),
    row("a client of HTTP/1.0: closed after the answer", "RFC 9112 §9.3", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        talk.exchange_on(&mut client, "GET", OK)?.1.expect(200, "ok")?;
        client.for_a_while(SOON);
        ensure!(client.has_ended(), "still open after {} s", SOON.as_secs());
        Ok(())
    }),
    row("a client that half-closes still gets the answer", "nc reading from a pipe, HTTP/1.0", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        client.half_close()?;
        talk.exchange_on(&mut client, "GET", OK)?.1.expect(200, "ok")
    }),
    row(
        "a client that leaves ends its request at the site",
        "sites, and the tunnels to them, are not kept busy",
        |talk| {
            let mut client = talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
            let arrived = talk.request(&mut client)?;
            let site = talk.site(arrived.site)?;
            site.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")?;
            client.head()?;
            drop(client);
            // The first of these may still be taken in before the proxy has noticed.
            for _ in 0..50 {
                if site.has_ended() || site.send("more").is_err() {
                    return Ok(());
                }
                site.for_a_while(Duration::from_millis(100));
            }
            anyhow::bail!("still open after 5 s")
        },
    ),
    row("an error does not end the connection of a client", "browsers load many things on one", |talk| {
        let unknown = talk.unknown;
        let mut client = talk.sent(&format!("GET http://{unknown}/ HTTP/1.1\r\nHost: {unknown}\r\n\r\n"))?;
        let answer = client.answer("GET")?;
        ensure!(answer.status >= 400, "answered {}", answer.status);
        client.send(&talk.filled("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?)?;
        talk.exchange_on(&mut client, "GET", OK)?.1.expect(200, "ok")
    }),
    row("an answer says whether the connection goes on", "RFC 9112 §9.3", |talk| {
        let mut client = talk.sent("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
        let (_, answer) = talk.exchange_on(&mut client, "GET", OK)?;
        client.for_a_while(Duration::from_millis(300));
        let says_close =
            field(&answer.head, "Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        ensure!(!client.has_ended() || says_close, "it ends without having said so");
        Ok(())
    }),
    row(
        "a stream to the site serves the next request too",
        "a new stream through I2P takes seconds",
        |talk| {
            let mut client = talk.client()?;
            for _ in 0..3 {
                client.send(&talk.filled("GET {url}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")?)?;
                talk.exchange_on(&mut client, "GET", OK)?.1.expect(200, "ok")?;
            }
            ensure!(talk.connections() == 1, "{} streams for 3 requests", talk.connections());
            Ok(())
        },
    ),
    row("and so for the next connection of a client", "browsers and programs open many", |talk| {
        for _ in 0..3 {
            let (_, answer) =
                talk.exchange("GET {url}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", OK)?;
            answer.expect(200, "ok")?;
        }
        ensure!(talk.connections() == 1, "{} streams for 3 requests", talk.connections());
        Ok(())
    }),
    row("a stream that the site has closed is not used for the next request", "RFC 9112 §9.3.1", |talk| {
        for _ in 0..3 {
            let mut client =
                talk.sent("POST {url}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx")?;
            let arrived = talk.request(&mut client)?;
            let site = talk.site(arrived.site)?;
            site.take(1)?;
            site.send(OK)?;
            site.half_close()?;
            client.answer("POST")?.expect(200, "ok")?;
            client.for_a_while(Duration::from_millis(200));
        }
        Ok(())
    }),
];

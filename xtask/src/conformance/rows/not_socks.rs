//! Clients that speak something else, or nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Row;
use crate::conformance::{
    client::{AT_ONCE, Client, GREETING, hex},
    subject::Subject,
};

/// The longest that a handshake may last: what servers that have a limit have chosen is 30 s at most.
const HANDSHAKE: Duration = Duration::from_secs(35);

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("HTTP: an HTTP error, or closed at once", "people mistake the port; Tor explains", http),
    Row::new("TLS: closed at once", "people mistake the port", tls),
    Row::new("first byte 00, 01, 03, 06, 80 or ff: closed at once", "no version of SOCKS", garbage),
    Row::new("a client that says nothing is cut off within 35 s", "connections are few", silence),
    Row::new("a client that stops after its greeting, too", "connections are few", silence_after_greeting),
    Row::new(
        "one byte a second is cut off within 40 s",
        "a limit for all of it, not for each read",
        slow_drip,
    ),
];

fn http(subject: &Subject) -> Result<()> {
    for request in
        ["GET http://far.test/ HTTP/1.1\r\nHost: far.test\r\n\r\n", "CONNECT far.test:80 HTTP/1.1\r\n\r\n"]
    {
        let mut client = subject.connect()?;
        client.send(request.as_bytes())?;
        let Some(answer) = client.read_once(AT_ONCE) else {
            bail!("still open after {} s", AT_ONCE.as_secs())
        };
        let status = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "));
        let error = matches!(status, Some([b'4' | b'5', ..]));
        ensure!(answer.is_empty() || error || answer == [5, 0xff], "{}", hex(&answer));
        if answer == [5, 0xff] {
            client.ends(AT_ONCE)?;
        }
    }
    Ok(())
}

fn closes_at_once(subject: &Subject, bytes: &[u8]) -> Result<()> {
    let mut client = subject.connect()?;
    client.send(bytes)?;
    is_over(client, AT_ONCE)
}

/// Fails unless the connection ends within the limit. That no method is acceptable may be said before.
fn is_over(mut client: Client, limit: Duration) -> Result<()> {
    match client.read_once(limit).as_deref() {
        None => bail!("still open after {} s", limit.as_secs()),
        Some([]) => Ok(()),
        Some([5, 0xff]) => client.ends(AT_ONCE),
        Some(other) => bail!("{} instead of the end", hex(other)),
    }
}

fn tls(subject: &Subject) -> Result<()> {
    // The head of a record with a ClientHello of 512 bytes, and the first of them.
    closes_at_once(subject, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
}

fn garbage(subject: &Subject) -> Result<()> {
    for first in [0x00, 0x01, 0x03, 0x06, 0x80, 0xff] {
        closes_at_once(subject, &[first]).with_context(|| format!("first byte {first:02x}"))?;
    }
    Ok(())
}

fn silence(subject: &Subject) -> Result<()> {
    subject.connect()?.ends(HANDSHAKE)
}

fn silence_after_greeting(subject: &Subject) -> Result<()> {
    subject.greeted()?.ends(HANDSHAKE)
}

fn slow_drip(subject: &Subject) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(40);
    const PAUSE: Duration = Duration::from_secs(1);
    let mut client = subject.connect()?;
    let start = Instant::now();
    // 255 methods are announced, which take longer than the limit.
    for &byte in [GREETING[0], 255].iter().chain(&[0; 255]) {
        if client.send(&[byte]).is_err() {
            return Ok(());
        }
        match client.read_once(PAUSE).as_deref() {
            Some([]) => return Ok(()),
            Some([5, 0xff]) => return client.ends(AT_ONCE),
            Some(other) => bail!("{}", hex(other)),
            None => ensure!(start.elapsed() < LIMIT, "still open after {} s", LIMIT.as_secs()),
        }
    }
    Ok(())
}

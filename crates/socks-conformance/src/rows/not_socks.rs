//! Clients that speak another protocol, or send nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Row;
use crate::{
    client::{AT_ONCE, Client, GREETING, hex},
    server::Server,
};

/// How long a handshake may take. Servers with a limit have chosen at most 30 s.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(35);

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("HTTP: an HTTP error, or closed at once", "people enter the wrong port; Tor explains", http),
    Row::new("TLS: an alert, or closed at once", "people enter the wrong port", tls),
    Row::new("first byte 00, 01, 03, 06, 80 or ff: closed at once", "not a version of SOCKS", garbage),
    Row::new("a silent client is disconnected within 35 s", "connections are limited", silence),
    Row::new(
        "a client that stops after its greeting is disconnected within 35 s",
        "connections are limited",
        silence_after_greeting,
    ),
    Row::new(
        "a client that sends one byte a second is disconnected within 40 s",
        "the limit is for the handshake, not for each read",
        slow_drip,
    ),
];

fn http(server: &Server) -> Result<()> {
    for request in [
        "GET http://target.test/ HTTP/1.1\r\nHost: target.test\r\n\r\n",
        "CONNECT target.test:80 HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect()?;
        client.send(request.as_bytes())?;
        let Some(answer) = client.read_once(AT_ONCE) else {
            bail!("still open after {} s", AT_ONCE.as_secs())
        };
        let status = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "));
        let error = matches!(status, Some([b'4' | b'5', ..]));
        ensure!(answer.is_empty() || error || answer == [5, 0xff], "{}", hex(&answer));
        if answer == [5, 0xff] {
            client.expect_end(AT_ONCE)?;
        }
    }
    Ok(())
}

fn expect_closed_at_once(server: &Server, bytes: &[u8]) -> Result<()> {
    let mut client = server.connect()?;
    client.send(bytes)?;
    expect_closed(client, AT_ONCE)
}

/// Fails unless the connection ends within the limit. The server may first answer that no method is acceptable.
fn expect_closed(mut client: Client, limit: Duration) -> Result<()> {
    match client.read_once(limit).as_deref() {
        None => bail!("still open after {} s", limit.as_secs()),
        Some([]) => Ok(()),
        Some([5, 0xff]) => client.expect_end(AT_ONCE),
        Some(other) => bail!("{} instead of the end", hex(other)),
    }
}

fn tls(server: &Server) -> Result<()> {
    // The head of a record with a ClientHello of 512 bytes, and the first bytes of that.
    let mut client = server.connect()?;
    client.send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])?;
    match client.read_once(AT_ONCE).as_deref() {
        None => bail!("still open after {} s", AT_ONCE.as_secs()),
        Some([] | [21, 3, _, 0, 2, 2, _]) => Ok(()),
        Some([5, 0xff]) => client.expect_end(AT_ONCE),
        Some(other) => bail!("{} instead of an alert or the end", hex(other)),
    }
}

fn garbage(server: &Server) -> Result<()> {
    for first in [0x00, 0x01, 0x03, 0x06, 0x80, 0xff] {
        expect_closed_at_once(server, &[first]).with_context(|| format!("first byte {first:02x}"))?;
    }
    Ok(())
}

fn silence(server: &Server) -> Result<()> {
    server.connect()?.expect_end(HANDSHAKE_TIMEOUT)
}

fn silence_after_greeting(server: &Server) -> Result<()> {
    server.greeted()?.expect_end(HANDSHAKE_TIMEOUT)
}

fn slow_drip(server: &Server) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(40);
    const PAUSE: Duration = Duration::from_secs(1);
    let mut client = server.connect()?;
    let start = Instant::now();
    // It announces 255 methods, which take longer than the limit.
    for &byte in [GREETING[0], 255].iter().chain(&[0; 255]) {
        if client.send(&[byte]).is_err() {
            return Ok(());
        }
        match client.read_once(PAUSE).as_deref() {
            Some([]) => return Ok(()),
            Some([5, 0xff]) => return client.expect_end(AT_ONCE),
            Some(other) => bail!("{}", hex(other)),
            None => ensure!(start.elapsed() < LIMIT, "still open after {} s", LIMIT.as_secs()),
        }
    }
    Ok(())
}

//! SOCKS4 and SOCKS4a (no RFC: the memos by Ying-Da Lee).

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use super::Row;
use crate::{
    client::{BIND, CLOSE_TIMEOUT, CONNECT, Client, UNKNOWN_COMMAND, head4, hex, request4a},
    server::{Reach, Server},
};

/// CD of replies.
const GRANTED: u8 = 90;
const REJECTED: u8 = 91;

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("SOCKS4 CONNECT: 90, or 91 if only names are supported", "SOCKS4", connect),
    Row::new("SOCKS4a CONNECT by name: 90", "SOCKS4A", connect_by_name),
    Row::new("a SOCKS4a request that arrives byte by byte is read", "TCP has no messages", byte_by_byte),
    Row::new("SOCKS4a: data right after the request reaches the target", "optimistic data", early_data),
    Row::new("SOCKS4a: unknown name: 91", "SOCKS4", unknown_name),
    Row::new("SOCKS4a: empty name: 91 or closed", "SOCKS4A: a name is required", empty_name),
    Row::new("SOCKS4: unknown command: 91", "SOCKS4: rejected or failed", unknown_command),
    Row::new("SOCKS4: BIND: 90, or 91 if unsupported", "SOCKS4", bind),
    Row::new("SOCKS4: closed after a failure", "SOCKS4: at once", closed_after_failure),
    Row::new("SOCKS4: user ID of 255 bytes is read", "isolation tokens are long", long_user_id),
    Row::new(
        "SOCKS4: user ID of 300 bytes: answered or closed",
        "the protocol has no limit; but the server must not wait",
        longer_user_id,
    ),
    Row::new("SOCKS4: endless user ID: answered or closed", "memory and time of the server", endless_user_id),
    Row::new("SOCKS4a: endless name: answered or closed", "memory and time of the server", endless_name),
];

fn connect_and_send(server: &Server, request: &[u8]) -> Result<Client> {
    let mut client = server.connect()?;
    client.send(request)?;
    Ok(client)
}

fn connect(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4)?;
    let request = [&head4(CONNECT, server.target()?.services.echo, [127, 0, 0, 1])[..], b"user\0"].concat();
    let mut client = connect_and_send(server, &request)?;
    match server.reach {
        Reach::Tcp => {
            client.expect_reply4(GRANTED)?;
            client.expect_echo()
        }
        Reach::I2p => client.expect_reply4(REJECTED),
    }
}

/// Encodes a request of SOCKS4a for the echo service.
fn to_echo(server: &Server) -> Result<Vec<u8>> {
    server.skip_if(server.limitations.socks4a)?;
    let target = server.target()?;
    Ok(request4a(CONNECT, b"", target.host.as_bytes(), target.services.echo))
}

/// Encodes a request for the echo service: of SOCKS4, or of SOCKS4a if the server supports only names.
fn to_echo_as(server: &Server, user_id: &[u8]) -> Result<Vec<u8>> {
    server.skip_if(server.limitations.socks4)?;
    let target = server.target()?;
    Ok(match server.reach {
        Reach::Tcp => [&head4(CONNECT, target.services.echo, [127, 0, 0, 1])[..], user_id, &[0]].concat(),
        Reach::I2p => request4a(CONNECT, user_id, target.host.as_bytes(), target.services.echo),
    })
}

fn connect_by_name(server: &Server) -> Result<()> {
    let mut client = connect_and_send(server, &to_echo(server)?)?;
    client.expect_reply4(GRANTED)?;
    client.expect_echo()
}

fn byte_by_byte(server: &Server) -> Result<()> {
    let request = to_echo(server)?;
    let mut client = server.connect()?;
    client.drip(&request)?;
    client.expect_reply4(GRANTED)?;
    client.expect_echo()
}

fn early_data(server: &Server) -> Result<()> {
    const DATA: &[u8] = b"too early?";
    let mut client = connect_and_send(server, &[&to_echo(server)?, DATA].concat())?;
    client.expect_reply4(GRANTED)?;
    client.expect_back(DATA)
}

fn unknown_name(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4a)?;
    let target = server.target()?;
    connect_and_send(server, &request4a(CONNECT, b"", target.unknown_host.as_bytes(), 80))?
        .expect_reply4(REJECTED)
}

fn empty_name(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4a)?;
    match connect_and_send(server, &request4a(CONNECT, b"", b"", 80))?.read_once(CLOSE_TIMEOUT).as_deref() {
        Some([] | [0, REJECTED, _, _, _, _, _, _]) => Ok(()),
        Some(other) => bail!("{}", hex(other)),
        None => bail!("no answer within {} s", CLOSE_TIMEOUT.as_secs()),
    }
}

fn unknown_command(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4)?;
    connect_and_send(server, &[&head4(UNKNOWN_COMMAND, 80, [127, 0, 0, 1])[..], b"\0"].concat())?
        .expect_reply4(REJECTED)
}

fn bind(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4)?;
    let code = connect_and_send(server, &[&head4(BIND, 80, [127, 0, 0, 1])[..], b"\0"].concat())?.reply4()?;
    ensure!(matches!(code, GRANTED | REJECTED), "answered {code}");
    Ok(())
}

fn closed_after_failure(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4)?;
    let port = server.target()?.services.refused;
    let mut client = connect_and_send(server, &[&head4(CONNECT, port, [127, 0, 0, 1])[..], b"\0"].concat())?;
    client.expect_reply4(REJECTED)?;
    client.expect_end(CLOSE_TIMEOUT)
}

fn long_user_id(server: &Server) -> Result<()> {
    let mut client = connect_and_send(server, &to_echo_as(server, &[b'u'; 255])?)?;
    client.expect_reply4(GRANTED)?;
    client.expect_echo()
}

fn longer_user_id(server: &Server) -> Result<()> {
    let answer = connect_and_send(server, &to_echo_as(server, &[b'u'; 300])?)?.read_once(CLOSE_TIMEOUT);
    match answer.as_deref() {
        Some([] | [0, ..]) => Ok(()),
        Some(other) => bail!("{}", hex(other)),
        None => bail!("no answer within {} s", CLOSE_TIMEOUT.as_secs()),
    }
}

fn endless_user_id(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4)?;
    expect_answered_or_closed(server, &head4(CONNECT, 80, [127, 0, 0, 1]))
}

fn endless_name(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.socks4a)?;
    expect_answered_or_closed(server, &[&head4(CONNECT, 80, [0, 0, 0, 1])[..], b"user\0"].concat())
}

/// Sends an endless field. Fails unless the server answers or closes the connection before it has read far more than any message
/// has. One thread writes and one reads, since a server may answer and then read on for a while.
fn expect_answered_or_closed(server: &Server, beginning: &[u8]) -> Result<()> {
    const MAX_BYTES: usize = 32 << 20;
    const LIMIT: Duration = Duration::from_secs(20);
    let mut client = connect_and_send(server, beginning)?;
    let mut reader = client.reader()?;
    let answer = thread::spawn(move || reader.read_once(LIMIT));
    let chunk = [b'u'; 64 << 10];
    let start = Instant::now();
    let mut sent = 0;
    while sent < MAX_BYTES && start.elapsed() < LIMIT && !answer.is_finished() {
        if client.send(&chunk).is_err() {
            // The server has reset the connection, or does not read on. The reader knows which.
            break;
        }
        sent += chunk.len();
    }
    ensure!(sent < MAX_BYTES, "read 32 MiB of it and did not stop");
    match answer.join() {
        Ok(Some(_)) => Ok(()),
        _ => bail!("neither answered nor closed within {} s", LIMIT.as_secs()),
    }
}

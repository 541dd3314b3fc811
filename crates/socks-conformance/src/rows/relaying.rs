//! Relaying, after the reply. No RFC covers it, but programs break when it is wrong.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Row;
use crate::{
    client::{CLOSE_TIMEOUT, Client},
    server::Server,
    services::{BANNER, FAREWELL, FIN_SEEN, NO_FIN_SEEN},
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new("1 MiB comes back unchanged", "TCP", mebibyte),
    Row::new("bytes of a target that sends first are relayed", "SMTP, IRC, SSH", target_sends_first),
    Row::new(
        "a client that half-closes still gets the response",
        "nc reading from a pipe, HTTP/1.0",
        response_after_fin,
    ),
    Row::new("the client's FIN is passed on", "servers that read to the end", client_fin),
    Row::new("the target's FIN is passed on", "clients that read to the end", target_fin),
    Row::new(
        "after the target's FIN the client can still send",
        "TCP closes each direction alone",
        after_target_fin,
    ),
];

fn mebibyte(server: &Server) -> Result<()> {
    const SIZE: u32 = 1 << 20;
    let target = server.target()?;
    let mut client = server.connected(target, target.services.echo)?;
    // Knuth's multiplicative hash: no two parts are alike.
    let data: Vec<u8> = (0..SIZE).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut reader = client.reader()?;
    std::thread::scope(|scope| {
        let received = scope.spawn(|| reader.expect_back(&data));
        client.send(&data)?;
        received.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the reader failed")))
    })
}

fn target_sends_first(server: &Server) -> Result<()> {
    let target = server.target()?;
    let mut client = server.connected(target, target.services.banner)?;
    client.expect(BANNER)?;
    client.expect_echo()
}

/// Half-closes and returns the response of the service that waits for the client's FIN.
fn half_close(server: &Server) -> Result<Vec<u8>> {
    let target = server.target()?;
    let mut client = server.connected(target, target.services.fin)?;
    client.send(b"a request\n")?;
    client.half_close()?;
    client.receive(FIN_SEEN.len())
}

fn response_after_fin(server: &Server) -> Result<()> {
    let response = half_close(server)?;
    ensure!(response == FIN_SEEN || response == NO_FIN_SEEN, "other bytes than the target sent");
    Ok(())
}

fn client_fin(server: &Server) -> Result<()> {
    server.skip_if(server.limitations.client_fin)?;
    let response = half_close(server)?;
    ensure!(response == FIN_SEEN, "the target waits for it in vain");
    Ok(())
}

/// Connects to the farewell service and reads to its FIN.
fn read_farewell(server: &Server) -> Result<Client> {
    let target = server.target()?;
    let mut client = server.connected(target, target.services.farewell)?;
    let received = client.receive(FAREWELL.len()).context("not what the target sends first")?;
    ensure!(received == FAREWELL, "other bytes than the target sent");
    client.expect_end(CLOSE_TIMEOUT)?;
    Ok(client)
}

fn target_fin(server: &Server) -> Result<()> {
    read_farewell(server).map(drop)
}

fn after_target_fin(server: &Server) -> Result<()> {
    let text = format!("sent to {} after the farewell", server.address);
    let mut client = read_farewell(server)?;
    client.send(text.as_bytes())?;
    ensure!(
        server.target()?.services.receives_after_farewell(text.as_bytes(), CLOSE_TIMEOUT),
        "what the client sends is lost"
    );
    Ok(())
}

/// Measures how long after the reply to CONNECT the target's first bytes arrive: the median of five. A server that leaves Nagle's
/// algorithm on holds them back until the client's delayed acknowledgement of the reply.
pub(crate) fn time_to_first_bytes(server: &Server) -> Result<Duration> {
    let target = server.target()?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut client = server.connected(target, target.services.banner)?;
        let start = Instant::now();
        client.receive(BANNER.len())?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("no measurement")
}

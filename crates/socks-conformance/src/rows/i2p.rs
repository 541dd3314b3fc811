//! What matters to the clients of a way into I2P: who the far end takes them for, and why a connection failed.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::Row;
use crate::{
    client::{CONNECT, Client, GREETING, domain, request, request4a},
    server::Server,
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "clients with different credentials have different destinations",
        "sites must not learn that they are one user; Tor's IsolateSOCKSAuth",
        credentials,
    ),
    Row::new(
        "SOCKS4a clients with different user IDs have different destinations",
        "the same, for programs without SOCKS5",
        user_ids,
    ),
    Row::new(
        "clients with different addresses have different destinations",
        "sites must not learn that two machines share a proxy",
        addresses,
    ),
    Row::new("a host outside I2P, without an outproxy: 02", "RFC 1928 §6: not allowed by ruleset", outside),
    Row::new("a base32 address that nobody has: 04", "RFC 1928 §6: host unreachable", no_lease_set),
];

/// Asks the service that names the address from which it sees the client. A router has one for each destination.
fn source_of(mut client: Client, server: &Server) -> Result<Vec<u8>> {
    let target = server.target()?;
    client.send(&request(CONNECT, &domain(target.host.as_bytes()), target.services.source))?;
    client.expect_success()?;
    client.receive(4)
}

/// Fails unless two clients have one destination each, and the first one the same again.
fn expect_isolated(server: &Server, who: impl Fn(u8) -> Result<Vec<u8>>) -> Result<()> {
    server.skip_outside_i2p()?;
    let (first, second, again) = (who(1)?, who(2)?, who(1)?);
    ensure!(first == again, "one client has two destinations");
    ensure!(first != second, "the target sees one destination");
    Ok(())
}

fn credentials(server: &Server) -> Result<()> {
    expect_isolated(server, |number| {
        let mut client = server.connect()?;
        let status = client.authenticate(&[b'a', b'0' + number], b"password")?;
        ensure!(status == 0, "rejects them: {status:02x}");
        source_of(client, server)
    })
}

fn user_ids(server: &Server) -> Result<()> {
    expect_isolated(server, |number| {
        let target = server.target()?;
        let (user_id, host) = ([b'a', b'0' + number], target.host.as_bytes());
        let mut client = server.connect()?;
        client.send(&request4a(CONNECT, &user_id, host, target.services.source))?;
        client.expect_reply4(90)?;
        client.receive(4)
    })
}

fn addresses(server: &Server) -> Result<()> {
    expect_isolated(server, |number| {
        let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 0, number), server.address)?;
        client.send(&GREETING)?;
        client.expect(&[5, 0])?;
        source_of(client, server)
    })
}

fn outside(server: &Server) -> Result<()> {
    server.skip_outside_i2p()?;
    let mut client = server.greeted()?;
    client.send(&request(CONNECT, &domain(b"example.com"), 80))?;
    client.expect_refusal_with(2)
}

fn no_lease_set(server: &Server) -> Result<()> {
    /// i2pd 2.45 asks the network for 20 s.
    const LIMIT: Duration = Duration::from_secs(40);
    server.skip_outside_i2p()?;
    let host = format!("{}.b32.i2p", "a".repeat(52));
    let mut client = server.greeted()?;
    client.send(&request(CONNECT, &domain(host.as_bytes()), 80))?;
    client.expect_refusal_within(4, LIMIT)
}

/// Stops the router, sends a request, and starts the router again.
pub(crate) fn waits_for_router(server: &Server) -> Result<()> {
    server.skip_outside_i2p()?;
    let target = server.target()?;
    let Some(router) = &server.router else { bail!("a way into I2P without a router") };
    router.off()?;
    let asked = server.greeted().and_then(|mut client| {
        client.send(&request(CONNECT, &domain(target.host.as_bytes()), target.services.echo))?;
        Ok(client)
    });
    router.on()?;
    let mut client = asked.context("while its router is away")?;
    client.expect_success()?;
    client.expect_echo()
}

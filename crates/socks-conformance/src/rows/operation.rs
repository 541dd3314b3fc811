//! What matters to those who run the server.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, Result, ensure};

use super::Row;
use crate::{
    client::{ANSWER_TIMEOUT, CLOSE_TIMEOUT, CONNECT, Client, GREETING, domain, request, request4a},
    server::{PASSWORD, Server, USER},
};

/// The rows.
pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "a password can be required: the right one is accepted, others are not",
        "RFC 1929; other users and machines",
        password,
    ),
    Row::new(
        "where a password is required, SOCKS4a is refused",
        "SOCKS4 has no passwords, and must not be a way around them",
        no_way_around,
    ),
    Row::new("metrics for Prometheus over HTTP", "alerts before users complain", metrics),
];

fn password(server: &Server) -> Result<()> {
    let address = server.with_password.address()?;
    let target = server.target()?;
    let mut client = Client::connect(address)?;
    client.send(&GREETING)?;
    client.expect(&[5, 0xff]).context("without a password")?;
    let status = Client::connect(address)?.authenticate(USER, b"wrong")?;
    ensure!(status != 0, "accepts a wrong password");
    let mut client = Client::connect(address)?;
    let status = client.authenticate(USER, PASSWORD)?;
    ensure!(status == 0, "rejects the right password: {status:02x}");
    client.send(&request(CONNECT, &domain(target.host.as_bytes()), target.services.echo))?;
    client.expect_success()?;
    client.expect_echo()
}

fn no_way_around(server: &Server) -> Result<()> {
    let address = server.with_password.address()?;
    let target = server.target()?;
    let mut client = Client::connect(address)?;
    client.send(&request4a(CONNECT, USER, target.host.as_bytes(), target.services.echo))?;
    match client.read_once(CLOSE_TIMEOUT).as_deref() {
        Some([0, 90, ..]) => Err(anyhow::anyhow!("answered 90, success")),
        _ => Ok(()),
    }
}

fn metrics(server: &Server) -> Result<()> {
    let address = server.metrics.address()?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT).context("no connection")?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response).context("no metrics")?;
    ensure!(response.contains("\n# TYPE "), "no metrics");
    Ok(())
}

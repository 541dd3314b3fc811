//! Free TCP ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};

/// Finds a port of 127.0.0.1 on which nobody listens now, for a program that must be told its port.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().context("no free port")
}

/// The same without the address.
pub fn free_port() -> Result<u16> {
    Ok(free_address()?.port())
}

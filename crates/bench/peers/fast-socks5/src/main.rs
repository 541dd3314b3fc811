//! `fast-socks5-server ADDRESS`: fast-socks5 as the smallest server that it makes, set up as its own example is.

#![forbid(unsafe_code)]

use std::time::Duration;

use fast_socks5::{
    Socks5Command, SocksError,
    server::{DnsResolveHelper as _, Socks5ServerProtocol, run_tcp_proxy},
};
use tokio::net::{TcpListener, TcpStream};

/// How long a connection to the far end may take.
const DIAL: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1080".into());
    let listener = TcpListener::bind(address).await?;
    loop {
        let (client, _) = listener.accept().await?;
        // What goes wrong with one client is the client's to see.
        tokio::spawn(serve(client));
    }
}

async fn serve(client: TcpStream) -> Result<(), SocksError> {
    let protocol = Socks5ServerProtocol::accept_no_auth(client).await?;
    let (protocol, command, target) = protocol.read_command().await?.resolve_dns().await?;
    if command == Socks5Command::TCPConnect {
        // Nagle's algorithm stays on, as in its example.
        run_tcp_proxy(protocol, &target, DIAL, false).await?;
    }
    Ok(())
}

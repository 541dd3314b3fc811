//! A SOCKS server: connects every client to the IP address that the client asks for.
//!
//! ```sh
//! cargo run -p socks-wire --features tokio --example socks_server -- 127.0.0.1:1080
//! curl --proxy socks5://127.0.0.1:1080 http://192.0.2.1/
//! ```

use std::{env, error::Error, io, net::IpAddr, time::Duration};

use socks_wire::{
    Authentication, Command,
    stream::{OwnedAddress, accept},
    v4, v5,
};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// The time limit for a client's handshake, and for the connection to its target.
const TIME_LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await
}

/// Serves all clients of a listener, each in a task of its own.
pub(crate) async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve_client(client).await {
                eprintln!("a client's connection failed: {error}");
            }
        });
    }
}

/// Serves one client, from its first byte to the end of its connection.
async fn serve_client(client: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    // The handshake of SOCKS4, SOCKS4a or SOCKS5, up to the request. No credentials are asked for, so none are accepted.
    let accepted = accept(client, Authentication::None, TIME_LIMIT, |_| false).await?;
    let request = accepted.request();
    if request.command != Command::CONNECT {
        accepted.refuse(v5::ReplyCode::COMMAND_NOT_SUPPORTED, v4::ReplyCode::REJECTED).await?;
        return Ok(());
    }
    let Ok(mut target) = connect(&request.address, request.port).await else {
        accepted.refuse(v5::ReplyCode::HOST_UNREACHABLE, v4::ReplyCode::REJECTED).await?;
        return Ok(());
    };
    // Early data is what the client sent before our reply. It goes to the target first.
    let (mut client, early_data) = accepted.grant().await?;
    target.write_all(&early_data).await?;
    copy_bidirectional(&mut client, &mut target).await?;
    Ok(())
}

/// Connects to a target that is an IP address, in binary form or as text. Names are refused: a local DNS lookup would tell the
/// resolver which hosts the client visits. A proxy passes them on to its network instead.
async fn connect(address: &OwnedAddress, port: u16) -> io::Result<TcpStream> {
    let ip: Option<IpAddr> = match address {
        OwnedAddress::Ip(ip) => Some(*ip),
        OwnedAddress::Domain(name) => str::from_utf8(name).ok().and_then(|text| text.parse().ok()),
    };
    let ip = ip.ok_or(io::ErrorKind::Unsupported)?;
    timeout(TIME_LIMIT, TcpStream::connect((ip, port))).await?
}

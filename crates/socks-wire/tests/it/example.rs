//! Runs `examples/socks_server.rs`: a client reaches an echo service through it.

use std::{io, net::SocketAddr, time::Duration};

use socks_wire::{
    Address, ClientError, ClientRequest, Command, Protocol,
    stream::{ConnectError, Connected, connect},
    v5,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

#[allow(dead_code, reason = "its main function runs only when the example is a program of its own")]
#[path = "../../examples/socks_server.rs"]
mod socks_server;

const LIMIT: Duration = Duration::from_secs(30);

/// Starts a service that sends back what it receives. Returns its address.
async fn start_echo_service() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut reader, mut writer) = stream.split();
            copy(&mut reader, &mut writer).await.unwrap();
        }
    });
    Ok(address)
}

/// Starts the example. Returns its address.
async fn start_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(socks_server::serve(listener));
    Ok(address)
}

async fn ask(
    server: SocketAddr,
    protocol: Protocol,
    command: Command,
    address: Address<'_>,
    port: u16,
) -> Result<Connected<TcpStream>, ConnectError> {
    let stream = TcpStream::connect(server).await?;
    connect(stream, ClientRequest { protocol, command, address, port, credentials: None }, LIMIT).await
}

#[tokio::test]
async fn a_client_reaches_an_echo_service_through_the_server() {
    let echo = start_echo_service().await.unwrap();
    let server = start_server().await.unwrap();
    let text = echo.ip().to_string();
    for (protocol, address) in [
        (Protocol::Socks4, Address::Ip(echo.ip())),
        (Protocol::Socks4a, Address::Domain(text.as_bytes())),
        (Protocol::Socks5, Address::Ip(echo.ip())),
    ] {
        let Connected { mut stream, early_data: mut answer, .. } =
            ask(server, protocol, Command::CONNECT, address, echo.port()).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"hello", "{protocol:?}");
    }
}

#[tokio::test]
async fn names_and_other_commands_are_refused() {
    let server = start_server().await.unwrap();
    for (command, code) in [
        (Command::CONNECT, v5::ReplyCode::HOST_UNREACHABLE),
        (Command::BIND, v5::ReplyCode::COMMAND_NOT_SUPPORTED),
    ] {
        let name = Address::Domain(b"example.i2p");
        let refused = ask(server, Protocol::Socks5, command, name, 80).await.map(drop).unwrap_err();
        let ConnectError::Handshake(ClientError::Refused(refused)) = refused else { panic!("{refused}") };
        assert_eq!(refused, code);
    }
}

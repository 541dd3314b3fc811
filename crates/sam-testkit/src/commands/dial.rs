//! [`Act::Dial`](crate::Act::Dial): a stream to a server on this machine.

use std::{io, net::Ipv4Addr};

use i2p_name::B32;
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    connection::{Connection, NextStep, Role},
    registry::Session,
    socket::Socket,
};

/// Does what [`Act::Dial`](crate::Act::Dial) says.
pub(crate) async fn connect(connection: &mut Connection, command: &str) -> io::Result<NextStep> {
    let port = command.split(' ').find_map(|pair| pair.strip_prefix("TO_PORT="));
    let Some(port) = port.and_then(|port| port.parse().ok()) else {
        return connection.refuse("STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"no TO_PORT to dial\"").await;
    };
    let target = command.split(' ').find_map(|pair| pair.strip_prefix("DESTINATION="));
    let address = target.and_then(|target| target.parse::<B32>().ok());
    if address.is_some_and(|address| connection.shared.registry.by_address(&address).is_none()) {
        return connection.refuse("STREAM STATUS RESULT=INVALID_KEY MESSAGE=\"Lease set not found\"").await;
    }
    let session = connection.session_of_stream(command);
    match connect_from(source(session.as_deref()), port).await {
        Ok(server) => {
            server.set_nodelay(true)?;
            connection.send("STREAM STATUS RESULT=OK\n").await?;
            Ok(NextStep::Become(Role::ToServer { server: Socket::Tcp(server), session }))
        }
        Err(_) => {
            connection.refuse("STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection refused\"").await
        }
    }
}

/// The address from which a server sees the streams of a session: one for each destination, as with a server tunnel of i2pd. Only
/// Linux has all of 127.0.0.0/8 without asking for it.
fn source(session: Option<&Session>) -> Ipv4Addr {
    match session.filter(|_| cfg!(target_os = "linux")) {
        Some(session) => {
            let [first, second, third, ..] = *session.keys.destination.b32().hash();
            Ipv4Addr::new(127, first, second, third)
        }
        None => Ipv4Addr::LOCALHOST,
    }
}

async fn connect_from(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect((Ipv4Addr::LOCALHOST, port).into()).await
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::{TcpListener, TcpStream},
    };

    use crate::{Act, TestBridge};

    async fn connect(port: &str) -> (TestBridge, BufReader<TcpStream>, String) {
        connect_to("b", port).await
    }

    async fn connect_to(target: &str, port: &str) -> (TestBridge, BufReader<TcpStream>, String) {
        let bridge = TestBridge::start().await;
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let mut stream = BufReader::new(TcpStream::connect(bridge.address()).await.unwrap());
        let command = format!("STREAM CONNECT ID=a DESTINATION={target} SILENT=false{port}\n");
        stream.write_all(command.as_bytes()).await.unwrap();
        let mut status = String::new();
        stream.read_line(&mut status).await.unwrap();
        (bridge, stream, status)
    }

    #[tokio::test]
    async fn a_stream_reaches_the_port_and_lasts_until_the_client_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_bridge, mut client, status) = connect(&format!(" TO_PORT={port}")).await;
        assert_eq!(status, "STREAM STATUS RESULT=OK\n");
        let (mut server, _) = listener.accept().await.unwrap();
        // The server finishes first, and still receives from the client.
        server.write_all(b"hello").await.unwrap();
        server.shutdown().await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"hello");
        client.write_all(b"still here").await.unwrap();
        let mut said = [0; 10];
        server.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"still here");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_server_sees_an_address_for_each_destination() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bridge = TestBridge::start().await;
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let mut seen = Vec::new();
        let mut open = Vec::new();
        for (session, first) in [("a", true), ("a", false), ("b", true)] {
            for command in [
                format!("SESSION CREATE STYLE=STREAM ID={session} DESTINATION=TRANSIENT\n"),
                format!("STREAM CONNECT ID={session} DESTINATION=b SILENT=false TO_PORT={port}\n"),
            ] {
                if command.starts_with("SESSION") && !first {
                    continue;
                }
                let mut stream = BufReader::new(TcpStream::connect(bridge.address()).await.unwrap());
                let mut answer = String::new();
                stream.write_all(b"HELLO VERSION\n").await.unwrap();
                stream.read_line(&mut answer).await.unwrap();
                answer.clear();
                stream.write_all(command.as_bytes()).await.unwrap();
                stream.read_line(&mut answer).await.unwrap();
                assert!(answer.contains("RESULT=OK"), "{answer}");
                open.push(stream);
            }
            seen.push(listener.accept().await.unwrap().1.ip());
        }
        assert_eq!(seen[0], seen[1]);
        assert_ne!(seen[0], seen[2]);
    }

    #[tokio::test]
    async fn the_clients_fin_ends_both_directions() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_bridge, mut client, _) = connect(&format!(" TO_PORT={port}")).await;
        let (mut server, _) = listener.accept().await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        // What the server sends now is lost, as on every router.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_unused_port_and_an_address_of_nobody_are_refused() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (_bridge, _, status) = connect(&format!(" TO_PORT={port}")).await;
        assert_eq!(status, "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection refused\"\n");
        let nobody = format!("{}.b32.i2p", "a".repeat(52));
        let (_bridge, _, status) = connect_to(&nobody, " TO_PORT=1").await;
        assert_eq!(status, "STREAM STATUS RESULT=INVALID_KEY MESSAGE=\"Lease set not found\"\n");
        let (_bridge, _, status) = connect("").await;
        assert!(status.starts_with("STREAM STATUS RESULT=I2P_ERROR"), "{status}");
    }
}

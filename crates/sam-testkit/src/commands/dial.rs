//! [`Act::Dial`](crate::Act::Dial): a stream to a server on this machine.

use std::{io, net::Ipv4Addr};

use tokio::net::TcpStream;

use crate::{
    connection::{Connection, NextStep, Role},
    socket::Socket,
};

/// Does what [`Act::Dial`](crate::Act::Dial) says.
pub(crate) async fn connect(connection: &mut Connection, command: &str) -> io::Result<NextStep> {
    let port = command.split(' ').find_map(|pair| pair.strip_prefix("TO_PORT="));
    let Some(port) = port.and_then(|port| port.parse().ok()) else {
        return connection.refuse("STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"no TO_PORT to dial\"").await;
    };
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(server) => {
            server.set_nodelay(true)?;
            connection.send("STREAM STATUS RESULT=OK\n").await?;
            let server = Socket::Tcp(server);
            Ok(NextStep::Become(Role::ToServer { server, session: connection.session_of_stream(command) }))
        }
        Err(_) => {
            connection.refuse("STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection refused\"").await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::{TcpListener, TcpStream},
    };

    use crate::{Act, TestBridge};

    async fn connect(port: &str) -> (TestBridge, BufReader<TcpStream>, String) {
        let bridge = TestBridge::start().await;
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let mut stream = BufReader::new(TcpStream::connect(bridge.address()).await.unwrap());
        let command = format!("STREAM CONNECT ID=a DESTINATION=b SILENT=false{port}\n");
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
    async fn an_unused_port_refuses() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (_bridge, _, status) = connect(&format!(" TO_PORT={port}")).await;
        assert_eq!(status, "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection refused\"\n");
        let (_bridge, _, status) = connect("").await;
        assert!(status.starts_with("STREAM STATUS RESULT=I2P_ERROR"), "{status}");
    }
}

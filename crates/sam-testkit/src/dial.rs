use std::{io, net::Ipv4Addr};

use tokio::{
    io::{AsyncWriteExt, BufReader, copy},
    net::TcpStream,
};

/// Does what [`Act::Dial`](crate::Act::Dial) says.
pub(crate) async fn perform(client: &mut BufReader<TcpStream>, command: &str) -> io::Result<()> {
    let port = command.split(' ').find_map(|pair| pair.strip_prefix("TO_PORT="));
    let Some(port) = port.and_then(|port| port.parse().ok()) else {
        return client.write_all(b"STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"no TO_PORT to dial\"\n").await;
    };
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(server) => {
            server.set_nodelay(true)?;
            client.get_ref().set_nodelay(true)?;
            client.write_all(b"STREAM STATUS RESULT=OK\n").await?;
            relay(client, server).await
        }
        Err(_) => {
            let answer = b"STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection refused\"\n";
            client.write_all(answer).await
        }
    }
}

/// Until the client has finished.
async fn relay(client: &mut BufReader<TcpStream>, mut server: TcpStream) -> io::Result<()> {
    let early_data = client.buffer().to_vec();
    let (mut from_client, mut to_client) = client.get_mut().split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        to_server.write_all(&early_data).await?;
        copy(&mut from_client, &mut to_server).await
    };
    let down = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await?;
        // Not the end: that is the client's to say.
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        result = up => result.map(drop),
        result = down => result,
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
    async fn a_stream_leads_to_the_port_and_lives_until_the_client_finishes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_bridge, mut client, status) = connect(&format!(" TO_PORT={port}")).await;
        assert_eq!(status, "STREAM STATUS RESULT=OK\n");
        let (mut server, _) = listener.accept().await.unwrap();
        // The server finishes first, and still hears the client.
        server.write_all(b"hello").await.unwrap();
        server.shutdown().await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hello");
        client.write_all(b"still here").await.unwrap();
        let mut said = [0; 10];
        server.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"still here");
    }

    #[tokio::test]
    async fn the_clients_end_ends_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_bridge, mut client, _) = connect(&format!(" TO_PORT={port}")).await;
        let (mut server, _) = listener.accept().await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        // What the server has to say now is lost, as at every router.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_refuses() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (_bridge, _, status) = connect(&format!(" TO_PORT={port}")).await;
        assert_eq!(status, "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"Connection refused\"\n");
        let (_bridge, _, status) = connect("").await;
        assert!(status.starts_with("STREAM STATUS RESULT=I2P_ERROR"), "{status}");
    }
}

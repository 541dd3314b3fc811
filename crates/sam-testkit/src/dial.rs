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

//! i2pd's own HTTP proxy, on a private network of two routers.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::{
    formation,
    ports::free_port,
    router::{Settings, pair},
    wait::{Attempt, until},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{I2P_NAMES, Kind, Running, Setup, local};

/// The routers of this network.
pub(crate) const ROUTERS: u16 = 2;
/// How long it may take until a site is reached.
const REACH_TIMEOUT: Duration = Duration::from_secs(90);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn start(setup: &Setup) -> Result<Running> {
    let [host, _] = I2P_NAMES;
    // A site that tells whether the network has formed.
    let listener = TcpListener::bind(local(0)).await?;
    let first = listener.local_addr()?.port();
    let answering = tokio::spawn(answer_all(listener));
    let ports = [&[first], setup.ports.as_slice()].concat();
    let formed = formation::form("the network of i2pd", &setup.lab, async |directory| {
        let port = free_port()?;
        let client = Settings { http_port: Some(port), ..Settings::default() };
        let routers = pair::start(directory, &client, host, &ports).await?;
        until("i2pd reaches the sites", REACH_TIMEOUT, async || {
            Ok(Attempt::of(
                timeout(ATTEMPT_TIMEOUT, ask(port, host, first)).await.context("no answer").flatten(),
            ))
        })
        .await?;
        Ok((local(port), routers))
    });
    let (address, routers) = formed.await?;
    answering.abort();
    Ok(Running {
        address,
        version: Kind::I2pd.package_version()?,
        names: I2P_NAMES,
        _parts: vec![Box::new(routers)],
    })
}

async fn answer_all(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        });
    }
}

async fn ask(proxy: u16, host: &str, port: u16) -> Result<()> {
    let mut client = TcpStream::connect(local(proxy)).await?;
    client
        .write_all(format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n").as_bytes())
        .await?;
    let mut begin = [0; 12];
    client.read_exact(&mut begin).await?;
    anyhow::ensure!(&begin == b"HTTP/1.1 200", "answered {:?}", String::from_utf8_lossy(&begin));
    Ok(())
}

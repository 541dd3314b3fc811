//! A site that tells whether a proxy of I2P reaches the sites.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::wait::{Attempt, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use super::local;

/// How long it may take until the site is reached.
const REACH_TIMEOUT: Duration = Duration::from_secs(90);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The site. Dropping it ends it.
pub(super) struct Probe {
    pub(super) port: u16,
    answering: JoinHandle<()>,
}

impl Probe {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(local(0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { port, answering: tokio::spawn(answer_all(listener)) })
    }

    /// Waits until the proxy at this port reaches the site under this name.
    pub(super) async fn reached(&self, proxy: u16, host: &str) -> Result<()> {
        until("the proxy reaches the sites", REACH_TIMEOUT, async || {
            let asked = timeout(ATTEMPT_TIMEOUT, ask(proxy, host, self.port)).await;
            Ok(Attempt::of(asked.context("no answer").flatten()))
        })
        .await
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.answering.abort();
    }
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

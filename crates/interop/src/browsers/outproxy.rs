//! An outproxy that reports a failure for each target, which the target's name chooses: `code-5.example` is refused.

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Where it listens. The namespace is ours, so that the port is free.
pub(super) const ADDRESS: &str = "127.0.0.1:7001";

/// A running outproxy. It ends when this is dropped.
pub(super) struct FailingOutproxy(JoinHandle<()>);

impl FailingOutproxy {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(ADDRESS).await.context("no socket for the outproxy")?;
        let task = tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    // The client notices whatever goes wrong.
                    tokio::spawn(async move { drop(fail(stream).await) });
                }
            }
        });
        Ok(Self(task))
    }
}

impl Drop for FailingOutproxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves one request of SOCKS5 without credentials (RFC 1928).
async fn fail(mut stream: TcpStream) -> Result<()> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    stream.read_exact(&mut vec![0; greeting[1].into()]).await?;
    stream.write_all(&[5, 0]).await?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let mut target = vec![0; usize::from(head[4]) + 2];
    stream.read_exact(&mut target).await?;
    let name = String::from_utf8_lossy(&target);
    let code = name.split(['-', '.']).nth(1).and_then(|code| code.parse().ok()).unwrap_or(1);
    stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(())
}

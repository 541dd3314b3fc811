//! Relays between the bridge and the servers, and keeps what clients have sent.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

/// How far the ports of the servers are from those at which clients find them.
pub(crate) const OFFSET: u16 = 10_000;
/// The ports of the servers, as clients know them.
pub(crate) const PORTS: [u16; 5] = [21, 110, 143, 587, 6667];

/// What clients have sent to all servers.
#[derive(Clone, Default)]
pub(crate) struct Recorders(Arc<Mutex<Vec<u8>>>);

impl Recorders {
    pub(crate) async fn start() -> Result<Self> {
        let recorders = Self::default();
        for port in PORTS {
            let listener = TcpListener::bind(("0.0.0.0", port)).await.context("no socket for a recorder")?;
            tokio::spawn(recorders.clone().serve(listener, port + OFFSET));
        }
        Ok(recorders)
    }

    async fn serve(self, listener: TcpListener, port: u16) {
        while let Ok((client, _)) = listener.accept().await {
            let recorders = self.clone();
            tokio::spawn(async move { drop(recorders.relay(client, port).await) });
        }
    }

    async fn relay(self, client: TcpStream, port: u16) -> Result<()> {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(("127.0.0.1", port)).await?.into_split();
        let down = tokio::spawn(async move {
            let _ = copy(&mut from_server, &mut to_client).await;
        });
        let mut chunk = [0; 4096];
        loop {
            let read = from_client.read(&mut chunk).await?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            to_server.write_all(bytes).await?;
        }
        to_server.shutdown().await?;
        down.await?;
        Ok(())
    }

    /// What was recorded since the last call.
    pub(crate) fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

//! A gate between the proxy and the SAM bridge. While it is closed, no session is built. Otherwise the router answers: the page
//! that waits for tunnels is not the one for a router that is away.

use std::net::SocketAddr;

use anyhow::Result;
use i2p_sam::Bridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The command that is held back.
const CREATES_SESSION: &[u8] = b"SESSION CREATE ";

/// An open gate. Its connections end when this is dropped.
pub(super) struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Listens for connections to a bridge.
    pub(super) async fn start(bridge: &Bridge) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let is_open = watch::Sender::new(true);
        let task = tokio::spawn(serve(listener, bridge.address().to_string(), is_open.subscribe()));
        Ok(Self { address, is_open, task })
    }

    /// The bridge behind the gate.
    pub(super) fn bridge(&self) -> Bridge {
        Bridge::new(self.address)
    }

    /// Passes no request for a session to the router until [`Gate::open`].
    pub(super) fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Passes on what was held back, too.
    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, bridge: String, is_open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // The proxy notices whatever goes wrong.
        connections.spawn(relay(client, bridge.clone(), is_open.clone()));
    }
}

/// Copies both ways. A request for a session, and what follows it, waits while the gate is closed.
async fn relay(client: TcpStream, bridge: String, mut is_open: watch::Receiver<bool>) -> Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_bridge, mut to_bridge) = TcpStream::connect(bridge).await?.into_split();
    let requests = async {
        let mut buffer = Vec::with_capacity(16 * 1024);
        while from_client.read_buf(&mut buffer).await? > 0 {
            if buffer.starts_with(CREATES_SESSION) {
                is_open.wait_for(|is_open| *is_open).await?;
            }
            to_bridge.write_all(&buffer).await?;
            buffer.clear();
        }
        to_bridge.shutdown().await?;
        anyhow::Ok(())
    };
    let answers = async {
        copy(&mut from_bridge, &mut to_client).await?;
        to_client.shutdown().await?;
        Ok(())
    };
    tokio::try_join!(requests, answers)?;
    Ok(())
}

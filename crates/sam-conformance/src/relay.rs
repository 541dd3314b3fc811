//! A relay to a bridge whose connections can be cut, as if the router went away.

use std::io;

use i2p_sam::BridgeAddress;
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::report::{CheckFailure, Promised};

/// Forwards connections to a bridge until dropped.
pub(crate) struct CuttableRelay {
    address: String,
    /// Counts the cuts.
    cuts: watch::Sender<u32>,
    task: JoinHandle<()>,
}

impl CuttableRelay {
    pub(crate) async fn to(bridge: &BridgeAddress) -> Result<Self, CheckFailure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.promised("a free port")?;
        let address = listener.local_addr().promised("a free port")?.to_string();
        let (cuts, cut) = watch::channel(0);
        let bridge = bridge.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, bridge.clone(), cut.clone()));
            }
        });
        Ok(Self { address, cuts, task })
    }

    /// Its address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends all connections. New ones are relayed again.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for CuttableRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, bridge: BridgeAddress, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    let carry = async {
        let mut bridge = connect(&bridge).await?;
        client.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut bridge).await
    };
    tokio::select! {
        _ = carry => {}
        _ = cut.changed() => {}
    }
}

/// Either kind of socket.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

async fn connect(bridge: &BridgeAddress) -> io::Result<Box<dyn Socket>> {
    match bridge {
        BridgeAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            // Lines are not joined: routers lose lines that arrive in one segment.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        #[cfg(unix)]
        BridgeAddress::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

//! A relay to a bridge whose connections can be cut, as if the router went away.

use tokio::{
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
    pub(crate) async fn to(bridge: &str) -> Result<Self, CheckFailure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.promised("a free port")?;
        let address = listener.local_addr().promised("a free port")?.to_string();
        let (cuts, cut) = watch::channel(0);
        let bridge = bridge.to_owned();
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

async fn carry(mut client: TcpStream, bridge: String, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    let carry = async {
        let mut bridge = TcpStream::connect(bridge).await?;
        // Lines are not joined: routers lose lines that arrive in one segment.
        bridge.set_nodelay(true)?;
        client.set_nodelay(true)?;
        tokio::io::copy_bidirectional(&mut client, &mut bridge).await
    };
    tokio::select! {
        _ = carry => {}
        _ = cut.changed() => {}
    }
}

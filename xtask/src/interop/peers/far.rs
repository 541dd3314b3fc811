//! What our clients' datagrams go to, and who calls them back: sessions of another router.

use anyhow::{Context, Result};
use i2p_name::B32;
use i2p_sam::{
    Bridge, DatagramPeer, DatagramSession, DatagramStyle, MAX_PACKET_BYTES, Ports, Sender, Session,
    SessionOptions,
};
use tokio::task::JoinHandle;

use crate::{
    interop::{LEASE_SET, TUNNELS, open_session},
    lab::wait::{Attempt, until},
};

/// Sessions for the echo before it is given up: as many as the site has keys, see `interop::publish`.
const ATTEMPTS: usize = 3;

/// An echo of datagrams, and two that call back.
pub(crate) struct Far {
    pub(super) echo: Echo,
    pub(super) peer: Session,
    pub(super) other: Session,
}

/// An echo of datagrams, until this is dropped.
pub(crate) struct Echo {
    pub(crate) b32: B32,
    task: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    /// Opens its session on `bridge`. Comes back when the other router's bridge finds it.
    pub(crate) async fn open(bridge: &Bridge, near: &Bridge) -> Result<Self> {
        let session = found(bridge, near).await?;
        let b32 = session.session().destination().b32();
        Ok(Self { b32, task: tokio::spawn(answer(session)) })
    }
}

impl Far {
    /// Opens the sessions on `bridge`. Comes back when the other router's bridge finds the echo.
    pub(super) async fn open(bridge: &Bridge, near: &Bridge) -> Result<Self> {
        let options = SessionOptions::default().length(1).quantity(2);
        let (echo, peer, other) = tokio::try_join!(
            Echo::open(bridge, near),
            open_session(bridge, "the tunnels of who calls back", &options),
            open_session(bridge, "the tunnels of another one", &options),
        )?;
        Ok(Self { echo, peer, other })
    }
}

/// A session for datagrams that is found; another one where it is not, since i2pd publishes some never.
async fn found(bridge: &Bridge, near: &Bridge) -> Result<DatagramSession> {
    let published = SessionOptions::default().length(1).quantity(4).publish(true);
    let mut why = None;
    for _ in 0..ATTEMPTS {
        let session = until("the echo's tunnels", TUNNELS, async || {
            let any = Ports { from: 0, to: 0 };
            Ok(Attempt::of(bridge.create_datagram_session(DatagramStyle::Datagram, any, &published).await))
        })
        .await?;
        let name = session.session().destination().b32().into();
        let found = until("the echo is found", LEASE_SET, async || Ok(Attempt::of(near.lookup(&name).await)));
        match found.await {
            Ok(_) => return Ok(session),
            Err(error) => {
                println!("  {error:#}; again with another session");
                why = Some(error);
            }
        }
    }
    Err(why.context("there are no attempts")?)
}

/// Sends each datagram back to where it came from.
async fn answer(session: DatagramSession) {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    while let Ok(received) = session.receive(&mut buffer).await {
        if let Ok(Sender::Destination(sender)) = received.sender.decode() {
            // What is lost shows at the client, which counts.
            let _ =
                session.send(&DatagramPeer::from(&sender), Ports { from: 0, to: 0 }, received.payload).await;
        }
    }
}

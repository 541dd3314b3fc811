//! What our clients' datagrams go to, and who calls them back: sessions of another router.

use anyhow::{Context, Result};
use i2p_name::B32;
use i2p_sam::{
    Bridge, DatagramPeer, DatagramSession, DatagramStyle, MAX_PACKET, Ports, Sender, Session, SessionOptions,
};
use tokio::task::JoinHandle;

use crate::{
    interop::{LEASE_SET, TUNNELS, open_session},
    lab::wait::{Attempt, until},
};

/// Sessions for the echo before it is given up: as many as the site has keys, see `interop::publish`.
const ATTEMPTS: usize = 3;

/// An echo of datagrams, and two that call back.
pub(super) struct Far {
    /// The echo's address.
    pub(super) echo: B32,
    pub(super) peer: Session,
    pub(super) other: Session,
    task: JoinHandle<()>,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Far {
    /// Opens the sessions on `bridge`. Comes back when the other router's bridge finds the echo.
    pub(super) async fn open(bridge: &Bridge, near: &Bridge) -> Result<Self> {
        let options = SessionOptions::default().length(1).quantity(2);
        let (session, peer, other) = tokio::try_join!(
            echo(bridge, near),
            open_session(bridge, "the tunnels of who calls back", &options),
            open_session(bridge, "the tunnels of another one", &options),
        )?;
        let echo = session.session().destination().b32();
        Ok(Self { echo, peer, other, task: tokio::spawn(answer(session)) })
    }
}

/// A session for datagrams that is found; another one where it is not, since i2pd publishes some never.
async fn echo(bridge: &Bridge, near: &Bridge) -> Result<DatagramSession> {
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
    let mut buffer = vec![0; MAX_PACKET];
    while let Ok(received) = session.receive(&mut buffer).await {
        if let Ok(Sender::Destination(sender)) = received.sender.decode() {
            // What is lost shows at the client, which counts.
            let _ =
                session.send(&DatagramPeer::from(&sender), Ports { from: 0, to: 0 }, received.payload).await;
        }
    }
}

//! An echo for datagrams: a published session that sends each datagram back to its sender.

use anyhow::{Context, Result};
use i2p_name::B32;
use i2p_sam::{
    Bridge, DatagramPeer, DatagramSession, DatagramStyle, MAX_PACKET_BYTES, Ports, Sender, SessionOptions,
};
use tokio::task::JoinHandle;

use crate::{
    sessions::{LEASE_SET_PATIENCE, TUNNELS_TIMEOUT},
    wait::{Attempt, until, until_with},
};

/// Sessions to try, since i2pd does not publish each of them, see [`crate::site`].
const SESSIONS: usize = 3;
/// i2pd drops the ports of datagrams.
const ANY_PORT: Ports = Ports { from: 0, to: 0 };

/// A running echo. It ends when this is dropped.
pub struct Echo {
    /// Its base32 address.
    pub b32: B32,
    task: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    /// Opens the echo on `bridge`. Returns once the router of `client_bridge` finds it.
    pub async fn open(bridge: &Bridge, client_bridge: &Bridge) -> Result<Self> {
        let session = open_published(bridge, client_bridge).await?;
        let b32 = session.session().destination().b32();
        Ok(Self { b32, task: tokio::spawn(answer(session)) })
    }
}

/// Opens sessions until the client's router finds one.
async fn open_published(bridge: &Bridge, client_bridge: &Bridge) -> Result<DatagramSession> {
    let options = SessionOptions::default().length(1).quantity(4).publish(true);
    let mut failure = None;
    for _ in 0..SESSIONS {
        let session = until("the echo's tunnels", TUNNELS_TIMEOUT, async || {
            let opened = bridge.create_datagram_session(DatagramStyle::Datagram, ANY_PORT, &options);
            Ok(Attempt::of(opened.await))
        })
        .await?;
        let name = session.session().destination().b32().into();
        let found = until_with("the echo is found", LEASE_SET_PATIENCE, async || {
            Ok(Attempt::of(client_bridge.lookup(&name).await))
        });
        match found.await {
            Ok(_) => return Ok(session),
            Err(error) => {
                println!("  {error:#}; trying another session");
                failure = Some(error);
            }
        }
    }
    Err(failure.context("no session was tried")?)
}

async fn answer(session: DatagramSession) {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    while let Ok(received) = session.receive(&mut buffer).await {
        if let Ok(Sender::Destination(sender)) = received.sender.decode() {
            // The client counts what is lost.
            let _ = session.send(&DatagramPeer::from(&sender), ANY_PORT, received.payload).await;
        }
    }
}

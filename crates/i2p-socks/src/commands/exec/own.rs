//! A way of sessions of this process, for when no proxy is running.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use i2p_contain::network::OutsideStream;
use i2p_name::{B32, NamedTarget, Target};
use i2p_tunnel::{
    DatagramSender, Datagrams, Dial, Failure, Limits, OpenStream, OutproxyDatagrams, SharedStage, Socket,
};
use tokio::net::TcpStream;

use super::way::{Association, Received, Way};
use crate::{commands::streams::own::OwnSessions, daemon::sessions::Dialler};

/// Most peers of one association that are remembered.
const MAX_PEERS: usize = 512;

impl Way for OwnSessions {
    type Stream = OwnStream;
    type Association = OwnAssociation;

    async fn dial(&self, target: &Target, port: u16) -> Result<OwnStream, Failure> {
        let opened = self.dial(target, port).await?;
        Ok(OwnStream { opened, stage: self.stage(target, port), limits: self.limits() })
    }

    async fn lookup(&self, name: &NamedTarget) -> Result<(), Failure> {
        self.lookup(name).await
    }

    fn carries_datagrams(&self) -> bool {
        self.carries_datagrams()
    }

    fn may_carry_to(&self, target: &Target) -> bool {
        matches!(target, Target::I2p(_)) || self.may_lead_out(target)
    }

    async fn associate(&self) -> Result<OwnAssociation, Failure> {
        let channel = self.associate().await?;
        Ok(OwnAssociation { channel, outside: self.outproxy_datagrams()?, peers: Mutex::default() })
    }
}

/// A stream of a session of this process.
pub(in crate::commands) struct OwnStream {
    opened: OpenStream,
    stage: Option<SharedStage>,
    limits: Limits,
}

/// It is relayed as a proxy relays the streams of its clients.
impl OutsideStream for OwnStream {
    async fn relay(self, program: TcpStream) {
        // The program and the far end learn of a failure by a reset.
        let _ = self.opened.relay(Socket::from(program), &self.limits, self.stage).await;
    }

    fn abort(self) {
        self.opened.reset();
    }
}

/// The channel for datagrams of one socket of the program.
pub(in crate::commands) struct OwnAssociation {
    channel: <Dialler as Dial>::Datagrams,
    outside: OutproxyDatagrams,
    peers: Mutex<Peers>,
}

type Peer = <<Dialler as Dial>::Datagrams as Datagrams>::Peer;

/// The peers of an association, by what the program calls them and by address.
#[derive(Default)]
struct Peers {
    by_target: HashMap<Target, (std::sync::Arc<Peer>, B32)>,
    by_address: HashMap<B32, Target>,
}

impl OwnAssociation {
    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer of a target, looked up if it is not known yet.
    async fn peer(&self, target: &Target) -> Result<std::sync::Arc<Peer>, Failure> {
        let known = self.peers().by_target.get(target).map(|(peer, _)| peer.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let Target::I2p(name) = target else { return Err(Failure::NotAllowed) };
        let destination = self.channel.destination(name).await?;
        let (peer, address) = (std::sync::Arc::new(self.channel.peer(&destination)), destination.b32());
        let mut peers = self.peers();
        if peers.by_target.len() >= MAX_PEERS {
            *peers = Peers::default();
        }
        peers.by_target.insert(target.clone(), (peer.clone(), address));
        peers.by_address.insert(address, target.clone());
        Ok(peer)
    }

    /// What the program calls a sender; `None` if it has not sent anything to it.
    fn name_of(&self, sender: DatagramSender<'_>) -> Option<Target> {
        let peers = self.peers();
        match sender {
            // Raw datagrams do not name their sender. It is clear only if there is one peer.
            DatagramSender::Unknown if peers.by_address.len() == 1 => {
                peers.by_address.values().next().cloned()
            }
            sender => peers.by_address.get(&sender.b32()?).cloned(),
        }
    }
}

impl Association for OwnAssociation {
    async fn send(&self, target: &Target, port: u16, payload: &[u8]) -> Result<(), Failure> {
        if !matches!(target, Target::I2p(_)) {
            return self.outside.send((target, port), payload);
        }
        let peer = self.peer(target).await?;
        self.channel.send(&peer, port, payload).await
    }

    async fn receive(&self) -> Result<Received, Failure> {
        let mut buffer = vec![0; <<Dialler as Dial>::Datagrams as Datagrams>::BUFFER_LENGTH];
        loop {
            let received = tokio::select! {
                (sender, port, payload) = self.outside.receive() => {
                    return Ok(Received { sender, port: Some(port), payload });
                }
                received = self.channel.receive(&mut buffer) => received?,
            };
            if let Some(sender) = self.name_of(received.sender) {
                let (port, payload) = (received.port, received.payload.to_vec());
                return Ok(Received { sender, port, payload });
            }
        }
    }
}

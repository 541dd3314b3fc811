//! A way of sessions of this process, for when no proxy is running.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use i2p_contain::network::OutsideStream;
use i2p_name::{B32, NamedTarget, Target};
use i2p_tunnel::{ClientFin, DatagramSender, Datagrams, Dial, Failure, Hold, OpenStream, Socket};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::way::{Association, Received, Way};
use crate::{commands::streams::own::OwnSessions, daemon::sessions::Dialler};

/// Most peers of one association that are remembered.
const MAX_PEERS: usize = 512;

impl Way for OwnSessions {
    type Stream = OwnStream;
    type Association = OwnAssociation;

    async fn dial(&self, target: &Target, port: u16) -> Result<OwnStream, Failure> {
        Ok(OwnStream::new(self.dial(target, port).await?, self.half_close()))
    }

    async fn lookup(&self, name: &NamedTarget) -> Result<(), Failure> {
        self.lookup(name).await
    }

    fn carries_datagrams(&self) -> bool {
        self.carries_datagrams()
    }

    /// Outproxies are not asked to carry datagrams of sessions of this process.
    fn may_carry_to(&self, target: &Target) -> bool {
        matches!(target, Target::I2p(_))
    }

    async fn associate(&self) -> Result<OwnAssociation, Failure> {
        let channel = self.associate().await?;
        Ok(OwnAssociation { channel, peers: Mutex::default() })
    }
}

/// A stream of a session of this process.
pub(in crate::commands) struct OwnStream {
    socket: Socket,
    /// What the far end had sent when the stream was opened.
    first_data: io::Cursor<Vec<u8>>,
    fin: ClientFin,
    half_close: Duration,
    /// When to give up waiting for the far end, if the end of the program's data was held back.
    silent_at: Option<Pin<Box<Sleep>>>,
    _hold: Option<Box<dyn Hold>>,
}

impl OwnStream {
    fn new(opened: OpenStream, half_close: Duration) -> Self {
        let OpenStream { socket, first_data, client_fin: fin, hold } = opened;
        // A failure only makes the stream slower.
        let _ = socket.set_nodelay();
        Self {
            socket,
            first_data: io::Cursor::new(first_data),
            fin,
            half_close,
            silent_at: None,
            _hold: hold,
        }
    }
}

impl OutsideStream for OwnStream {
    fn abort(self) {
        self.socket.reset_on_close(true);
    }
}

impl AsyncRead for OwnStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.first_data).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.socket).poll_read(context, buffer);
        let Some(silent_at) = &mut this.silent_at else { return read };
        if read.is_ready() {
            silent_at.as_mut().reset(Instant::now() + this.half_close);
            return read;
        }
        silent_at.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for OwnStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    /// Holds the end of the program's data back where it would end the whole stream.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.fin {
            ClientFin::Forwarded => Pin::new(&mut this.socket).poll_shutdown(context),
            ClientFin::Held => {
                this.silent_at = Some(Box::pin(sleep(this.half_close)));
                // The other direction waits for the far end, and has to wait for this, too.
                context.waker().wake_by_ref();
                Pin::new(&mut this.socket).poll_flush(context)
            }
        }
    }
}

/// The channel for datagrams of one socket of the program.
pub(in crate::commands) struct OwnAssociation {
    channel: <Dialler as Dial>::Datagrams,
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
        let peer = self.peer(target).await?;
        self.channel.send(&peer, port, payload).await
    }

    async fn receive(&self) -> Result<Received, Failure> {
        let mut buffer = vec![0; <<Dialler as Dial>::Datagrams as Datagrams>::BUFFER_LENGTH];
        loop {
            let received = self.channel.receive(&mut buffer).await?;
            if let Some(sender) = self.name_of(received.sender) {
                let (port, payload) = (received.port, received.payload.to_vec());
                return Ok(Received { sender, port, payload });
            }
        }
    }
}

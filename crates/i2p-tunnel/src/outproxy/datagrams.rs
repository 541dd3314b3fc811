//! Datagrams to hosts outside I2P for a program that speaks no SOCKS.

use std::sync::{Mutex, PoisonError};

use i2p_name::Target;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{
    exits::{ExitUser, Exits},
    relay::decode_datagram,
    routing::Routing,
};
use crate::{account::DropReason, client::IsolationKey, failure::Failure};

/// Most datagrams that wait for the program. Further ones are dropped.
const MAX_RECEIVED: usize = 64;

/// A datagram of a host outside I2P.
type Received = (Target, u16, Vec<u8>);

/// The relays of outproxies (SOCKS5 UDP ASSOCIATE, RFC 1928 section 7) for the datagrams of one socket. Each relay is opened when there
/// is something to send. Dropping this closes them.
///
/// As over UDP, nothing reports whether a datagram arrives.
pub struct OutproxyDatagrams {
    exits: Mutex<Exits<Hand>>,
    received: AsyncMutex<mpsc::Receiver<Received>>,
}

impl OutproxyDatagrams {
    /// Opens nothing yet. `key` isolates the socket from those of others: outproxies get credentials that depend on it.
    #[must_use]
    pub fn new(routing: Routing, key: IsolationKey) -> Self {
        let (hand, received) = mpsc::channel(MAX_RECEIVED);
        Self { exits: Mutex::new(Exits::new(routing, key, Hand(hand))), received: AsyncMutex::new(received) }
    }

    /// Hands a datagram to the outproxies of the route of its target, by name if it has one. Does not wait.
    ///
    /// # Errors
    /// [`Failure::NotAllowed`] if no route leads to an outproxy that carries datagrams. [`Failure::OutproxiesFailed`] if it was dropped:
    /// no relay can be had now, too many datagrams wait, or it is too long.
    pub fn send(&self, (target, port): (&Target, u16), data: &[u8]) -> Result<(), Failure> {
        let mut exits = self.exits.lock().unwrap_or_else(PoisonError::into_inner);
        exits.send((target, port), data).map_err(|why| match why {
            DropReason::NotAllowed => Failure::NotAllowed,
            _ => Failure::OutproxiesFailed,
        })
    }

    /// The next datagram: its sender, the sender's port, and its data. Senders in I2P are left out. Cancel-safe.
    pub async fn receive(&self) -> (Target, u16, Vec<u8>) {
        match self.received.lock().await.recv().await {
            Some(received) => received,
            // The relays hold the other end.
            None => std::future::pending().await,
        }
    }
}

/// Hands datagrams over.
#[derive(Clone)]
struct Hand(mpsc::Sender<Received>);

impl ExitUser for Hand {
    fn sent(&self, _: usize) {}

    fn dropped(&self, _: DropReason) {}

    fn received(&self, datagram: &[u8]) {
        if let Some((sender, port, data)) = decode_datagram(datagram) {
            let _ = self.0.try_send((sender, port, data.to_vec()));
        }
    }
}

//! UDP ASSOCIATE (RFC 1928 section 7): datagrams between a client and I2P.

mod association;
mod counts;
mod peers;
mod pool;
mod queue;

use i2p_name::{Destination, I2pName};
use i2p_sam::{DatagramSession, Session};

pub(crate) use self::association::associate;
pub use self::{
    counts::{DatagramCounts, Dropped},
    pool::{DatagramOptions, DatagramPool, Seat},
};
use crate::{Failure, Lease, SamDialler};

/// Whether, and how, a tunnel's clients may send datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatagramRules {
    /// Whether datagrams of peers that a client has not sent anything to are for the client too.
    pub strangers: bool,
    /// Whether datagrams that the client sends in fragments are put together. Else they are dropped, which the RFC allows.
    pub reassemble: bool,
}

/// The way of one client's datagrams: a session for them, which it has for itself, and the streams that they belong to.
pub struct Datagrams {
    seat: Seat,
    streams: Session,
    dialler: SamDialler,
    _lease: Lease,
}

impl Datagrams {
    pub(crate) fn new(seat: Seat, streams: Session, dialler: SamDialler, lease: Lease) -> Self {
        Self { seat, streams, dialler, _lease: lease }
    }

    fn session(&self) -> &DatagramSession {
        self.seat.session()
    }

    /// The destination of a name, by all that names are looked up in.
    async fn destination(&self, name: &I2pName) -> Result<Destination, Failure> {
        self.dialler.destination(&self.streams, name).await
    }
}

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datagrams").field("seat", &self.seat).finish_non_exhaustive()
    }
}

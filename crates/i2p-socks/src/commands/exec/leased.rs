//! A connection that keeps its virtual address.

use i2p_contain::network::OutsideStream;
use i2p_tunnel::AddressLease;
use tokio::net::TcpStream;

/// A connection, with the lease of the virtual address that was dialled.
pub(super) struct Leased<S> {
    stream: S,
    lease: Option<AddressLease>,
}

impl<S> Leased<S> {
    pub(super) fn new(stream: S, lease: Option<AddressLease>) -> Self {
        Self { stream, lease }
    }
}

impl<S: OutsideStream> OutsideStream for Leased<S> {
    async fn relay(self, program: TcpStream) {
        let Self { stream, lease: _lease } = self;
        stream.relay(program).await;
    }

    fn abort(self) {
        self.stream.abort();
    }
}

//! Datagrams from I2P to the client.

use std::net::SocketAddr;

use super::{
    client_side::{ClientSide, RSV_AND_FRAG},
    peers::{Peers, header_by_hash},
};
use crate::{account::DropReason, dial::ReceivedDatagram};

/// Forwards datagrams from I2P to the client.
pub(super) struct Incoming {
    side: ClientSide,
    /// Whether peers that the client has not sent anything to may send to it.
    accept_unsolicited: bool,
    /// The buffer for a datagram with its header.
    buffer: Vec<u8>,
}

impl Incoming {
    pub(super) fn new(side: ClientSide, accept_unsolicited: bool) -> Self {
        Self { side, accept_unsolicited, buffer: Vec::new() }
    }

    /// Forwards a datagram to the client's address, if that is known. Drops it unless the client expects its sender.
    pub(super) fn forward<P>(
        &mut self,
        received: &ReceivedDatagram<'_>,
        client: Option<SocketAddr>,
        peers: &Peers<P>,
    ) {
        if let Err(dropped) = self.try_forward(received, client, peers) {
            self.side.count_drop(dropped);
        }
    }

    fn try_forward<P>(
        &mut self,
        received: &ReceivedDatagram<'_>,
        client: Option<SocketAddr>,
        peers: &Peers<P>,
    ) -> Result<(), DropReason> {
        // A client that has not sent anything yet has no known port.
        let client = client.ok_or(DropReason::Stranger)?;
        if received.payload.is_empty() {
            return Err(DropReason::Empty);
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(&RSV_AND_FRAG);
        match peers.header_for(received.sender) {
            Some(header) => self.buffer.extend_from_slice(header),
            None if self.accept_unsolicited => {
                let header = unsolicited_header(received).ok_or(DropReason::Stranger)?;
                self.buffer.extend_from_slice(&header);
            }
            None => return Err(DropReason::Stranger),
        }
        if let (Some(port), Some(last)) = (received.port, self.buffer.last_chunk_mut::<2>()) {
            *last = port.to_be_bytes();
        }
        self.buffer.extend_from_slice(received.payload);
        self.side.send(client, &self.buffer, received.payload.len());
        Ok(())
    }
}

/// Encodes the header for a sender that the client has not sent anything to.
fn unsolicited_header(received: &ReceivedDatagram<'_>) -> Option<Vec<u8>> {
    let b32 = received.sender.b32()?;
    Some(header_by_hash(&b32, received.port.unwrap_or_default()))
}

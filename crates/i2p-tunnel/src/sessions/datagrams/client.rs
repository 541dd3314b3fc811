use i2p_name::{Destination, I2pName};
use i2p_sam::{DatagramPeer, MAX_PACKET_BYTES, Ports, wire::SenderText};

use super::pool::DatagramLease;
use crate::{
    dial::{DatagramSender, Datagrams, ReceivedDatagram},
    failure::Failure,
    names::Resolver,
    sessions::{attempt_error::failure_of_session, names::SessionIdentity, pool::SessionLease},
};

/// The datagrams of one client: exclusive use of a session for them. It also holds the key's session for streams, on which names
/// are looked up.
pub struct SamDatagrams {
    datagrams: DatagramLease,
    streams: SessionIdentity,
    names: Resolver,
    _lease: SessionLease,
}

impl SamDatagrams {
    pub(crate) fn new(
        datagrams: DatagramLease,
        streams: SessionIdentity,
        names: Resolver,
        lease: SessionLease,
    ) -> Self {
        Self { datagrams, streams, names, _lease: lease }
    }
}

impl Datagrams for SamDatagrams {
    type Peer = DatagramPeer;

    const BUFFER_LENGTH: usize = MAX_PACKET_BYTES;

    fn peer(&self, destination: &Destination) -> DatagramPeer {
        DatagramPeer::from(destination)
    }

    async fn send(&self, peer: &DatagramPeer, port: u16, payload: &[u8]) -> Result<(), Failure> {
        let ports = Ports { from: self.datagrams.port(), to: port };
        self.datagrams.session().send(peer, ports, payload).await.map_err(|error| failure_of_session(&error))
    }

    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<ReceivedDatagram<'b>, Failure> {
        let session = self.datagrams.session();
        let received = session.receive(buffer).await.map_err(|error| failure_of_session(&error))?;
        let sender = match received.sender {
            SenderText::Destination(text) => DatagramSender::Destination(text),
            SenderText::Hash(text) => DatagramSender::Hash(text),
            SenderText::Unknown => DatagramSender::Unknown,
        };
        let carries_ports = session.session().capabilities().datagram_ports();
        let port = carries_ports.then_some(received.ports.from);
        Ok(ReceivedDatagram { sender, port, payload: received.payload })
    }

    fn max_payload(&self) -> usize {
        self.datagrams.session().max_payload()
    }

    async fn destination(&self, name: &I2pName) -> Result<Destination, Failure> {
        self.names.destination(&self.streams, name).await
    }
}

impl std::fmt::Debug for SamDatagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SamDatagrams").field("datagrams", &self.datagrams).finish_non_exhaustive()
    }
}

//! What the network of the sandbox needs from the world outside, over a way.

use std::{net::SocketAddr, sync::Arc};

use i2p_contain::{
    gate,
    network::{Datagram, DnsTransport, Outside, Replies},
    packet::Unreachable,
};
use i2p_tunnel::{ConnectError, Failure};

use super::{datagrams::Associations, leased::Leased, names::Names, turns::Turns, way::Way};

/// The outside of one run.
pub(super) struct WayOut<W: Way> {
    way: Arc<W>,
    names: Names,
    turns: Turns,
    associations: Associations<W>,
}

impl<W: Way> WayOut<W> {
    /// Must be called within a tokio runtime.
    pub(super) fn new(way: W, names: Names) -> Self {
        let way = Arc::new(way);
        Self { associations: Associations::new(Arc::clone(&way)), way, names, turns: Turns::default() }
    }
}

impl<W: Way> Outside for WayOut<W> {
    type Stream = Leased<W::Stream>;

    async fn dial(
        &self,
        _client: SocketAddr,
        target: SocketAddr,
    ) -> Result<Leased<W::Stream>, gate::Refusal> {
        let (named, lease) = self.names.target_of(target.ip()).map_err(refusal)?;
        let dial = self.way.dial(&named, target.port());
        let stream = self.turns.dial((&named, target), dial).await.map_err(refusal)?;
        Ok(Leased::new(stream, lease))
    }

    async fn resolve(&self, query: Vec<u8>, _transport: DnsTransport) -> Option<Vec<u8>> {
        // An answer always fits into a datagram.
        self.names.answer(&query, &*self.way).await
    }

    fn datagram(&self, datagram: Datagram, replies: &Replies) -> Result<(), Unreachable> {
        if !self.associations.are_carried() {
            return Err(Unreachable::Prohibited);
        }
        let (target, lease) = self.names.target_of(datagram.target.ip()).map_err(unreachable)?;
        if !self.way.may_carry_to(&target) {
            return Err(Unreachable::Prohibited);
        }
        self.associations.send(datagram, (target, lease), replies);
        Ok(())
    }
}

/// What the program is told of a dial that failed.
fn refusal(failure: Failure) -> gate::Refusal {
    match failure.row().connect {
        ConnectError::Refused => gate::Refusal::Refused,
        ConnectError::Denied => gate::Refusal::Denied,
        ConnectError::TimedOut => gate::Refusal::TimedOut,
        _ => gate::Refusal::HostUnreachable,
    }
}

/// What the program is told of a datagram that cannot be sent.
fn unreachable(failure: Failure) -> Unreachable {
    match failure.row().connect {
        ConnectError::Denied => Unreachable::Prohibited,
        _ => Unreachable::Host,
    }
}

#[cfg(test)]
mod tests {
    use Failure as F;

    use super::*;

    #[test]
    fn each_failure_has_the_error_that_says_what_happened() {
        let (refused, silent, denied, unreachable_host) = (
            gate::Refusal::Refused,
            gate::Refusal::TimedOut,
            gate::Refusal::Denied,
            gate::Refusal::HostUnreachable,
        );
        let table = [
            (F::MalformedName, unreachable_host),
            (F::NameUnknown, unreachable_host),
            (F::NameReserved, unreachable_host),
            (F::Unreachable, unreachable_host),
            (F::TimedOut, silent),
            (F::Refused, refused),
            (F::NotAllowed, denied),
            (F::LocalHost, denied),
            (F::RouteRejects, denied),
            (F::RouterUnavailable, unreachable_host),
            (F::NoTunnels, unreachable_host),
            (F::SessionRefused, unreachable_host),
            (F::TooManySessions, unreachable_host),
            (F::SessionShare, unreachable_host),
            (F::RouterError, unreachable_host),
            (F::WrongDestination, unreachable_host),
            (F::CommandNotSupported, denied),
            (F::VirtualAddressUnknown, unreachable_host),
            (F::NoVirtualAddress, unreachable_host),
            (F::AddressTypeNotSupported, unreachable_host),
            (F::ClientKeyMissing, unreachable_host),
            (F::OutproxiesFailed, unreachable_host),
            (F::TooManyConnections, unreachable_host),
            (F::ProtocolNotAllowed, denied),
            (F::NoSocket, unreachable_host),
            (F::BadAnswer, unreachable_host),
            (F::AnswerBrokeOff, unreachable_host),
            (F::LeakGuard, denied),
            (F::PasswordAsked, unreachable_host),
            (F::ProxyItself, denied),
            (F::Stopping, unreachable_host),
            (F::OutproxiesUnknown, unreachable_host),
        ];
        assert_eq!(table.map(|(failure, _)| failure), F::ALL, "one row for each, in order");
        for (failure, expected) in table {
            assert_eq!(refusal(failure), expected, "{failure:?}");
            let of_datagram = if expected == denied { Unreachable::Prohibited } else { Unreachable::Host };
            assert_eq!(unreachable(failure), of_datagram, "{failure:?}");
        }
    }
}

//! How the traffic of a contained program leaves: through the running proxy, or by sessions of this process.

use i2p_contain::network::OutsideStream;
use i2p_name::{NamedTarget, Target};
use i2p_tunnel::Failure;

/// How the connections, names and datagrams of a contained program leave. There is one for each run, and with it one identity.
///
/// Targets are what the program asks for; virtual addresses are replaced by the names that they stand for before. A way decides what
/// may be reached: it refuses hosts outside I2P to which no route leads, and looks no name up in the operating system's resolver.
pub(in crate::commands) trait Way: Send + Sync + 'static {
    /// A connection.
    type Stream: OutsideStream;
    /// A channel for datagrams.
    type Association: Association;

    /// Connects to a port of a target. Returns once the far end is connected, as far as this can be known.
    ///
    /// # Errors
    /// The [`Failure`] whose row says what the program is told. A dial that takes too long fails with [`Failure::TimedOut`].
    fn dial(&self, target: &Target, port: u16) -> impl Future<Output = Result<Self::Stream, Failure>> + Send;

    /// Checks that a name exists and may be connected to, without a connection. For a host outside I2P, it checks that a route leads
    /// to it, and asks nobody.
    ///
    /// # Errors
    /// Why a connection would fail.
    fn lookup(&self, name: &NamedTarget) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Whether datagrams are carried. If not, programs are told so at once.
    fn carries_datagrams(&self) -> bool;

    /// Whether a datagram to this target can be carried, as far as this is known without asking anybody.
    fn may_carry_to(&self, _target: &Target) -> bool {
        true
    }

    /// Opens a channel for the datagrams of one socket of the program. Dropping it closes it.
    ///
    /// # Errors
    /// [`Failure::CommandNotSupported`] if no datagrams are carried; any other one if none can be carried now.
    fn associate(&self) -> impl Future<Output = Result<Self::Association, Failure>> + Send;
}

/// A channel for the datagrams of one socket of the program. It may send and receive at the same time.
pub(in crate::commands) trait Association: Send + Sync + 'static {
    /// Sends a datagram, which may wait for a lookup of its target. Nothing reports whether it arrives.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] once the channel is lost: another one is opened then. Any other [`Failure`] means that this
    /// datagram was not sent.
    fn send(
        &self,
        target: &Target,
        port: u16,
        payload: &[u8],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The next datagram of a target that was sent to. Cancel-safe.
    ///
    /// # Errors
    /// Any [`Failure`] means that the channel is lost.
    fn receive(&self) -> impl Future<Output = Result<Received, Failure>> + Send;
}

/// A datagram for the program.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands) struct Received {
    /// Who has sent it, as it was named when the program sent to it.
    pub(in crate::commands) sender: Target,
    /// The sender's port; `None` if ports are not carried.
    pub(in crate::commands) port: Option<u16>,
    pub(in crate::commands) payload: Vec<u8>,
}

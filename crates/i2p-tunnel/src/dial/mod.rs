//! The way into I2P as traits: [`Dial`] opens streams, [`Datagrams`] carries datagrams, [`Listening`] waits for a peer.
//!
//! Imports `client`, `failure` and `stream`. The room `sessions` implements the traits over SAM; programs and tests can implement
//! them for any other way into I2P. Hosts outside I2P never get here.

mod datagrams;
mod listening;

use i2p_name::{B32, I2pName};

pub use self::{
    datagrams::{DatagramSender, Datagrams, NoDatagrams, ReceivedDatagram},
    listening::{IncomingStream, Listening, NoListening},
};
use crate::{client::IsolationKey, failure::Failure, stream::OpenStream};

/// Identifies a session, by which streams of one identity are opened. No two sessions of a [`Dial`] have the same mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionMark(u64);

impl SessionMark {
    /// The mark with this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A way into I2P. It opens streams and looks up names; it may also carry datagrams and accept peers.
///
/// Each request comes with an [`IsolationKey`] instead of the client that makes it. Requests with different keys must not share
/// anything by which a peer could link them, such as a destination or a cached lookup.
pub trait Dial: Send + Sync + 'static {
    /// The type that carries datagrams; [`NoDatagrams`] if there is none.
    type Datagrams: Datagrams;

    /// The type that waits for a peer; [`NoListening`] if there is none.
    type Listening: Listening;

    /// Opens a stream to a port of a name; port 0 means any port. Returns once the peer is connected, as far as this can be
    /// known.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client.
    fn dial(
        &self,
        key: &IsolationKey,
        name: &I2pName,
        port: u16,
    ) -> impl Future<Output = Result<OpenStream, Failure>> + Send;

    /// Waits until streams can be opened, without opening one. It is called before an outproxy in I2P is dialled, so that the
    /// outproxy's time limit does not include this wait.
    ///
    /// # Errors
    /// The [`Failure`] on our side. The outproxy is not blamed for it.
    fn prepare(&self, _key: &IsolationKey) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// The session by which streams can be opened now, without a wait; `None` if there is none. If there is none, it begins to build
    /// one, but without haste: nobody is waiting for it.
    ///
    /// The default is for implementations without sessions: always the same.
    fn session_now(&self, _key: &IsolationKey) -> Option<SessionMark> {
        Some(SessionMark::default())
    }

    /// The address of the identity by which streams can be opened now; `None` if there is none. Like
    /// [`session_now`](Self::session_now), it does not wait.
    fn address_now(&self, _key: &IsolationKey) -> Option<B32> {
        None
    }

    /// Gives the identities that `is_renewed` chooses new addresses for their next requests. Open streams stay. Returns how many had
    /// a session.
    fn renew(&self, _is_renewed: &(dyn Fn(&IsolationKey) -> bool + Sync)) -> usize {
        0
    }

    /// What the router says of itself, for people; `None` if it does not answer.
    fn router(&self) -> impl Future<Output = Option<String>> + Send {
        std::future::ready(None)
    }

    /// Checks that a name exists, without opening a stream. It also succeeds if only a connection could tell.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client.
    fn lookup(&self, key: &IsolationKey, name: &I2pName) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Opens a channel for datagrams. It belongs to one client until it is dropped.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client; [`Failure::CommandNotSupported`] if there are no datagrams.
    fn associate(
        &self,
        _key: &IsolationKey,
    ) -> impl Future<Output = Result<Self::Datagrams, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }

    /// Starts to wait for a peer: the peer of this name, or any peer. Once this returns, peers can connect.
    ///
    /// # Errors
    /// The [`Failure`] to report to the client; [`Failure::CommandNotSupported`] if no peer can connect.
    fn listen(
        &self,
        _key: &IsolationKey,
        _expected: Option<&I2pName>,
    ) -> impl Future<Output = Result<Self::Listening, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }
}

//! The way into I2P as traits: [`Dial`] opens streams, [`Datagrams`] carries datagrams, [`Listening`] waits for a peer.
//!
//! Imports client, failure and stream. Implemented by sessions for routers with SAM, and by programs and tests for whatever else
//! leads into I2P. What is not of I2P never gets here.

mod datagrams;
mod listening;

use i2p_name::I2pName;

pub use self::{
    datagrams::{DatagramSender, Datagrams, NoDatagrams, ReceivedDatagram},
    listening::{IncomingStream, Listening, NoListening},
};
use crate::{client::IsolationKey, failure::Failure, stream::Opened};

/// A way into I2P: opens streams to names, looks names up, and carries datagrams and waits for peers where it can.
///
/// Each request comes with an [`IsolationKey`] instead of the client that makes it. Requests with different keys must not share
/// anything that a peer could tell them together by: no destination, and nothing that was found on behalf of the other.
pub trait Dial: Send + Sync + 'static {
    /// What carries datagrams; [`NoDatagrams`] where nothing does.
    type Datagrams: Datagrams;

    /// What waits for a peer; [`NoListening`] where nothing does.
    type Listening: Listening;

    /// Opens a stream to a port of a name; port 0 is "any". Returns once the peer is connected, as far as can be told.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told.
    fn dial(
        &self,
        key: &IsolationKey,
        name: &I2pName,
        port: u16,
    ) -> impl Future<Output = Result<Opened, Failure>> + Send;

    /// Waits until streams can be opened, without opening one: for an outproxy in I2P, whose own time to answer begins then.
    ///
    /// # Errors
    /// The [`Failure`] of our side, which is no fault of a peer.
    fn prepare(&self, _key: &IsolationKey) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Checks that a name exists, without opening a stream. Succeeds for names that only a connection can tell of.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told.
    fn lookup(&self, key: &IsolationKey, name: &I2pName) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Opens a channel for datagrams, which belongs to one client until it is dropped.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told; [`Failure::CommandNotSupported`] where nothing carries datagrams.
    fn associate(
        &self,
        _key: &IsolationKey,
    ) -> impl Future<Output = Result<Self::Datagrams, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }

    /// Begins to wait for a peer that connects to us: for the one of this name, or for any. Once this returns, peers are
    /// accepted.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told; [`Failure::CommandNotSupported`] where no peer can connect.
    fn listen(
        &self,
        _key: &IsolationKey,
        _expected: Option<&I2pName>,
    ) -> impl Future<Output = Result<Self::Listening, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }
}

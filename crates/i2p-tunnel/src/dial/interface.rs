use i2p_name::{I2pName, Target};

use crate::{
    client::Client,
    failure::Failure,
    outproxy::WaysOut,
    sessions::{Datagrams, Incoming},
    stream::Opened,
};

/// Looks up and opens streams to what clients ask for.
pub trait Dial: Send + Sync + 'static {
    /// Opens a stream to a target and port, and comes back when the far end is connected, as far as can be told. Port 0 is
    /// "any". Who asks may decide by which way.
    ///
    /// Virtual addresses have become the names that they stand for before: an address here is one of the internet.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    fn dial(
        &self,
        client: &Client,
        target: &Target,
        port: u16,
    ) -> impl Future<Output = Result<Opened, Failure>> + Send;

    /// Finds out whether there is such a name, without opening anything: succeeds for names that nothing is known about.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    fn lookup(
        &self,
        client: &Client,
        name: &I2pName,
        port: u16,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// A way for a client's datagrams, which is its own for as long as it lives.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told; [`Failure::CommandNotSupported`] where datagrams have no way.
    fn associate(&self, _client: &Client) -> impl Future<Output = Result<Datagrams, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }

    /// By what the client's datagrams to hosts outside I2P may go; nothing, unless there are routes.
    fn ways_out(&self, _client: &Client) -> Option<WaysOut> {
        None
    }

    /// The streams that peers open to a client, on the session that its own streams have.
    ///
    /// # Errors
    /// As [`Dial::associate`].
    fn listen(&self, _client: &Client) -> impl Future<Output = Result<Incoming, Failure>> + Send {
        std::future::ready(Err(Failure::CommandNotSupported))
    }
}

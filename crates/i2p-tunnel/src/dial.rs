use i2p_name::I2pName;
use tokio::net::TcpStream;

use crate::{Client, Failure};

/// Looks up and opens streams to what clients ask for.
pub trait Dial: Send + Sync + 'static {
    /// What has to live for as long as a stream, such as the right to use a session.
    type Hold: Send + 'static;

    /// Opens a stream to a name and port, and comes back when the far end is connected, as far as the router can
    /// tell. Port 0 is "any". Who asks may decide by which way.
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    fn dial(
        &self,
        client: &Client,
        name: &I2pName,
        port: u16,
    ) -> impl Future<Output = Result<(TcpStream, Self::Hold), Failure>> + Send;

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
}

use i2p_name::I2pName;
use tokio::net::TcpStream;

use crate::Failure;

/// Opens streams to what clients ask for.
pub trait Dial: Send + Sync + 'static {
    /// Opens a stream to a name and port, and comes back when the far end is connected, as far as the router can
    /// tell. Port 0 is "any".
    ///
    /// # Errors
    /// The [`Failure`] that the client is to be told.
    fn dial(&self, name: &I2pName, port: u16) -> impl Future<Output = Result<TcpStream, Failure>> + Send;
}

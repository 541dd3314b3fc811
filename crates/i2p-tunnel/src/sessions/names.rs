//! Names looked up on a session.

use std::sync::Arc;

use i2p_name::{B32, Destination, HostName, I2pName};
use i2p_sam::Session;

use super::refusal::Refusal;
use crate::{failure::Failure, names::Resolver};

impl Resolver {
    /// The destination of a name: what datagrams are sent to.
    pub(crate) async fn destination(
        &self,
        session: &Session,
        name: &I2pName,
    ) -> Result<Destination, Failure> {
        let found = match name {
            I2pName::Host(host) => Some(self.look_up(session, host).await.map_err(Refusal::failure)?),
            _ => None,
        };
        let name = found.as_deref().unwrap_or(name);
        session.destination_of(name).await.map_err(|error| Refusal::of(&error).failure())
    }

    /// The hash of the destination of a name, which an address by hash says by itself.
    pub(crate) async fn hash_of(&self, session: &Session, name: &I2pName) -> Result<B32, Failure> {
        match name {
            I2pName::B32(b32) => Ok(*b32),
            name => self.destination(session, name).await.map(|destination| destination.b32()),
        }
    }

    pub(crate) async fn look_up(&self, session: &Session, host: &HostName) -> Result<Arc<I2pName>, Refusal> {
        let ask = async {
            match session.lookup(host).await.map(I2pName::from) {
                Ok(found) => Ok(Some(found)),
                Err(error) => match Refusal::of(&error) {
                    Refusal::Failed(Failure::NameUnknown) => Ok(None),
                    refusal => Err(refusal),
                },
            }
        };
        self.resolve(host, ask).await?.ok_or(Refusal::Failed(Failure::NameUnknown))
    }
}

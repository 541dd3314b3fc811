//! Name lookup on a session.

use std::sync::Arc;

use i2p_name::{B32, Destination, HostName, I2pName};
use i2p_sam::Session;

use super::attempt_error::AttemptError;
use crate::{failure::Failure, names::Resolver};

impl Resolver {
    /// Returns the full destination of a name, which sending datagrams requires.
    pub(crate) async fn destination(
        &self,
        session: &Session,
        name: &I2pName,
    ) -> Result<Destination, Failure> {
        let found = match name {
            I2pName::Host(host) => Some(self.look_up(session, host).await.map_err(AttemptError::failure)?),
            _ => None,
        };
        let name = found.as_deref().unwrap_or(name);
        session.destination_of(name).await.map_err(|error| AttemptError::of(&error).failure())
    }

    /// Returns the hash of a name's destination. A base32 address contains it, so it needs no lookup.
    pub(crate) async fn hash_of(&self, session: &Session, name: &I2pName) -> Result<B32, Failure> {
        match name {
            I2pName::B32(b32) => Ok(*b32),
            name => self.destination(session, name).await.map(|destination| destination.b32()),
        }
    }

    /// Resolves a host name: from the resolver's sources and cache, or by asking the router on `session`.
    pub(crate) async fn look_up(
        &self,
        session: &Session,
        host: &HostName,
    ) -> Result<Arc<I2pName>, AttemptError> {
        let ask = async {
            match session.lookup(host).await.map(I2pName::from) {
                Ok(found) => Ok(Some(found)),
                Err(error) => match AttemptError::of(&error) {
                    AttemptError::Failed(Failure::NameUnknown) => Ok(None),
                    error => Err(error),
                },
            }
        };
        self.resolve(host, ask).await?.ok_or(AttemptError::Failed(Failure::NameUnknown))
    }
}

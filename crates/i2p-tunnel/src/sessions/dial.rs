//! [`Dial`] over SAM.

use i2p_name::I2pName;
use i2p_sam::Session;

use super::{datagrams::SamDatagrams, dialler::SamDialler, listening::SamListening};
use crate::{client::IsolationKey, dial::Dial, failure::Failure, stream::OpenStream};

impl Dial for SamDialler {
    type Datagrams = SamDatagrams;
    type Listening = SamListening;

    async fn dial(&self, key: &IsolationKey, name: &I2pName, port: u16) -> Result<OpenStream, Failure> {
        let connect = async |session: Session| self.connect(&session, name, port).await;
        let (stream, lease) = self.with_session(key, connect).await?;
        Ok(OpenStream::over_sam(stream.into(), lease))
    }

    async fn prepare(&self, key: &IsolationKey) -> Result<(), Failure> {
        self.with_session(key, async |_| Ok(())).await.map(|_| ())
    }

    async fn lookup(&self, key: &IsolationKey, name: &I2pName) -> Result<(), Failure> {
        // Only a connection shows whether a base32 address leads anywhere.
        let I2pName::Host(host) = name else { return Ok(()) };
        // Uses the session of this key, although the router has one address book for all: the connection that follows needs
        // it anyway, and this waits for a router that is away.
        let look_up = async |session: Session| self.resolver.look_up(&session, host).await;
        self.with_session(key, look_up).await.map(|_| ())
    }

    async fn associate(&self, key: &IsolationKey) -> Result<SamDatagrams, Failure> {
        let pool = self.datagrams.as_ref().ok_or(Failure::CommandNotSupported)?;
        let (lease, streams) = self.session(key).await?;
        let datagrams = pool.lease(key, &streams).await?;
        Ok(SamDatagrams::new(datagrams, streams, self.resolver.clone(), lease))
    }

    async fn listen(&self, key: &IsolationKey, expected: Option<&I2pName>) -> Result<SamListening, Failure> {
        let (lease, session) = self.session(key).await?;
        let expected = match expected {
            Some(name) => Some(self.resolver.hash_of(&session, name).await?),
            None => None,
        };
        SamListening::begin(&session, lease, expected).await
    }
}

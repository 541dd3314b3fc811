//! [`Dial`] over SAM.

use i2p_name::{B32, I2pName};

use super::{datagrams::SamDatagrams, dialler::SamDialler, listening::SamListening, names::SessionIdentity};
use crate::{
    client::IsolationKey,
    dial::{Dial, SessionMark},
    failure::Failure,
    stream::OpenStream,
};

impl Dial for SamDialler {
    type Datagrams = SamDatagrams;
    type Listening = SamListening;

    async fn dial(&self, key: &IsolationKey, name: &I2pName, port: u16) -> Result<OpenStream, Failure> {
        let connect = async |identity: SessionIdentity| self.connect(&identity, name, port).await;
        let (stream, lease) = self.with_session(key, connect).await?;
        Ok(OpenStream::over_sam(stream.into(), lease))
    }

    async fn prepare(&self, key: &IsolationKey) -> Result<(), Failure> {
        self.with_session(key, async |_| Ok(())).await.map(|_| ())
    }

    fn session_now(&self, key: &IsolationKey) -> Option<SessionMark> {
        self.current_session(key).map(|session| SessionMark::new(session.number()))
    }

    fn address_now(&self, key: &IsolationKey) -> Option<B32> {
        self.current_session(key).map(|session| session.destination().b32())
    }

    fn renew(&self, is_renewed: &(dyn Fn(&IsolationKey) -> bool + Sync)) -> usize {
        self.renew_sessions(is_renewed)
    }

    async fn router(&self) -> Option<String> {
        self.describe_router().await
    }

    async fn lookup(&self, key: &IsolationKey, name: &I2pName) -> Result<(), Failure> {
        // Only a connection shows whether a base32 address leads anywhere.
        let I2pName::Host(host) = name else { return Ok(()) };
        let look_up = async |identity: SessionIdentity| self.resolver.look_up(&identity, host).await;
        self.with_session(key, look_up).await.map(|_| ())
    }

    async fn associate(&self, key: &IsolationKey) -> Result<SamDatagrams, Failure> {
        let pool = self.datagrams.as_ref().ok_or(Failure::CommandNotSupported)?;
        let patience = self.deadlines().router;
        let (lease, streams) = self.identity(key).await?;
        let datagrams = pool.lease(key, &streams.session, patience).await?;
        Ok(SamDatagrams::new(datagrams, streams, self.resolver.clone(), lease))
    }

    async fn listen(&self, key: &IsolationKey, expected: Option<&I2pName>) -> Result<SamListening, Failure> {
        let (lease, identity) = self.identity(key).await?;
        let expected = match expected {
            Some(name) => Some(self.resolver.hash_of(&identity, name).await?),
            None => None,
        };
        SamListening::begin(&identity.session, lease, expected).await
    }
}

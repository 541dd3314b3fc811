//! [`Dial`] by sessions alone.

use i2p_name::{I2pName, Target};
use i2p_sam::Session;

use super::Dial;
use crate::{
    client::Client,
    failure::Failure,
    sessions::{Datagrams, Incoming, SamDialler},
    stream::Opened,
};

/// Names of I2P, and nothing else.
impl Dial for SamDialler {
    async fn dial(&self, client: &Client, target: &Target, port: u16) -> Result<Opened, Failure> {
        match target {
            Target::I2p(name) => self.open(client, (target, port), name, port).await,
            _ => Err(Failure::NotAllowed),
        }
    }

    async fn lookup(&self, client: &Client, name: &I2pName, port: u16) -> Result<(), Failure> {
        // What is behind an address by hash only a connection can tell.
        let I2pName::Host(host) = name else { return Ok(()) };
        // By the session of whoever asks, although all have the same address book: it will be needed next, and waits for
        // a router that is away.
        let look_up = async |session: Session| self.resolver.look_up(&session, host).await;
        self.with_session(client, (&Target::I2p(name.clone()), port), look_up).await.map(|_| ())
    }

    async fn associate(&self, client: &Client) -> Result<Datagrams, Failure> {
        let pool = self.datagrams.as_ref().ok_or(Failure::CommandNotSupported)?;
        let (key, lease, streams) = self.session_of(client).await?;
        let seat = pool.seat(&key, &streams).await?;
        Ok(Datagrams::new(seat, streams, self.resolver.clone(), lease))
    }

    async fn listen(&self, client: &Client) -> Result<Incoming, Failure> {
        if !self.tunnel.incoming {
            return Err(Failure::CommandNotSupported);
        }
        let (_, lease, session) = self.session_of(client).await?;
        Ok(Incoming::new(session, self.resolver.clone(), lease))
    }
}

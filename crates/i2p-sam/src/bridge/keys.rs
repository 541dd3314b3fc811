//! DEST GENERATE: keys that the router makes.

use zeroize::Zeroize;

use super::{Bridge, connection::within, router::Router};
use crate::{
    error::{Error, Phase},
    wire::{DestGenerate, PrivateKey, Reply, ResultWord},
};

impl Bridge {
    /// Has the router make keys, as [`Router::generate_keys`].
    ///
    /// # Errors
    /// What [`Bridge::probe`] returns, and as [`Router::generate_keys`].
    pub async fn generate_keys(&self) -> Result<PrivateKey, Error> {
        self.router().await?.generate_keys().await
    }
}

impl Router {
    /// Has the router make Ed25519 keys, for sessions that are to have the same destination each time.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`], [`Error::Closed`], [`Error::Unexpected`].
    pub async fn generate_keys(&self) -> Result<PrivateKey, Error> {
        let phase = Phase::DestGenerate;
        let mut connection = self.connect().await?;
        within(self.bridge().timeouts().hello, phase, async {
            connection.send(&DestGenerate, phase).await?;
            let mut line = connection.answer(phase).await?;
            let keys = match Reply::parse(&line) {
                Ok(Reply::Dest { status, private_key: Some(key), .. }) if status.result == ResultWord::Ok => {
                    key.parse().map_err(|_| Error::Unexpected { phase })
                }
                Ok(Reply::Dest { status, .. }) if status.result != ResultWord::Ok => {
                    Err(Error::refused(phase, status))
                }
                _ => Err(Error::Unexpected { phase }),
            };
            line.zeroize();
            keys
        })
        .await
    }
}

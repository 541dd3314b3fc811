//! Jump services: sites in I2P that answer with a link that contains the destination of a name.

use std::{pin::Pin, time::Duration};

use hyper::header::LOCATION;
use i2p_name::{Destination, HostName, I2pName};
use i2p_tunnel::{LastResort, OpenStreams};

use super::{book::SharedBook, fetch::get, jump_link::destination_in};
use crate::config::i2p_url::I2pUrl;

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long one service may take.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(45);
/// How long all services together may take, while a client is waiting.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(90);

/// Asks jump services, one after the other, on the streams of the identity that looks the name up. Its answers are remembered for
/// that identity and written nowhere: the address book would tell the other identities, and whoever reads the disk, who looked up
/// which name and when.
pub(super) struct JumpServices {
    pub(super) services: Vec<I2pUrl>,
    /// Knows which destinations the user has removed from their names; `None` if there is no address book.
    pub(super) book: Option<SharedBook>,
}

impl LastResort for JumpServices {
    fn find<'a>(
        &'a self,
        name: &'a HostName,
        streams: &'a dyn OpenStreams,
    ) -> Pin<Box<dyn Future<Output = Option<I2pName>> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::time::timeout(TOTAL_TIMEOUT, self.ask(name, streams)).await.ok()?;
            found.map(I2pName::from)
        })
    }
}

impl JumpServices {
    async fn ask(&self, name: &HostName, streams: &dyn OpenStreams) -> Option<Destination> {
        for service in &self.services {
            let url = service.with_name(name);
            let answer = match get(streams, &url, &[], MAX_ANSWER_BYTES, SERVICE_TIMEOUT).await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::warn!("a jump service failed: {error}");
                    continue;
                }
            };
            let location = answer.header(LOCATION).and_then(|link| destination_in(link, name));
            let found = location.or_else(|| destination_in(&String::from_utf8_lossy(&answer.body), name));
            let Some(found) = found else { continue };
            if !self.was_removed(name, &found).await {
                tracing::debug!("a jump service knew a name that no other source had");
                return Some(found);
            }
        }
        None
    }

    /// Whether the user, or the holder of the name, has removed this destination from the name.
    async fn was_removed(&self, name: &HostName, destination: &Destination) -> bool {
        let Some(book) = &self.book else { return false };
        let (name, destination) = (name.clone(), destination.clone());
        let removed = book.work(move |book| book.was_removed(&name, &destination)).await;
        removed.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            false
        })
    }
}

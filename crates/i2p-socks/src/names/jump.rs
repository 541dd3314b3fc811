//! Jump services: sites in I2P that answer with a link that contains the destination of a name.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hyper::header::LOCATION;
use i2p_address_book::FeedName;
use i2p_name::{Destination, HostName, I2pName};
use i2p_tunnel::LastResort;

use super::{book::SharedBook, fetch::get, jump_link::destination_in, own_client::OwnClient};
use crate::config::i2p_url::I2pUrl;

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long one service may take.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(45);
/// How long all services together may take, while a client is waiting.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(90);

/// Asks jump services, one after the other, and adds the answer to the address book. If the book has the name already, it keeps its
/// destination.
pub(super) struct JumpServices {
    pub(super) services: Vec<I2pUrl>,
    pub(super) book: SharedBook,
    /// Set once there is a router.
    pub(super) client: Arc<OnceLock<Arc<OwnClient>>>,
}

impl LastResort for JumpServices {
    fn find<'a>(&'a self, name: &'a HostName) -> Pin<Box<dyn Future<Output = Option<I2pName>> + Send + 'a>> {
        Box::pin(async {
            let found = tokio::time::timeout(TOTAL_TIMEOUT, self.ask(name)).await.ok()?;
            found.map(I2pName::from)
        })
    }
}

impl JumpServices {
    async fn ask(&self, name: &HostName) -> Option<Destination> {
        let client = self.client.get()?;
        for service in &self.services {
            let answer =
                match get(client, &service.with_name(name), &[], MAX_ANSWER_BYTES, SERVICE_TIMEOUT).await {
                    Ok(answer) => answer,
                    Err(error) => {
                        tracing::warn!("a jump service failed: {error}");
                        continue;
                    }
                };
            let location = answer.header(LOCATION).and_then(|link| destination_in(link, name));
            let found = location.or_else(|| destination_in(&String::from_utf8_lossy(&answer.body), name));
            let Some(found) = found else { continue };
            let (name, source) = (name.clone(), FeedName::new(&service.to_string()));
            let kept = self.book.work(move |book| {
                let line = format!("{}={}\n", name.as_str(), found.to_base64());
                let report = book.import(line.as_bytes(), &source)?;
                tracing::info!(
                    added = report.added,
                    conflicts = report.conflicts,
                    "a jump service knew a name that no other source had"
                );
                book.lookup(&name)
            });
            match kept.await {
                Ok(Some(kept)) => return Some(kept),
                Ok(None) => {}
                Err(error) => tracing::warn!("{error}"),
            }
        }
        None
    }
}

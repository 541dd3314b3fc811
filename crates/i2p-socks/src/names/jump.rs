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

use super::{book::SharedBook, fetch::get, own_client::OwnClient};
use crate::config::i2p_url::I2pUrl;

/// The parameter with the destination in such a link.
const HELPER: &str = "i2paddresshelper=";
/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long one service may take.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(45);
/// How long all services together may take, while a client is waiting.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(90);
/// The longest link, without its destination.
const MAX_LINK_BYTES: usize = 512;

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

/// The destination in the first link to this host that contains one.
fn destination_in(text: &str, host: &HostName) -> Option<Destination> {
    text.match_indices(HELPER).find_map(|(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + HELPER.len()..)?);
        let link = before.get(before.rfind("http://")?..)?;
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>');
        if link.len() > MAX_LINK_BYTES || !link.chars().all(plain) {
            return None;
        }
        let to = link.strip_prefix("http://")?.split(['/', '?', ':']).next()?;
        if to.parse::<HostName>().ok()? != *host {
            return None;
        }
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && !"-~=%".contains(c));
        let value = end.map_or(Some(after), |end| after.get(..end))?;
        let plain = value.replace("%3D", "=").replace("%3d", "=").replace("%7E", "~").replace("%7e", "~");
        plain.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(fill: u8) -> Destination {
        Destination::from_bytes([&[fill; 384][..], &[0, 0, 0]].concat()).unwrap()
    }

    #[test]
    fn only_a_link_to_the_host_is_used() {
        let (ours, other) = (destination(1), destination(2));
        let host = "wanted.i2p".parse().unwrap();
        let base64 = ours.to_base64();
        for text in [
            format!("http://wanted.i2p/?i2paddresshelper={base64}"),
            format!("<a href=\"http://Wanted.i2p/?i2paddresshelper={base64}\">here</a>"),
            format!(
                "<a href='http://wanted.i2p:80/a?b=c&amp;i2paddresshelper={}&d'>",
                base64.replace('~', "%7E")
            ),
            format!(
                "<a href=http://other.i2p/?i2paddresshelper={}> <a href=http://wanted.i2p?i2paddresshelper={base64}>",
                other.to_base64()
            ),
        ] {
            assert_eq!(destination_in(&text, &host), Some(ours.clone()), "{text}");
        }
        for text in [
            String::new(),
            HELPER.into(),
            format!("i2paddresshelper={base64}"),
            format!("http://other.i2p/?i2paddresshelper={base64}"),
            format!("http://wanted.i2p.other.i2p/?i2paddresshelper={base64}"),
            format!("http://wanted.i2p/\" i2paddresshelper={base64}"),
            format!("http://wanted.i2p/{}?i2paddresshelper={base64}", "a".repeat(MAX_LINK_BYTES)),
            format!("http://wanted.i2p/?i2paddresshelper={}", base64.get(..500).unwrap()),
            "http://wanted.i2p/?i2paddresshelper=wanted.i2p".into(),
            format!("http://wanted.i2p/?i2paddresshelper={}.b32.i2p", "a".repeat(52)),
            "http://wanted.i2p/?i2paddresshelper=\u{fffd}".into(),
        ] {
            assert_eq!(destination_in(&text, &host), None, "{text}");
        }
    }
}

//! Jump services: sites in I2P that answer with a link that contains the destination of a name.

use std::{pin::Pin, time::Duration};

use hyper::header::LOCATION;
use i2p_name::{Destination, HostName, I2pName};
use i2p_tunnel::{Failure, LastResort, LogThrottle, OpenStreams};

use super::{
    book::SharedBook,
    fetch::{FetchError, Fetched, get},
    jump_link::destination_in,
};
use crate::config::i2p_url::I2pUrl;

/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long one service may take.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(45);
/// How long all services together may take, while a client is waiting.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(90);

/// Asks jump services, one after the other, on the streams of the identity that looks the name up. Its answers are remembered for
/// that identity and written nowhere: the address book would tell other identities, and readers of the disk, who looked up
/// which name and when.
pub(super) struct JumpServices {
    pub(super) services: Vec<I2pUrl>,
    /// Knows which destinations the user has removed from their names; `None` if there is no address book.
    pub(super) book: Option<SharedBook>,
    /// Warns of failures, but not each time, since clients choose how often services are asked.
    pub(super) failures: LogThrottle<&'static str>,
}

impl LastResort for JumpServices {
    fn find<'a>(
        &'a self,
        name: &'a HostName,
        streams: &'a dyn OpenStreams,
    ) -> Pin<Box<dyn Future<Output = Result<Option<I2pName>, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::time::timeout(TOTAL_TIMEOUT, self.ask(name, streams)).await;
            Ok(found.unwrap_or(Err(Failure::TimedOut))?.map(I2pName::from))
        })
    }
}

impl JumpServices {
    /// Asks each service until one knows the name.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] if the session was lost. If no service answered, [`Failure::TimedOut`] or the router's failure.
    async fn ask(&self, name: &HostName, streams: &dyn OpenStreams) -> Result<Option<Destination>, Failure> {
        let (mut has_answer, mut trouble) = (false, None);
        for service in &self.services {
            let url = service.with_name(name);
            match get(streams, &url, &[], MAX_ANSWER_BYTES, SERVICE_TIMEOUT).await {
                Ok(answer) => {
                    has_answer = true;
                    if let Some(found) = self.destination_in(&answer, name).await {
                        tracing::debug!("a jump service knew a name that no other source had");
                        return Ok(Some(found));
                    }
                }
                // No other service can be reached either.
                Err(_) if streams.are_lost() => return Err(Failure::RouterUnavailable),
                Err(error) => {
                    trouble = without_answer(&error).or(trouble);
                    self.failures.warn("service", format_args!("a jump service failed: {error}"));
                }
            }
        }
        trouble.filter(|_| !has_answer).map_or(Ok(None), Err)
    }

    /// The destination that the answer of a service gives to the name.
    async fn destination_in(&self, answer: &Fetched, name: &HostName) -> Option<Destination> {
        let location = answer.header(LOCATION).and_then(|link| destination_in(link, name));
        let found = location.or_else(|| destination_in(&String::from_utf8_lossy(&answer.body), name))?;
        (!self.was_removed(name, &found).await).then_some(found)
    }

    /// Whether the user, or the holder of the name, has removed this destination from the name.
    async fn was_removed(&self, name: &HostName, destination: &Destination) -> bool {
        let Some(book) = &self.book else { return false };
        let (name, destination) = (name.clone(), destination.clone());
        let removed = book.work(move |book| book.was_removed(&name, &destination)).await;
        removed.unwrap_or_else(|error| {
            self.failures.warn("book", error);
            false
        })
    }
}

/// The failure to report because of this error if no service answers; `None` if the service itself is at fault. It may stay at fault,
/// and then the name is as good as unknown.
fn without_answer(error: &FetchError) -> Option<Failure> {
    match error {
        FetchError::TooSlow(_) => Some(Failure::TimedOut),
        FetchError::Failed(
            Failure::NameUnknown | Failure::Unreachable | Failure::Refused | Failure::ClientKeyMissing,
        ) => None,
        FetchError::Failed(failure) => Some(*failure),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use i2p_tunnel::OpenStream;

    use super::*;

    /// Streams that fail in these ways, one after the other.
    struct FailingStreams {
        failures: Mutex<VecDeque<Failure>>,
        are_lost: bool,
    }

    impl OpenStreams for FailingStreams {
        fn open<'a>(
            &'a self,
            _: &'a I2pName,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>> {
            let failure = self.failures.lock().unwrap().pop_front().unwrap();
            Box::pin(async move { Err(failure) })
        }

        fn are_lost(&self) -> bool {
            self.are_lost
        }
    }

    /// A name counts as unknown only if that may be true.
    #[tokio::test]
    async fn the_failure_of_a_session_or_of_time_is_no_answer() {
        let url: I2pUrl = "http://jump.i2p/?a=".parse().unwrap();
        let services =
            JumpServices { services: vec![url.clone(), url], book: None, failures: LogThrottle::new() };
        let name = "wanted.i2p".parse().unwrap();
        for (failures, are_lost, expected) in [
            ([Failure::Unreachable, Failure::Refused], false, Ok(None)),
            ([Failure::TimedOut, Failure::TimedOut], false, Err(Failure::TimedOut)),
            ([Failure::Unreachable, Failure::TimedOut], false, Err(Failure::TimedOut)),
            ([Failure::RouterError, Failure::Unreachable], false, Err(Failure::RouterError)),
            ([Failure::RouterUnavailable, Failure::NameUnknown], true, Err(Failure::RouterUnavailable)),
        ] {
            let streams = FailingStreams { failures: Mutex::new(failures.into()), are_lost };
            assert_eq!(services.find(&name, &streams).await, expected, "{failures:?}");
        }
    }
}

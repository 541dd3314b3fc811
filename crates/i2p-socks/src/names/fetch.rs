//! HTTP GET through I2P.

use std::{fmt, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderName},
};
use hyper_util::rt::TokioIo;
use i2p_tunnel::{Failure, OpenStreams};
use tokio_util::task::AbortOnDropHandle;

use crate::config::i2p_url::I2pUrl;

/// The largest response head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How many redirections in a row are followed.
const MAX_REDIRECTIONS: usize = 3;

/// Why a fetch failed. The messages name no host.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// No stream could be opened.
    Failed(Failure),
    /// The answer is not HTTP, or ended early.
    Http(hyper::Error),
    /// The answer has an unusable status.
    Status(StatusCode),
    /// A redirection leads out of I2P, or there are too many.
    Redirection,
    /// The body is compressed, although the request did not allow it.
    Encoded,
    /// The body has lines, and none of them is one of a `hosts.txt` or a feed.
    NotAFeed,
    /// The answer took longer than the limit.
    TooSlow(Duration),
    /// The address book failed.
    Book(String),
    /// The reader of feeds panicked.
    Panicked,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => f.write_str(failure.row().log),
            Self::Http(error) => write!(f, "its answer is incomplete or not HTTP ({error})"),
            Self::Status(status) => write!(f, "it answers with HTTP status {status}"),
            Self::Redirection => f.write_str("it redirects out of I2P, or too often"),
            Self::Encoded => f.write_str("its answer is compressed, which the request did not allow"),
            Self::NotAFeed => f.write_str(
                "its answer is something else than a hosts.txt or a feed, perhaps a page for people: none of its lines is valid",
            ),
            Self::TooSlow(timeout) => write!(f, "it took longer than {} s", timeout.as_secs()),
            Self::Book(why) => f.write_str(why),
            Self::Panicked => f.write_str("reading it hit a bug of i2p-socks, which the log names: please report it"),
        }
    }
}

/// A response, with as much of its body as the limit allows.
pub(super) struct Fetched {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether the body was longer than the limit.
    pub(super) cut: bool,
}

impl Fetched {
    /// A header field, if it is ASCII text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Fetches a URL within `timeout`, and at most `max_bytes` of the body. Any status is returned; redirections are not followed.
pub(super) async fn get(
    streams: &dyn OpenStreams,
    url: &I2pUrl,
    fields: &[(HeaderName, String)],
    max_bytes: usize,
    timeout: Duration,
) -> Result<Fetched, FetchError> {
    let got = tokio::time::timeout(timeout, get_once(streams, url, fields, max_bytes)).await;
    got.unwrap_or(Err(FetchError::TooSlow(timeout)))
}

/// [`get`], but follows up to three redirections within I2P. Also returns whether there was one. The header fields `fields` go only to
/// the first URL, because conditions such as `If-None-Match` belong to it.
pub(super) async fn get_following_redirections(
    streams: &dyn OpenStreams,
    url: &I2pUrl,
    fields: &[(HeaderName, String)],
    max_bytes: usize,
    timeout: Duration,
) -> Result<(Fetched, bool), FetchError> {
    let got = tokio::time::timeout(timeout, async {
        let mut at = url.clone();
        for hop in 0..=MAX_REDIRECTIONS {
            let got = get_once(streams, &at, if hop == 0 { fields } else { &[] }, max_bytes).await?;
            let is_redirection = got.status.is_redirection() && got.status != StatusCode::NOT_MODIFIED;
            if !is_redirection {
                return Ok((got, hop > 0));
            }
            let location = got.header(header::LOCATION).ok_or(FetchError::Status(got.status))?;
            at = at.join(location).map_err(|_| FetchError::Redirection)?;
        }
        Err(FetchError::Redirection)
    });
    got.await.unwrap_or(Err(FetchError::TooSlow(timeout)))
}

async fn get_once(
    streams: &dyn OpenStreams,
    url: &I2pUrl,
    fields: &[(HeaderName, String)],
    max_bytes: usize,
) -> Result<Fetched, FetchError> {
    // Kept until the body is read, because the stream ends with it.
    let opened = streams.open(url.host(), url.port()).await.map_err(FetchError::Failed)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(opened.socket))
        .await
        .map_err(FetchError::Http)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::get(url.path()).header(header::HOST, url.authority());
    for (name, value) in fields {
        request = request.header(name, value);
    }
    // All parts were checked before, so this never fails.
    let request = request.header(header::CONNECTION, "close").body(Empty::new());
    let request = request.map_err(|_| FetchError::Redirection)?;
    let response = sender.send_request(request).await.map_err(FetchError::Http)?;
    let got = read(response, max_bytes).await;
    drop(opened.hold);
    got
}

async fn read(response: Response<Incoming>, max_bytes: usize) -> Result<Fetched, FetchError> {
    let (head, mut incoming) = response.into_parts();
    let plain = |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get(header::CONTENT_ENCODING).is_none_or(plain) {
        return Err(FetchError::Encoded);
    }
    let (mut body, mut cut) = (Vec::new(), false);
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(FetchError::Http)?.into_data() else { continue };
        let room = max_bytes.saturating_sub(body.len());
        body.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            cut = true;
            break;
        }
    }
    Ok(Fetched { status: head.status, headers: head.headers, body, cut })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use i2p_sam::Bridge;
    use i2p_tunnel::Resolver;
    use sam_testkit::{Endpoint, TestBridge};

    use super::*;
    use crate::{config::session::SessionConfig, names::own_client::OwnClient};

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn slow_answers_fail_and_long_ones_are_cut() {
        let bridge = TestBridge::start().await;
        bridge.host("page.i2p", Endpoint::Http("0123456789".into()));
        bridge.host("silent.i2p", Endpoint::Sink);
        bridge.host("slow.i2p", Endpoint::Source(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()));
        let client =
            OwnClient::new(Bridge::new(bridge.address()), &SessionConfig::default(), Resolver::default());
        let fetch = async |host: &str, max_bytes, timeout| {
            let url = format!("http://{host}/").parse().unwrap();
            get(&client, &url, &[], max_bytes, timeout).await
        };
        for (max_bytes, body, cut) in [(10, "0123456789", false), (9, "012345678", true), (0, "", true)] {
            let got = fetch("page.i2p", max_bytes, LONG).await.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((got.status.as_u16(), got.cut), (200, cut));
            assert_eq!(got.body, body.as_bytes());
        }
        let fails =
            async |host: &str, limit| fetch(host, 10, limit).await.err().map(|error| error.to_string());
        let silent = fails("silent.i2p", Duration::from_millis(50)).await;
        assert_eq!(silent.as_deref(), Some("it took longer than 0 s"));
        assert!(fails("slow.i2p", LONG).await.is_some_and(|said| said.contains("incomplete")));
        let unknown = fails("unknown.i2p", LONG).await;
        assert_eq!(unknown.as_deref(), Some("the name is in no address book"));
        let sessions: HashMap<_, _> =
            bridge.streams().into_iter().map(|stream| (stream.session, stream.from)).collect();
        assert_eq!(sessions.len(), 1, "one session for all requests");
    }
}

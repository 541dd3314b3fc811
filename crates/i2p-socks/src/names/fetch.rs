//! One HTTP GET through I2P.

use std::{fmt, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderName},
};
use hyper_util::rt::TokioIo;
use i2p_tunnel::Failure;
use tokio_util::task::AbortOnDropHandle;

use super::own_client::Way;
use crate::config::i2p_url::I2pUrl;

/// Bytes of a response's head.
const HEAD: usize = 64 * 1024;
/// Redirections in a row that are followed.
const REDIRECTIONS: usize = 3;

/// Why nothing was got. The words name nobody.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// There was no stream.
    Failed(Failure),
    /// It was no HTTP, or ended early.
    Http(hyper::Error),
    /// It was HTTP, and not what was asked for.
    Status(StatusCode),
    /// It leads out of I2P, or in circles.
    Redirection,
    /// The body is compressed, which nobody has asked for.
    Encoded,
    /// There is no end of it.
    TooSlow(Duration),
    /// It could not be put into the address book.
    Book(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => f.write_str(failure.row().log),
            Self::Http(error) => write!(f, "its answer is not whole, or not HTTP ({error})"),
            Self::Status(status) => write!(f, "it answers with HTTP status {status}"),
            Self::Redirection => f.write_str("it redirects out of I2P, or too often"),
            Self::Encoded => f.write_str("its answer is compressed, which was not asked for"),
            Self::TooSlow(limit) => write!(f, "it took longer than {} s", limit.as_secs()),
            Self::Book(why) => f.write_str(why),
        }
    }
}

/// A response with as much of its body as was wanted.
pub(super) struct Fetched {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether there was more of the body.
    pub(super) cut: bool,
}

impl Fetched {
    /// A field of the head, if it is plain text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Gets what is at a URL: within a time, at most so many bytes of its body, whatever its status. Redirections are not
/// followed.
pub(super) async fn get(
    way: &Way,
    url: &I2pUrl,
    fields: &[(HeaderName, String)],
    most: usize,
    limit: Duration,
) -> Result<Fetched, FetchError> {
    let got = tokio::time::timeout(limit, get_once(way, url, fields, most)).await;
    got.unwrap_or(Err(FetchError::TooSlow(limit)))
}

/// [`get`], with up to three redirections followed within I2P. Conditions are for the URL that they were got from, and so for
/// the first one alone.
pub(super) async fn get_following(
    way: &Way,
    url: &I2pUrl,
    fields: &[(HeaderName, String)],
    most: usize,
    limit: Duration,
) -> Result<(Fetched, bool), FetchError> {
    let got = tokio::time::timeout(limit, async {
        let mut at = url.clone();
        for hop in 0..=REDIRECTIONS {
            let got = get_once(way, &at, if hop == 0 { fields } else { &[] }, most).await?;
            let moved = got.status.is_redirection() && got.status != StatusCode::NOT_MODIFIED;
            if !moved {
                return Ok((got, hop > 0));
            }
            let location = got.header(header::LOCATION).ok_or(FetchError::Status(got.status))?;
            at = at.join(location).map_err(|_| FetchError::Redirection)?;
        }
        Err(FetchError::Redirection)
    });
    got.await.unwrap_or(Err(FetchError::TooSlow(limit)))
}

async fn get_once(
    way: &Way,
    url: &I2pUrl,
    fields: &[(HeaderName, String)],
    most: usize,
) -> Result<Fetched, FetchError> {
    // Lives until the body is read: with it the right to the stream.
    let opened = way.open(url.host(), url.port()).await.map_err(FetchError::Failed)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(opened.socket))
        .await
        .map_err(FetchError::Http)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::get(url.path()).header(header::HOST, url.authority());
    for (name, value) in fields {
        request = request.header(name, value);
    }
    // Everything in it was checked before, so that there is a request.
    let request = request.header(header::CONNECTION, "close").body(Empty::new());
    let request = request.map_err(|_| FetchError::Redirection)?;
    let response = sender.send_request(request).await.map_err(FetchError::Http)?;
    let got = read(response, most).await;
    drop(opened.hold);
    got
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Fetched, FetchError> {
    let (head, mut incoming) = response.into_parts();
    let plain = |value: &header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get(header::CONTENT_ENCODING).is_none_or(plain) {
        return Err(FetchError::Encoded);
    }
    let (mut body, mut cut) = (Vec::new(), false);
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(FetchError::Http)?.into_data() else { continue };
        let room = most.saturating_sub(body.len());
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
    use crate::config::session::SessionConfig;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_takes_too_long_is_given_up_and_what_is_too_much_is_cut() {
        let bridge = TestBridge::start().await;
        bridge.host("page.i2p", Endpoint::Http("0123456789".into()));
        bridge.host("silent.i2p", Endpoint::Sink);
        bridge.host("slow.i2p", Endpoint::Source(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()));
        let way = Way::new(Bridge::new(bridge.address()), &SessionConfig::default(), Resolver::default());
        let fetch = async |host: &str, most, limit| {
            let url = format!("http://{host}/").parse().unwrap();
            get(&way, &url, &[], most, limit).await
        };
        for (most, body, cut) in [(10, "0123456789", false), (9, "012345678", true), (0, "", true)] {
            let got = fetch("page.i2p", most, LONG).await.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((got.status.as_u16(), got.cut), (200, cut));
            assert_eq!(got.body, body.as_bytes());
        }
        let fails =
            async |host: &str, limit| fetch(host, 10, limit).await.err().map(|error| error.to_string());
        let silent = fails("silent.i2p", Duration::from_millis(50)).await;
        assert_eq!(silent.as_deref(), Some("it took longer than 0 s"));
        assert!(fails("slow.i2p", LONG).await.is_some_and(|said| said.contains("not whole")));
        let unknown = fails("unknown.i2p", LONG).await;
        assert_eq!(unknown.as_deref(), Some("the name is in no address book"));
        let sessions: HashMap<_, _> =
            bridge.streams().into_iter().map(|stream| (stream.session, stream.from)).collect();
        assert_eq!(sessions.len(), 1, "one session for all");
    }
}

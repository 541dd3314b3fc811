//! Which request is for whom, and what requests and answers consist of.

use std::{collections::HashMap, io, pin::Pin, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

/// How long the body of a request may take that is read as a whole.
const BODY: Duration = Duration::from_secs(30);

/// A body that is sent: whole, or piece by piece.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// A request.
pub(crate) type Asked = Request<Incoming>;
/// A response.
pub(crate) type Answer = Response<Body>;

type Handler = Box<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// What is done for which method and path. A path is compared as a whole; the query is the handler's.
#[derive(Default)]
pub(crate) struct Routes {
    handlers: HashMap<&'static str, Vec<(Method, Handler)>>,
}

impl Routes {
    /// With this, too.
    #[must_use]
    pub(crate) fn on<F, Work>(mut self, method: Method, path: &'static str, handler: F) -> Self
    where
        F: Fn(Asked) -> Work + Send + Sync + 'static,
        Work: Future<Output = Answer> + Send + 'static,
    {
        let handler: Handler = Box::new(move |asked| Box::pin(handler(asked)));
        self.handlers.entry(path).or_default().push((method, handler));
        self
    }

    /// The handler's answer; 404 or 405 where there is none (RFC 9110 sections 15.5.5 and 15.5.6).
    pub(super) async fn answer(&self, asked: Asked) -> Answer {
        let Some(handlers) = self.handlers.get(asked.uri().path()) else {
            return problem(StatusCode::NOT_FOUND, "there is nothing at this path");
        };
        match handlers.iter().find(|(method, _)| method == asked.method()) {
            Some((_, handler)) => handler(asked).await,
            None => {
                let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "this path has another method");
                let allowed: Vec<_> = handlers.iter().map(|(method, _)| method.as_str()).collect();
                if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
                    answer.headers_mut().insert(ALLOW, allowed);
                }
                answer
            }
        }
    }
}

/// An answer that is a JSON value.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(text) => whole(status, text),
        Err(_) => whole(StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec()),
    }
}

/// An answer that says what went wrong: `{"error": TEXT}`.
pub(crate) fn problem(status: StatusCode, text: &str) -> Answer {
    json(status, &HashMap::from([("error", text)]))
}

fn whole(status: StatusCode, text: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A body, read to its end: at most `limit` bytes, within a time.
///
/// # Errors
/// The answer to give instead: 413, 408 or 400.
pub(crate) async fn bytes_within(body: Incoming, limit: usize) -> Result<Bytes, Answer> {
    match tokio::time::timeout(BODY, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, &format!("the request is larger than {limit} bytes")))
        }
        Ok(Err(_)) => Err(problem(StatusCode::BAD_REQUEST, "the request ends early")),
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the request took too long")),
    }
}

/// A body that is a JSON value, read to its end.
///
/// # Errors
/// The answer to give instead.
pub(crate) async fn json_within<T: DeserializeOwned>(body: Incoming, limit: usize) -> Result<T, Answer> {
    let text = bytes_within(body, limit).await?;
    serde_json::from_slice(&text)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, &format!("the request is not understood: {error}")))
}

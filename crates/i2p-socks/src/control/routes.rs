//! Dispatches requests to handlers by path and method, and builds their answers.

use std::{collections::HashMap, io, pin::Pin, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

/// How long a request body that is read as a whole may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The body of a response, whole or streamed.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// A request.
pub(crate) type HttpRequest = Request<Incoming>;
/// A response.
pub(crate) type HttpResponse = Response<Body>;

type Handler = Box<dyn Fn(HttpRequest) -> Pin<Box<dyn Future<Output = HttpResponse> + Send>> + Send + Sync>;

/// The handlers by path and method. A path must match as a whole; the query is left to the handler.
#[derive(Default)]
pub(crate) struct Routes {
    handlers: HashMap<&'static str, Vec<(Method, Handler)>>,
}

impl Routes {
    /// Adds a handler.
    #[must_use]
    pub(crate) fn on<F, Work>(mut self, method: Method, path: &'static str, handler: F) -> Self
    where
        F: Fn(HttpRequest) -> Work + Send + Sync + 'static,
        Work: Future<Output = HttpResponse> + Send + 'static,
    {
        let handler: Handler = Box::new(move |request| Box::pin(handler(request)));
        self.handlers.entry(path).or_default().push((method, handler));
        self
    }

    /// The response of the handler; 404 or 405 if there is none (RFC 9110 sections 15.5.5 and 15.5.6). HEAD has the handler of GET, and
    /// hyper leaves out the content of the response (RFC 9110 section 9.3.2).
    pub(super) async fn respond(&self, request: HttpRequest) -> HttpResponse {
        let Some(handlers) = self.handlers.get(request.uri().path()) else {
            return error_response(StatusCode::NOT_FOUND, "there is nothing at this path");
        };
        let asked = match *request.method() {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        match handlers.iter().find(|(method, _)| method == asked) {
            Some((_, handler)) => handler(request).await,
            None => {
                let mut response =
                    error_response(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods");
                let mut allowed: Vec<_> = handlers.iter().map(|(method, _)| method.as_str()).collect();
                if allowed.contains(&Method::GET.as_str()) {
                    allowed.push(Method::HEAD.as_str());
                }
                if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                response
            }
        }
    }
}

/// A response with a JSON value.
pub(crate) fn json_response(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(text) => raw_json_response(status, text),
        Err(_) => raw_json_response(StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec()),
    }
}

/// A response with a reason: `{"error": TEXT}`.
pub(crate) fn error_response(status: StatusCode, text: &str) -> HttpResponse {
    json_response(status, &HashMap::from([("error", text)]))
}

fn raw_json_response(status: StatusCode, text: Vec<u8>) -> HttpResponse {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Reads a request body of at most `max_bytes`, within a time limit.
///
/// # Errors
/// The response to give instead: 413, 408 or 400.
pub(crate) async fn read_body(body: Incoming, max_bytes: usize) -> Result<Bytes, HttpResponse> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, max_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(error_response(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the request is larger than {max_bytes} bytes"),
        )),
        Ok(Err(_)) => Err(error_response(StatusCode::BAD_REQUEST, "the request ended early")),
        Err(_) => Err(error_response(StatusCode::REQUEST_TIMEOUT, "the request took too long")),
    }
}

/// Reads a request body as a JSON value.
///
/// # Errors
/// The response to give instead.
pub(crate) async fn read_json_body<T: DeserializeOwned>(
    body: Incoming,
    max_bytes: usize,
) -> Result<T, HttpResponse> {
    let text = read_body(body, max_bytes).await?;
    serde_json::from_slice(&text)
        .map_err(|error| error_response(StatusCode::BAD_REQUEST, &format!("malformed request: {error}")))
}

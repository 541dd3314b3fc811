//! The client of the control socket, for commands.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::HOST,
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{DEMO_DIRECTORY, SOCKET, routes::Body};

/// The largest answer that is read as a whole.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// How long most answers may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why the running proxy gave no usable answer.
#[derive(Debug)]
pub(crate) enum ControlError {
    /// No proxy is running with this state directory.
    NotRunning(PathBuf),
    /// The path of the state directory is not a directory.
    NotADirectory(PathBuf),
    /// Only the user that runs the proxy, and root, may ask it.
    NotPermitted(PathBuf),
    /// The connection or the answer is broken.
    Broken(String),
    /// The proxy refused the request, with this reason.
    Refused(String),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(state_dir) => {
                write!(f, "no proxy is running with the state directory {}", state_dir.display())
            }
            Self::NotADirectory(path) => {
                write!(f, "the state directory {} is not a directory", path.display())
            }
            Self::NotPermitted(state_dir) => write!(
                f,
                "this user may not use the state directory {}: run the command as the user of the proxy, or as root",
                state_dir.display()
            ),
            Self::Broken(why) => write!(f, "the running proxy does not answer: {why}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// Talks to the proxy with a state directory, with one connection per request.
#[derive(Debug, Clone)]
pub(crate) struct ControlClient {
    state_dir: PathBuf,
    is_demo: bool,
}

impl ControlClient {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned(), is_demo: false }
    }

    /// The demo that was started with a state directory.
    pub(crate) fn of_demo_beside(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.join(DEMO_DIRECTORY), is_demo: true }
    }

    /// The proxy with a state directory; if none is running, the demo beside it, if that is.
    pub(crate) async fn of_proxy_or_demo(state_dir: &Path) -> Self {
        let (proxy, demo) = (Self::of(state_dir), Self::of_demo_beside(state_dir));
        match (proxy.is_running().await, demo.is_running().await) {
            (Ok(false), Ok(true)) => demo,
            _ => proxy,
        }
    }

    /// The state directory of what it talks to.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Whether it talks to the demo.
    pub(crate) fn is_of_demo(&self) -> bool {
        self.is_demo
    }

    fn not_running(&self) -> ControlError {
        ControlError::NotRunning(self.state_dir.clone())
    }

    /// Sends a JSON value, and reads one as the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, ControlError> {
        self.ask_within(ANSWER_TIMEOUT, path, question).await
    }

    /// [`ControlClient::ask`] with another time limit.
    pub(crate) async fn ask_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, ControlError> {
        let text = serde_json::to_vec(question).map_err(broken)?;
        let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
        tokio::time::timeout(limit, async {
            read_json(self.send(request(Method::POST, path), body).await?).await
        })
        .await
        .unwrap_or_else(|_| Err(broken(format_args!("no answer within {} s", limit.as_secs()))))
    }

    /// Sends a GET request. The body is not read yet, and the proxy alone limits the time.
    pub(crate) async fn get(&self, path: &str) -> Result<Response<Incoming>, ControlError> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        self.send(request(Method::GET, path), body).await
    }

    /// Sends a POST request with one header field and a body. The proxy alone limits the time.
    pub(crate) async fn post(
        &self,
        path: &str,
        (field, value): (&str, &str),
        body: Body,
    ) -> Result<Response<Incoming>, ControlError> {
        self.send(request(Method::POST, path).header(field, value.as_bytes()), body).await
    }

    /// Whether a proxy is running.
    ///
    /// # Errors
    /// [`ControlError::Broken`]: that could not be found out.
    pub(crate) async fn is_running(&self) -> Result<bool, ControlError> {
        match self.connect().await {
            Ok(_) => Ok(true),
            Err(ControlError::NotRunning(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, request: Builder, body: Body) -> Result<Response<Incoming>, ControlError> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        tokio::spawn(connection);
        let answer = sender.send_request(request.body(body).map_err(broken)?).await.map_err(broken)?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            _ => Err(ControlError::Refused(refusal_reason(answer).await)),
        }
    }

    #[cfg(unix)]
    async fn connect(&self) -> Result<tokio::net::UnixStream, ControlError> {
        use std::io::ErrorKind;

        tokio::net::UnixStream::connect(self.state_dir.join(SOCKET)).await.map_err(|error| {
            match error.kind() {
                // A killed proxy leaves a socket without a listener.
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => self.not_running(),
                ErrorKind::PermissionDenied => ControlError::NotPermitted(self.state_dir.clone()),
                ErrorKind::NotADirectory => ControlError::NotADirectory(self.state_dir.clone()),
                _ => broken(format_args!("{}: {error}", self.state_dir.join(SOCKET).display())),
            }
        })
    }

    /// This system has no Unix sockets.
    #[cfg(not(unix))]
    async fn connect(&self) -> Result<tokio::io::DuplexStream, ControlError> {
        std::future::ready(Err(self.not_running())).await
    }
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(HOST, "control")
}

fn broken(why: impl fmt::Display) -> ControlError {
    ControlError::Broken(why.to_string())
}

/// Reads an answer as a whole.
pub(crate) async fn read_whole(answer: Response<Incoming>) -> Result<Bytes, ControlError> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(broken)?;
    Ok(body.to_bytes())
}

/// Reads an answer as a JSON value.
pub(crate) async fn read_json<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ControlError> {
    serde_json::from_slice(&read_whole(answer).await?).map_err(broken)
}

/// The reason in an error answer of [`error_response`](super::routes::error_response).
async fn refusal_reason(answer: Response<Incoming>) -> String {
    #[derive(Deserialize)]
    struct ErrorAnswer {
        error: String,
    }
    let status = answer.status();
    match read_json::<ErrorAnswer>(answer).await {
        Ok(answer) => answer.error,
        Err(_) => format!("HTTP status {status}"),
    }
}

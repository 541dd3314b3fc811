//! The commands' side of the control socket.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::{
    Method, Request, Response, body::Incoming, client::conn::http1, header::HOST, http::request::Builder,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{SOCKET, routes::Body};

/// The largest answer that is read as a whole.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long most answers may take.
const ANSWER: Duration = Duration::from_secs(60);

/// Why a running proxy gave no answer that could be used.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// No proxy runs with this state directory.
    NotRunning(PathBuf),
    /// Something else is in the place of a state directory.
    NoDirectory(PathBuf),
    /// It could not be spoken to.
    Broken(String),
    /// It said no, and why.
    Refused(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(state_dir) => {
                write!(f, "no proxy runs with the state directory {}", state_dir.display())
            }
            Self::NoDirectory(path) => {
                write!(f, "{} is no directory, so nothing can be kept there", path.display())
            }
            Self::Broken(why) => write!(f, "the proxy that runs gives no answer: {why}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// Speaks to the proxy that runs with a state directory, one connection for each request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    state_dir: PathBuf,
}

impl Client {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    fn not_running(&self) -> Unanswered {
        Unanswered::NotRunning(self.state_dir.clone())
    }

    /// Sends a JSON value, and reads one.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Unanswered> {
        self.ask_within(ANSWER, path, question).await
    }

    /// [`Client::ask`], for what may take longer.
    pub(crate) async fn ask_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Unanswered> {
        let text = serde_json::to_vec(question).map_err(broken)?;
        let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
        tokio::time::timeout(limit, async { read(self.send(request(Method::POST, path), body).await?).await })
            .await
            .unwrap_or_else(|_| Err(broken(format_args!("{} s have passed", limit.as_secs()))))
    }

    /// Gets what is at a path. The body is still to be read, and there is no time limit but the proxy's.
    pub(crate) async fn get(&self, path: &str) -> Result<Response<Incoming>, Unanswered> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        self.send(request(Method::GET, path), body).await
    }

    /// Sends a body with one field in the head. There is no time limit but the proxy's.
    pub(crate) async fn post(
        &self,
        path: &str,
        (field, value): (&str, &str),
        body: Body,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.send(request(Method::POST, path).header(field, value.as_bytes()), body).await
    }

    /// Whether a proxy runs.
    ///
    /// # Errors
    /// [`Unanswered::Broken`]: it is not known.
    pub(crate) async fn is_running(&self) -> Result<bool, Unanswered> {
        match self.connect().await {
            Ok(_) => Ok(true),
            Err(Unanswered::NotRunning(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, request: Builder, body: Body) -> Result<Response<Incoming>, Unanswered> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        tokio::spawn(connection);
        let answer = sender.send_request(request.body(body).map_err(broken)?).await.map_err(broken)?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            _ => Err(Unanswered::Refused(refusal(answer).await)),
        }
    }

    #[cfg(unix)]
    async fn connect(&self) -> Result<tokio::net::UnixStream, Unanswered> {
        use std::io::ErrorKind;

        tokio::net::UnixStream::connect(self.state_dir.join(SOCKET)).await.map_err(|error| {
            match error.kind() {
                // A socket that nobody listens to is what a killed proxy leaves.
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => self.not_running(),
                ErrorKind::NotADirectory => Unanswered::NoDirectory(self.state_dir.clone()),
                _ => broken(format_args!("{}: {error}", self.state_dir.join(SOCKET).display())),
            }
        })
    }

    /// There are no such sockets here.
    #[cfg(not(unix))]
    async fn connect(&self) -> Result<tokio::io::DuplexStream, Unanswered> {
        std::future::ready(Err(self.not_running())).await
    }
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(HOST, "control")
}

fn broken(why: impl fmt::Display) -> Unanswered {
    Unanswered::Broken(why.to_string())
}

/// Reads a JSON value.
pub(crate) async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Unanswered> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(broken)?;
    serde_json::from_slice(&body.to_bytes()).map_err(broken)
}

/// The words of [`problem`](super::problem).
async fn refusal(answer: Response<Incoming>) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }
    let status = answer.status();
    match read::<Said>(answer).await {
        Ok(said) => said.error,
        Err(_) => format!("it answers {status}"),
    }
}

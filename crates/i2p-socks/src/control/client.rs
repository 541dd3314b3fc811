//! The commands' side of the control socket.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Body, SOCKET};

/// The largest answer that is read as a whole.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long most answers may take.
const ANSWER: Duration = Duration::from_secs(60);

/// Why a running proxy gave no answer that could be used.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// No proxy runs with this state directory.
    NotRunning,
    /// It could not be spoken to.
    Broken(String),
    /// It said no, and why.
    Refused(StatusCode, String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("no proxy runs with this state directory"),
            Self::Broken(why) => write!(f, "the proxy that runs gives no answer: {why}"),
            Self::Refused(_, why) => f.write_str(why),
        }
    }
}

/// Speaks to the proxy that runs with a state directory, one connection for each request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { socket: state_dir.join(SOCKET) }
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
        tokio::time::timeout(limit, async { read(self.send(Method::POST, path, body).await?).await })
            .await
            .unwrap_or_else(|_| Err(broken(format_args!("{} s have passed", limit.as_secs()))))
    }

    /// Sends a request, and gives the answer with a body that is still to be read. No time limit but the proxy's.
    #[cfg(unix)]
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, Unanswered> {
        use std::io::ErrorKind;

        use hyper::client::conn::http1;
        use hyper_util::rt::TokioIo;

        let stream = match tokio::net::UnixStream::connect(&self.socket).await {
            Ok(stream) => stream,
            // A socket that nobody listens to is what a killed proxy leaves.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Err(Unanswered::NotRunning);
            }
            Err(error) => return Err(broken(format_args!("{}: {error}", self.socket.display()))),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "control");
        let answer = sender.send_request(request.body(body).map_err(broken)?).await.map_err(broken)?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            status => Err(Unanswered::Refused(status, refusal(answer).await)),
        }
    }

    /// There are no such sockets here.
    #[cfg(not(unix))]
    pub(crate) async fn send(&self, _: Method, _: &str, _: Body) -> Result<Response<Incoming>, Unanswered> {
        let _ = (&self.socket, Request::<Body>::new);
        std::future::ready(Err(Unanswered::NotRunning)).await
    }
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

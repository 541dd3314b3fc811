//! `status`: shows the status of the running proxy.

#[cfg(unix)]
use std::path::PathBuf;
use std::{
    fmt::{self, Write as _},
    io::{self, IsTerminal},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    command_error::CommandError,
    config::{Config, values::addresses_without_lookup},
    control::client::{ControlClient, ControlError, read_json},
    status::report::{SessionReport, StatusReport, counted, duration},
    terminal::output::{Format, print, remark},
};

/// How often `--wait` asks.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The place of an admin endpoint: `http://IP:PORT/`, or `unix:PATH` as under `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminUrl {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix("unix:") {
            // Two slashes are a mistaken URL.
            return match path.starts_with('/') && !path.starts_with("//") {
                true => Ok(Self::Unix(path.into())),
                false => {
                    Err("expected the absolute path of a socket, such as unix:/run/i2p-socks/admin"
                        .to_owned())
                }
            };
        }
        let bare = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let address = bare.and_then(|bare| addresses_without_lookup(bare).into_iter().next());
        address.map(Self::Tcp).ok_or_else(|| {
            "expected http://IP:PORT/, such as http://127.0.0.1:4480/, or unix:PATH, as listen under [admin] says"
                .to_owned()
        })
    }
}

/// Which proxy to ask, and how.
pub(crate) struct StatusQuery {
    /// The admin endpoint; `None`: the control socket in the state directory.
    pub(crate) admin: Option<AdminUrl>,
    /// Wait until it is ready, at most this long.
    pub(crate) wait: Option<Duration>,
    /// The form of the output.
    pub(crate) format: Format,
    /// Whether this command was told by options which proxy is meant, so that the commands of its advice need them, too.
    pub(crate) needs_options: bool,
}

/// Prints the status; fails if the proxy is not ready.
pub(crate) async fn run(config: &Config, query: &StatusQuery) -> Result<(), CommandError> {
    let begin = Instant::now();
    let mut waits = false;
    let outcome = loop {
        let outcome = ask(config, query).await?;
        let left = query.wait.and_then(|limit| limit.checked_sub(begin.elapsed()));
        let left = match (&outcome, left) {
            (Ok(report), _) if report.ready => break outcome,
            (_, None) => break outcome,
            (_, Some(left)) => left,
        };
        // A person would take silence for a hang.
        if !waits && io::stderr().is_terminal() {
            waits = true;
            remark(match outcome {
                Ok(_) => "waiting for the proxy, which is not ready; Ctrl-C ends only this command",
                Err(_) => "waiting for a proxy to start; Ctrl-C ends only this command",
            });
        }
        sleep(POLL_INTERVAL.min(left)).await;
    };
    let report = outcome.map_err(|why| {
        CommandError::run_time(match why {
            ControlError::NotPermitted(_) | ControlError::Refused(_) => why.to_string(),
            ControlError::Broken(_) => {
                format!(
                    "{why}. Check that it runs, and its log, or name another one with --state-dir or --admin"
                )
            }
            ControlError::NotADirectory(_) => {
                format!(
                    "{why}. Name the one of a running proxy with --state-dir, or its address with --admin"
                )
            }
            ControlError::NotRunning(_) => {
                format!("{why}. Start it, or name another one with --state-dir or --admin")
            }
        })
    })?;
    let text = query.format.render(&report, |report| to_text(report, query.needs_options))?;
    print(&text)?;
    match (report.ready, query.wait) {
        (true, _) => Ok(()),
        (false, None) => Err(CommandError::run_time(match report.state.as_str() {
            "no-router" => "the proxy is not ready: no session is open, and the router does not answer",
            "stopping" => "the proxy is stopping: it takes no new clients",
            _ => "the proxy is not ready: clients have to wait for I2P tunnels",
        })),
        (false, Some(limit)) => Err(CommandError::run_time(format_args!(
            "the proxy is not ready after {}: check its log, and that the router is running",
            humantime::format_duration(limit)
        ))),
    }
}

async fn ask(
    config: &Config,
    query: &StatusQuery,
) -> Result<Result<StatusReport, ControlError>, CommandError> {
    Ok(match &query.admin {
        Some(admin) => admin.report().await,
        None => {
            let state_dir = config.state_dir()?;
            report_of(&ControlClient::of_proxy_or_demo(&state_dir).await).await
        }
    })
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl AdminUrl {
    async fn report(&self) -> Result<StatusReport, ControlError> {
        timeout(ANSWER_TIMEOUT, self.fetch()).await.unwrap_or_else(|_| Err(too_slow()))
    }

    async fn fetch(&self) -> Result<StatusReport, ControlError> {
        match self {
            Self::Tcp(address) => self.fetch_over(TcpStream::connect(address).await).await,
            #[cfg(unix)]
            Self::Unix(path) => self.fetch_over(UnixStream::connect(path).await).await,
        }
    }

    /// What to say of something else than a status.
    fn no_admin_endpoint(&self) -> String {
        format!(
            "what answers at {self} is not the admin endpoint of an i2p-socks. Name its address, which is listen under [admin] and not \
             the port of a tunnel"
        )
    }

    async fn fetch_over<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        connected: io::Result<S>,
    ) -> Result<StatusReport, ControlError> {
        let broken = |error: &dyn fmt::Display| ControlError::Broken(format!("{self}: {error}"));
        let stream = connected.map_err(|error| broken(&error))?;
        let host = match self {
            Self::Tcp(address) => address.to_string(),
            #[cfg(unix)]
            Self::Unix(_) => "localhost".to_owned(),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let request = Request::get("/status.json").header("host", host);
        let request = request.body(Empty::<&[u8]>::new()).map_err(|error| broken(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(ControlError::Refused(self.no_admin_endpoint()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| ControlError::Refused(self.no_admin_endpoint()))
    }
}

/// The status of a proxy, by its control socket.
pub(super) async fn report_of(proxy: &ControlClient) -> Result<StatusReport, ControlError> {
    let asked = async { read_json(proxy.get("/status.json").await?).await };
    timeout(ANSWER_TIMEOUT, asked).await.unwrap_or_else(|_| Err(too_slow()))
}

fn too_slow() -> ControlError {
    ControlError::Broken(format!("the running proxy gave no answer within {} s", ANSWER_TIMEOUT.as_secs()))
}

fn to_text(report: &StatusReport, needs_options: bool) -> String {
    let mut text =
        format!("i2p-socks {}: {}, running for {}\n", report.version, report.state, duration(report.uptime));
    // Writing to a string does not fail.
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    if let Some(refused) = &report.refused_reload {
        let _ = writeln!(text, "{}", printable(&refused.line()));
    }
    if let Some(failure) = &report.address_book_failure {
        let _ = writeln!(text, "address book: {}", printable(failure));
    }
    if let Some(failure) = &report.router_failure {
        let _ = writeln!(text, "{}", printable(&failure.line()));
    }
    for tunnel in &report.tunnels {
        let lacks = tunnel.lacks(&report.state).map(str::to_owned).into_iter().chain(tunnel.failed());
        let lacks: String = lacks.map(|lacks| format!("{lacks}; ")).collect();
        let _ = writeln!(
            text,
            "tunnel {} at {}: {lacks}{}, {}; {} succeeded, {} failed{}",
            tunnel.name,
            tunnel.listeners.join(", "),
            counted(tunnel.connections, "connection"),
            counted(tunnel.streams, "stream"),
            counted(tunnel.succeeded, "request"),
            tunnel.failed,
            tunnel.refused_clients().map_or_else(String::new, |refused| format!("; {refused}"))
        );
        if let Some(datagrams) = &tunnel.datagrams {
            let _ = writeln!(
                text,
                "datagrams of tunnel {}: {} sent, {} received, {} dropped; {} with UDP open",
                tunnel.name,
                datagrams.sent,
                datagrams.received,
                datagrams.dropped.values().sum::<u64>(),
                counted(datagrams.associations, "client")
            );
            for session in &datagrams.sessions {
                let b32 = printable(&session.b32);
                let _ = writeln!(
                    text,
                    "datagrams of tunnel {} are sent {}: {b32}",
                    tunnel.name,
                    session.origin()
                );
            }
        }
    }
    let of_exec: Vec<_> =
        report.tunnels.iter().filter(|tunnel| tunnel.exec).map(|tunnel| tunnel.name.as_str()).collect();
    if !of_exec.is_empty() {
        let _ = writeln!(text, "i2p-socks exec can use tunnel {}", of_exec.join(", "));
    }
    if let Some(router) = &report.own_router {
        let _ = writeln!(text, "{}", printable(&router.line()));
    }
    for session in &report.sessions {
        let of = session.tunnel.as_ref().map_or_else(String::new, |tunnel| format!(" of tunnel {tunnel}"));
        let more = session.b32.clone().or_else(|| session.failed());
        // What comes before it may end with a number.
        let mark = if session.unready_for.is_some() { ";" } else { ":" };
        let more = more.map_or_else(String::new, |more| format!("{mark} {}", printable(&more)));
        let (state, unready, whose) = (&session.state, unready(session), whose(session));
        let _ = writeln!(text, "session{of} {state}{unready}{more}{whose}");
    }
    for outproxy in &report.outproxies {
        let state = match (outproxy.left_alone_for, outproxy.left_alone_by_some_for) {
            (Some(seconds), _) => {
                format!("skipped after repeated failures, tried again in {}", duration(seconds))
            }
            (None, Some(seconds)) => {
                format!("available, but skipped for up to {} by clients that it failed", duration(seconds))
            }
            (None, None) => "available".to_owned(),
        };
        let outcomes: Vec<_> =
            outproxy.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let of = if outcomes.is_empty() { String::new() } else { format!(": {}", outcomes.join(", ")) };
        let _ =
            writeln!(text, "outproxy {}: {state}; {}{of}", outproxy.name, counted(outproxy.asked, "request"));
    }
    for failure in &report.failures {
        let _ = writeln!(
            text,
            "{} of tunnel {} (last {} ago): {}. {}",
            counted(failure.count, "failure"),
            failure.tunnel,
            duration(failure.ago),
            failure.what,
            failure.advice
        );
    }
    for leak in &report.leaks {
        let _ = writeln!(text, "{}", leak.line());
    }
    if needs_options && report.failures.iter().any(|failure| failure.advice.contains("i2p-socks ")) {
        text += "Give the commands named here the same --config or --state-dir as this one.\n";
    }
    text
}

/// A text without what controls a terminal. A router can put anything into its messages.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\'' | '"' => shown.push(char),
            char => shown.extend(char.escape_debug()),
        }
    }
    shown
}

/// Since when a session is not ready, for whom it is, and what uses it.
fn unready(session: &SessionReport) -> String {
    let Some(seconds) = session.unready_for else { return String::new() };
    let time = duration(seconds);
    // Nobody but the start of the proxy waits for it.
    if session.spare && session.client.is_none() {
        return format!(" for {time}, for the next client");
    }
    let owner = session.owner().map_or_else(String::new, |owner| format!(", {owner}"));
    format!(" for {time}{owner}; requests and streams that use it: {}", session.used_by)
}

/// What keeps a session apart from others, if that is not told with the time for which it is not ready.
fn whose(session: &SessionReport) -> String {
    match session.kept_apart() {
        _ if session.unready_for.is_some() => String::new(),
        Some(kept_apart) => format!(", {kept_apart}"),
        None if session.spare => ", for the next client".to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_shown_and_quotes_stay_as_they_are() {
        assert_eq!(printable("the router's \"word\"\u{1b}[2J\n"), "the router's \"word\"\\u{1b}[2J\\n");
    }

    #[test]
    fn an_admin_url_is_an_address_and_never_a_name_to_look_up() {
        for text in ["http://127.0.0.1:4480/", "http://127.0.0.1:4480", "http://localhost:4480/"] {
            assert_eq!(text.parse(), Ok(AdminUrl::Tcp("127.0.0.1:4480".parse().unwrap())), "{text}");
        }
        for text in [
            "127.0.0.1:4480",
            "unix:admin",
            "unix://admin",
            "https://127.0.0.1:4480/",
            "http://example.com:80/",
            "http://127.0.0.1/",
        ] {
            assert!(text.parse::<AdminUrl>().is_err(), "{text}");
        }
    }
}

//! `status`: how the proxy that runs does.

use std::{fmt::Write as _, net::SocketAddr, str::FromStr, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    config::Config,
    control::client::{self, Client, Unanswered},
    failure::Failure,
    status::report::Report,
    terminal::output::say,
};

/// How often a proxy is asked that is waited for.
const AGAIN: Duration = Duration::from_millis(300);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER: usize = 1024 * 1024;

/// `http://IP:PORT/` of an admin endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AdminUrl(SocketAddr);

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let address = bare.and_then(|bare| match bare.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            None => bare.parse().ok(),
        });
        address.map(Self).ok_or_else(|| "expected http://IP:PORT/, such as http://127.0.0.1:4480/".to_owned())
    }
}

/// Whom to ask, and how.
pub(crate) struct Question {
    /// The admin endpoint; none: the control socket in the state directory.
    pub(crate) admin: Option<AdminUrl>,
    /// Wait until it is ready, for so long at most.
    pub(crate) wait: Option<Duration>,
    /// Print JSON.
    pub(crate) json: bool,
}

/// Says on stdout how the proxy does; fails when it is not ready.
pub(crate) async fn run(config: &Config, question: &Question) -> Result<(), Failure> {
    let begin = Instant::now();
    let outcome = loop {
        let outcome = ask(config, question).await?;
        let left = question.wait.and_then(|limit| limit.checked_sub(begin.elapsed()));
        match (&outcome, left) {
            (Ok(report), _) if report.ready => break outcome,
            (_, None) => break outcome,
            (_, Some(left)) => sleep(AGAIN.min(left)).await,
        }
    };
    let report = outcome.map_err(|why| {
        Failure::run_time(format_args!("{why}. Start it, or say which one with --state-dir or --admin"))
    })?;
    let text = match question.json {
        true => serde_json::to_string_pretty(&report).map_err(Failure::run_time)? + "\n",
        false => plain(&report),
    };
    say(&text)?;
    match (report.ready, question.wait) {
        (true, _) => Ok(()),
        (false, None) => Err(Failure::run_time(match report.state.as_str() {
            "no-router" => "it is not ready: no session is open, and the router does not answer",
            _ => "it is not ready: clients have to wait for tunnels",
        })),
        (false, Some(limit)) => Err(Failure::run_time(format_args!(
            "it is not ready after {}: see what its log says, and that the router runs",
            humantime::format_duration(limit)
        ))),
    }
}

async fn ask(config: &Config, question: &Question) -> Result<Result<Report, Unanswered>, Failure> {
    Ok(match question.admin {
        Some(admin) => admin.report().await,
        None => {
            let proxy = Client::of(&config.state_dir()?);
            let asked = async { client::read(proxy.get("/status.json").await?).await };
            timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(too_slow()))
        }
    })
}

impl AdminUrl {
    async fn report(self) -> Result<Report, Unanswered> {
        timeout(ANSWER, self.fetch()).await.unwrap_or_else(|_| Err(too_slow()))
    }

    async fn fetch(self) -> Result<Report, Unanswered> {
        let broken = |error: &dyn std::fmt::Display| Unanswered::Broken(format!("{}: {error}", self.0));
        let stream = TcpStream::connect(self.0).await.map_err(|error| broken(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let request = Request::get("/status.json").header("host", self.0.to_string());
        let request = request.body(Empty::<&[u8]>::new()).map_err(|error| broken(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(broken(&answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| broken(&error))
    }
}

fn too_slow() -> Unanswered {
    Unanswered::Broken(format!("{} s have passed", ANSWER.as_secs()))
}

fn plain(report: &Report) -> String {
    let mut text = format!(
        "i2p-socks {}: {}, running for {}\n",
        report.version,
        report.state,
        humantime::format_duration(Duration::from_secs(report.uptime))
    );
    // Writing to a string does not fail.
    for tunnel in &report.tunnels {
        let _ = writeln!(
            text,
            "tunnel {} at {}: {} connections, {} streams; {} requests succeeded, {} failed",
            tunnel.name,
            tunnel.listeners.join(", "),
            tunnel.connections,
            tunnel.streams,
            tunnel.succeeded,
            tunnel.failed
        );
        if let Some(datagrams) = &tunnel.datagrams {
            let _ = writeln!(
                text,
                "datagrams of tunnel {}: {} sent, {} received, {} dropped; {} clients have UDP open",
                tunnel.name,
                datagrams.sent,
                datagrams.received,
                datagrams.dropped.values().sum::<u64>(),
                datagrams.associations
            );
            for session in &datagrams.sessions {
                let b32 = session.b32.escape_debug();
                let _ = writeln!(text, "datagrams of tunnel {} come {}: {b32}", tunnel.name, session.words());
            }
        }
    }
    for session in &report.sessions {
        let of = session.tunnel.as_ref().map_or_else(String::new, |tunnel| format!(" of tunnel {tunnel}"));
        let more = session.b32.as_ref().or(session.trouble.as_ref());
        let more = more.map_or_else(String::new, |more| format!(": {}", more.escape_debug()));
        let _ = writeln!(text, "session{of} {}{more}", session.state);
    }
    for outproxy in &report.outproxies {
        let state = outproxy.left_alone_for.map_or_else(
            || "in use".to_owned(),
            |seconds| {
                let time = humantime::format_duration(Duration::from_secs(seconds));
                format!("failed too often, asked again in {time}")
            },
        );
        let outcomes: Vec<_> =
            outproxy.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let of = if outcomes.is_empty() { String::new() } else { format!(": {}", outcomes.join(", ")) };
        let _ = writeln!(text, "outproxy {}: {state}; {} requests{of}", outproxy.name, outproxy.asked);
    }
    for failure in &report.failures {
        let _ = writeln!(
            text,
            "failed {} times, the last {} s ago: {}. {}",
            failure.count, failure.ago, failure.what, failure.advice
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_url_is_an_address_and_never_a_name_to_look_up() {
        for text in ["http://127.0.0.1:4480/", "http://127.0.0.1:4480", "http://localhost:4480/"] {
            assert_eq!(text.parse(), Ok(AdminUrl("127.0.0.1:4480".parse().unwrap())), "{text}");
        }
        for text in
            ["127.0.0.1:4480", "https://127.0.0.1:4480/", "http://example.com:80/", "http://127.0.0.1/"]
        {
            assert!(text.parse::<AdminUrl>().is_err(), "{text}");
        }
    }
}

//! What the proxy holds at a moment, as the kernel and the proxy itself report it.

use std::{collections::BTreeMap, fmt, fs, time::Duration};

use anyhow::{Context, Result};
use lab::{curl::Curl, proxy::ADMIN_URL};

/// What is open and in use at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// For how long there had been load.
    pub(super) load: Duration,
    /// Open file descriptors.
    pub(super) descriptors: u64,
    /// Resident memory, in KiB.
    pub(super) rss: u64,
    /// The part of it without a file behind it, in KiB.
    pub(super) anonymous: u64,
    /// Threads.
    pub(super) threads: u64,
    /// Tasks.
    pub(super) tasks: u64,
    /// Connections of clients.
    pub(super) connections: u64,
    /// Relayed streams.
    pub(super) streams: u64,
    /// Sessions in any state.
    pub(super) sessions: u64,
    /// Requests and streams that use a session.
    pub(super) leases: u64,
    /// Requests that have succeeded so far.
    pub(super) succeeded: u64,
    /// Requests that have failed so far.
    pub(super) failed: u64,
}

impl Sample {
    /// The titles of the columns.
    pub(super) const HEAD: &str =
        "minute  fds  RSS KiB anon KiB threads tasks connections streams sessions leases succeeded failed";

    /// Takes a sample of the process with this ID.
    pub(super) fn take(process_id: u32, metrics: &Metrics, load: Duration) -> Result<Self> {
        let status =
            fs::read_to_string(format!("/proc/{process_id}/status")).context("no status of the process")?;
        let of = |field: &str| number(&status, field).with_context(|| format!("no {field} in the status"));
        let files = fs::read_dir(format!("/proc/{process_id}/fd")).context("no files of the process")?;
        let outcomes = metrics.by_outcome();
        let succeeded = outcomes.get("succeeded").copied().unwrap_or_default();
        Ok(Self {
            load,
            descriptors: files.count().try_into()?,
            rss: of("VmRSS:")?,
            anonymous: of("RssAnon:")?,
            threads: of("Threads:")?,
            tasks: metrics.sum("i2p_socks_tasks"),
            connections: metrics.sum("i2p_socks_connections_active"),
            streams: metrics.sum("i2p_socks_streams_active"),
            sessions: metrics.sum("i2p_socks_sessions"),
            leases: metrics.sum("i2p_socks_session_leases"),
            succeeded,
            failed: outcomes.values().sum::<u64>().saturating_sub(succeeded),
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, rss, anonymous, threads, tasks, connections, streams, .. } = self;
        let Self { sessions, leases, succeeded, failed, .. } = self;
        let minute = self.load.as_secs_f64() / 60.0;
        write!(
            f,
            "{minute:6.1} {descriptors:4} {rss:8} {anonymous:8} {threads:7} {tasks:5} {connections:11} {streams:7} "
        )?;
        write!(f, "{sessions:8} {leases:6} {succeeded:9} {failed:6}")
    }
}

/// The number of a field of `/proc/PID/status` (proc(5)). Sizes are in KiB.
fn number(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The metrics of the proxy, in the text format of Prometheus.
pub(super) struct Metrics(String);

impl Metrics {
    /// Fetches them.
    pub(super) async fn fetch(curl: &Curl) -> Result<Self> {
        let url = format!("{ADMIN_URL}metrics");
        let fetched = curl.run(&["--fail", "--max-time", "20", &url]).await?.succeeded()?;
        Ok(Self(String::from_utf8(fetched).context("the metrics are not text")?))
    }

    /// The sum over all labels.
    pub(super) fn sum(&self, name: &str) -> u64 {
        self.lines(name).map(|(_, value)| value).sum()
    }

    /// The number of requests so far, by outcome.
    pub(super) fn by_outcome(&self) -> BTreeMap<String, u64> {
        let mut outcomes = BTreeMap::new();
        for (labels, value) in self.lines("i2p_socks_requests_total") {
            let label = labels.split_once("outcome=\"").and_then(|(_, rest)| rest.split_once('"'));
            let outcome = label.map_or("without an outcome", |(outcome, _)| outcome);
            *outcomes.entry(outcome.to_owned()).or_default() += value;
        }
        outcomes
    }

    /// The same as lines for people.
    pub(super) fn outcome_lines(&self) -> String {
        let outcomes = self.by_outcome();
        outcomes
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| format!("  {count:8} {name}\n"))
            .collect()
    }

    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            Some((labels, value.split(' ').next()?.parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_status_follow_their_names() {
        let status = "Name:\tRssAnon: 7\nVmRSS:\t   22560 kB\nRssAnon:\t    9000 kB\nThreads:\t5\n";
        assert_eq!(number(status, "VmRSS:"), Some(22560));
        assert_eq!(number(status, "RssAnon:"), Some(9000));
        assert_eq!(number(status, "Threads:"), Some(5));
        assert_eq!(number(status, "VmSize:"), None);
    }

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE i2p_socks_sessions gauge\ni2p_socks_sessions{state=\"ready\"} 2\n\
                    i2p_socks_sessions{state=\"building\"} 1\ni2p_socks_sessions_max 8\n\
                    i2p_socks_requests_total{tunnel=\"a\",protocol=\"socks5\",outcome=\"succeeded\"} 5\n\
                    i2p_socks_requests_total{tunnel=\"a\",protocol=\"socks4\",outcome=\"succeeded\"} 4\n\
                    i2p_socks_requests_total{tunnel=\"a\",protocol=\"socks4\",outcome=\"timed_out\"} 3\n";
        let metrics = Metrics(text.into());
        assert_eq!(metrics.sum("i2p_socks_sessions"), 3);
        assert_eq!(metrics.sum("i2p_socks_sessions_max"), 8);
        let outcomes = metrics.by_outcome();
        assert_eq!((outcomes["succeeded"], outcomes["timed_out"]), (9, 3));
    }
}

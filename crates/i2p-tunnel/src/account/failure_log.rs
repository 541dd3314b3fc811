use std::time::Duration;

use crate::{failure::Failure, limits::Limit, log_throttle::LogThrottle};

/// How the credentials of a client were refused. Each is mended in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedCredentials {
    /// The client spoke SOCKS4, which has no passwords.
    Socks4,
    /// The client spoke SOCKS5 and offered no password.
    Socks5Missing,
    /// The client sent a wrong user name or password over SOCKS5.
    Socks5Wrong,
    /// The client sent a wrong user name or password over HTTP.
    HttpWrong,
    /// The client sent a user name and password while too many others of its were under check.
    Unchecked,
}

impl RefusedCredentials {
    /// The log line.
    fn log(self) -> &'static str {
        match self {
            Self::Socks4 => {
                "a client was refused: it spoke SOCKS4, which cannot send a password. Set its program to SOCKS5 or HTTP"
            }
            Self::Socks5Missing => {
                "a client was refused: it sent no user name and password, which the tunnel requires. Set them in its program"
            }
            Self::Socks5Wrong => "a client was refused: its user name or password is wrong, over SOCKS5",
            Self::HttpWrong => "a client was refused: its user name or password is wrong, over HTTP",
            Self::Unchecked => {
                "a client was refused and its password was not checked: the proxy checks 16 different ones of a client at one time, \
                 and this client has sent more. Somebody may be guessing"
            }
        }
    }
}

/// Log line for clients that speak TLS.
const TLS: &str = "a client spoke TLS, which the proxy does not speak, and was refused. Its program probably has the proxy as \
    https://...: set http://... or socks5h://... there, also for sites with https";

/// Log line for clients that connect to a transparent listener.
const NOT_REDIRECTED: &str = "a client connected to a transparent listener itself, and was refused: only a firewall can send connections \
    there that lead elsewhere";

/// Log line for connections that panicked. It has no content: the text of a panic may quote what a client sent.
const PANICKED: &str = "a connection panicked and was ended; other connections are not affected. This is a bug of the program: \
    please report it";

/// Logs why requests fail and which limits are reached, without a line for each.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    failures: LogThrottle<Failure>,
    limits: LogThrottle<Limit>,
    unauthorized: LogThrottle<RefusedCredentials>,
    tls: LogThrottle<()>,
    not_redirected: LogThrottle<()>,
    panics: LogThrottle<()>,
}

impl FailureLog {
    /// Records the failure of a request.
    pub(crate) fn log_failure(&self, failure: Failure) {
        let reason = failure.row().log;
        match self.failures.record(failure) {
            Some(0) => tracing::info!("a request failed: {reason}"),
            Some(more) => tracing::info!("a request failed: {reason} ({more} more since the last such line)"),
            None => tracing::debug!("a request failed: {reason}"),
        }
    }

    /// Records a limit that a connection reached.
    pub(crate) fn log_limit(&self, limit: Limit) {
        tracing::debug!(limit = limit.label(), "a limit was reached");
        if limit.concerns_operator() {
            self.limits.warn(limit, limit.log());
        }
    }

    /// Records a client with wrong or missing credentials. One may be a mistake; many are an attempt to guess a password.
    pub(crate) fn log_unauthorized(&self, how: RefusedCredentials) {
        self.unauthorized.warn(how, how.log());
    }

    /// Records a client that spoke TLS.
    pub(crate) fn log_tls(&self) {
        self.tls.warn((), TLS);
    }

    /// Records a client that connected to a transparent listener itself.
    pub(crate) fn log_not_redirected(&self) {
        self.not_redirected.warn((), NOT_REDIRECTED);
    }

    /// Records a connection that panicked.
    pub(crate) fn log_panic(&self) {
        self.panics.warn((), PANICKED);
    }

    /// The kinds of failures that have occurred, the latest first.
    pub(crate) fn recent(&self) -> Vec<RecentFailure> {
        let mut recent: Vec<_> = self
            .failures
            .kinds()
            .iter()
            .map(|kind| RecentFailure { failure: kind.what, count: kind.count, ago: kind.last.elapsed() })
            .collect();
        recent.sort_by_key(|recent| recent.ago);
        recent
    }
}

/// A kind of failure that has occurred since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentFailure {
    /// The kind.
    pub failure: Failure,
    /// How often it occurred since the start.
    pub count: u64,
    /// How long ago it occurred last.
    pub ago: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn recent_failures_are_listed_latest_first_with_their_counts() {
        let log = FailureLog::default();
        for failure in [Failure::Refused, Failure::NameUnknown, Failure::Refused, Failure::NameUnknown] {
            log.log_failure(failure);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let recent = |failure, ago| RecentFailure { failure, count: 2, ago: Duration::from_secs(ago) };
        assert_eq!(log.recent(), [recent(Failure::NameUnknown, 1), recent(Failure::Refused, 2)]);
    }
}

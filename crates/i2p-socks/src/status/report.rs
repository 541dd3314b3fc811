//! The report in `/status.json` and `i2p-socks status --json`: plain data.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// The status of the proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StatusReport {
    /// The version of the program.
    pub(crate) version: String,
    /// `starting`, `ready`, `idle`, `building`, `no-session`, `no-router` or `stopping`.
    pub(crate) state: String,
    /// Whether new clients of a tunnel are served: at once, or, if no session is open, as soon as their tunnels are built.
    pub(crate) ready: bool,
    /// Seconds since the start.
    pub(crate) uptime: u64,
    /// What the configuration allows although hardly anybody wants it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// The last reload, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused_reload: Option<RefusedReloadReport>,
    /// Why the router's SAM bridge cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) router_failure: Option<RouterFailureReport>,
    /// Why the proxy runs without its address book, or cannot change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address_book_failure: Option<String>,
    pub(crate) tunnels: Vec<TunnelReport>,
    pub(crate) sessions: Vec<SessionReport>,
    /// The maximum of sessions.
    pub(crate) max_sessions: usize,
    /// Virtual addresses in use.
    pub(crate) virtual_addresses: usize,
    /// The outproxies.
    pub(crate) outproxies: Vec<OutproxyReport>,
    /// The router, if the proxy runs it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own_router: Option<OwnRouterReport>,
    /// Failures by kind, the most recent first.
    pub(crate) failures: Vec<FailureReport>,
    /// What clients have sent that identifies this machine, the most recent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leaks: Vec<LeakReport>,
}

/// A SAM bridge that cannot be used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RouterFailureReport {
    /// Why not.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: String,
}

impl RouterFailureReport {
    /// Both, as a line without its end.
    pub(crate) fn line(&self) -> String {
        format!("router: {}. {}", self.what, self.advice)
    }
}

/// A reload that was refused: the configuration file is not the one in effect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RefusedReloadReport {
    /// Seconds since then.
    pub(crate) ago: u64,
    /// What is wrong, without names and addresses.
    pub(crate) why: String,
}

impl RefusedReloadReport {
    /// When it was and why, as a line without its end.
    pub(crate) fn line(&self) -> String {
        let ago = duration(self.ago);
        format!("the reload {ago} ago was refused, and the old configuration stays in effect: {}", self.why)
    }
}

/// A tunnel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TunnelReport {
    pub(crate) name: String,
    /// One of the words for the state of the proxy.
    #[serde(default)]
    pub(crate) state: String,
    /// Whether its new clients are served, at once or as soon as a session is built.
    #[serde(default)]
    pub(crate) ready: bool,
    /// How many attempts to build an I2P session for its clients have failed in a row, while it has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) failed_attempts: u32,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    pub(crate) listeners: Vec<String>,
    /// Whether `i2p-socks exec` can contain programs with it.
    #[serde(default)]
    pub(crate) exec: bool,
    /// Whether it has a persistent identity.
    #[serde(default)]
    pub(crate) persistent_key: bool,
    /// Connections of clients now.
    pub(crate) connections: u64,
    /// Streams that are relayed now.
    pub(crate) streams: u64,
    /// Requests since the start.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Clients that were refused since the start, because their user name or password was wrong or missing.
    #[serde(default)]
    pub(crate) refused_credentials: u64,
    /// Clients whose user name and password were refused without a check, because they had sent too many others.
    #[serde(default)]
    pub(crate) unchecked_credentials: u64,
    /// Bytes since the start.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// The datagrams, if the tunnel carries any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) datagrams: Option<DatagramReport>,
}

impl TunnelReport {
    /// What its clients lack, as a part of a sentence, if it is not the same for the whole proxy, which is in state `whole`.
    pub(crate) fn lacks(&self, whole: &str) -> Option<&'static str> {
        match self.state.as_str() {
            state if state == whole => None,
            "starting" => Some("the router is building its first I2P tunnels, its clients wait"),
            "no-session" => Some("no I2P session, its clients wait for the router"),
            "no-router" => Some("no I2P session is open, and the router does not answer"),
            _ => None,
        }
    }

    /// How many clients were refused for their credentials, as a part of a sentence, if there were any.
    pub(crate) fn refused_clients(&self) -> Option<String> {
        let part = |what, count| (count > 0).then(|| format!("{what} {}", counted(count, "time")));
        let parts = [
            part("user name or password wrong or missing", self.refused_credentials),
            part("refused unchecked after too many passwords at once", self.unchecked_credentials),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The datagrams of a tunnel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DatagramReport {
    /// Clients that have UDP open now.
    pub(crate) associations: u64,
    /// Datagrams and bytes since the start.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    /// Dropped datagrams since the start, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// The sessions that datagrams were sent from.
    pub(crate) sessions: Vec<DatagramSessionReport>,
}

/// A session for datagrams.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DatagramSessionReport {
    /// The I2P address that its datagrams are sent from.
    pub(crate) b32: String,
    /// Whether the streams of the same client have the same address.
    pub(crate) shares_address_of_streams: bool,
    /// Whether a client uses it now.
    pub(crate) in_use: bool,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SessionReport {
    /// The tunnel that it belongs to; `None` if tunnels share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tunnel: Option<String>,
    /// `building`, `ready` or `waiting`.
    pub(crate) state: String,
    /// Seconds since it was begun or lost, while it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unready_for: Option<u64>,
    /// The number of its client among those that have sessions now, while it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<usize>,
    /// The properties that keep it apart from other sessions, in the words of `isolate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept_apart_by: Vec<String>,
    /// Its I2P address, while it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) b32: Option<String>,
    /// How many requests and streams use it.
    pub(crate) used_by: usize,
    /// Whether it was built in advance and has no client yet.
    pub(crate) spare: bool,
    /// How many attempts to build it have failed since it was last ready.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) failed_attempts: u32,
    /// Why it is not ready: why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// An outproxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct OutproxyReport {
    pub(crate) name: String,
    /// Requests to it since the start, and streams that it opened.
    pub(crate) asked: u64,
    pub(crate) opened: u64,
    /// Requests that failed because of it.
    pub(crate) failed: u64,
    /// Outcomes of requests, by their names in the metrics. Outcomes that never happened are missing.
    #[serde(default)]
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Seconds until it is tried again, if all clients skip it after failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_alone_for: Option<u64>,
    /// Seconds until every client that it failed tries it again, if one skips it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_alone_by_some_for: Option<u64>,
}

/// The router that the proxy runs itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct OwnRouterReport {
    /// `i2pd` or `embedded`.
    pub(crate) kind: String,
    /// `starting`, `running` or `down`.
    pub(crate) state: String,
    /// How often it has died since the start.
    pub(crate) deaths: u64,
    /// Seconds until it is started again, while it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) down_for: Option<u64>,
    /// How many other routers it knows, if they are too few to build tunnels. Known of i2pd only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) too_few_routers: Option<usize>,
}

impl OwnRouterReport {
    /// Its state and its deaths, as a line without its end.
    pub(crate) fn line(&self) -> String {
        let state = match (self.down_for, self.too_few_routers) {
            (Some(seconds), _) => format!("down after it died, started again in {}", duration(seconds)),
            (None, Some(known)) => format!(
                "{}, but knows too few other routers ({known}): check that this machine reaches reseed servers on the internet, or set \
                 reseed-file under [router], then restart i2p-socks",
                self.state
            ),
            (None, None) => self.state.clone(),
        };
        let (name, advice) = match self.kind.as_str() {
            "embedded" => (
                "embedded router",
                ". A site or a peer may cause that; i2pd and Java I2P do not have this weakness",
            ),
            other => (other, ""),
        };
        match self.deaths {
            0 => format!("{name}: {state}"),
            deaths => {
                format!("{name}: {state}; it has died {} since the start{advice}", counted(deaths, "time"))
            }
        }
    }
}

/// A kind of failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FailureReport {
    /// Its name in the metrics.
    pub(crate) kind: String,
    pub(crate) tunnel: String,
    /// Since the start.
    pub(crate) count: u64,
    /// Seconds since the last one.
    pub(crate) ago: u64,
    /// The same in milliseconds.
    pub(crate) ago_ms: u64,
    /// What happened.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: String,
}

/// A kind of thing that identifies this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LeakReport {
    pub(crate) tunnel: String,
    /// What it is.
    pub(crate) kind: String,
    /// Whether the streams that sent it were ended.
    pub(crate) cut: bool,
    /// How many streams sent it since the start.
    pub(crate) count: u64,
    /// Seconds since the last one.
    pub(crate) ago: u64,
}

impl LeakReport {
    /// What happened and what to do, as a line without its end.
    pub(crate) fn line(&self) -> String {
        let (tunnel, kind, ago) = (&self.tunnel, &self.kind, duration(self.ago));
        let streams = counted(self.count, "stream");
        let what = "what identifies this machine, in clear text";
        if self.cut {
            format!(
                "the leak guard has cut {streams} of tunnel {tunnel} (last {ago} ago) before {what}, was sent: {kind}. \
                 docs/filters.md says what to do"
            )
        } else {
            format!(
                "{streams} of tunnel {tunnel} (last {ago} ago) sent {what}: {kind}. docs/filters.md says what to do"
            )
        }
    }
}

/// For fields that are left out then.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TunnelReport {
    /// How many attempts to build a session for its clients have failed, as a part of a sentence, if any have.
    pub(crate) fn failed(&self) -> Option<String> {
        let attempts = counted(self.failed_attempts.into(), "attempt");
        (self.failed_attempts > 0).then(|| format!("{attempts} to build an I2P session failed"))
    }
}

impl SessionReport {
    /// Why it is not ready, as a sentence without its end.
    pub(crate) fn failed(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        Some(match self.failed_attempts {
            0 => trouble.clone(),
            count => format!("{} failed, the last one: {trouble}", counted(count.into(), "attempt")),
        })
    }

    /// For whom it is, without what identifies a client, while it is not ready.
    pub(crate) fn owner(&self) -> Option<String> {
        self.unready_for?;
        let owner = match self.client {
            Some(number) => format!("for client {number}"),
            None if self.spare => "for the next client".to_owned(),
            None => return None,
        };
        Some(match self.kept_apart() {
            Some(kept_apart) => format!("{owner}, {kept_apart}"),
            None => owner,
        })
    }

    /// What keeps it apart from other sessions, as a part of a sentence.
    pub(crate) fn kept_apart(&self) -> Option<String> {
        (!self.kept_apart_by.is_empty()).then(|| format!("kept apart by {}", self.kept_apart_by.join(", ")))
    }
}

impl DatagramSessionReport {
    /// Where datagrams are sent from, in words that end before the address.
    pub(crate) fn origin(&self) -> &'static str {
        match self.shares_address_of_streams {
            true => "from the same address as streams",
            false => "from an address of their own, not that of streams",
        }
    }
}

/// A time in seconds, for people: "29m 15s".
pub(crate) fn duration(seconds: u64) -> impl fmt::Display {
    humantime::format_duration(Duration::from_secs(seconds))
}

/// A number with its noun: "1 stream", "2 streams".
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_told_by_its_kind() {
        let line = |count, cut| {
            let (tunnel, kind) = ("main".into(), "host name".into());
            LeakReport { tunnel, kind, cut, count, ago: 61 }.line()
        };
        let start = "1 stream of tunnel main (last 1m 1s ago) sent what identifies this machine, in clear text: host name. docs/";
        assert!(line(1, false).starts_with(start), "{}", line(1, false));
        let start = "the leak guard has cut 2 streams of tunnel main (last 1m 1s ago) before what identifies this machine, in \
                     clear text, was sent: host name. docs/";
        assert!(line(2, true).starts_with(start), "{}", line(2, true));
    }

    #[test]
    fn the_line_of_an_own_router_says_what_it_lacks() {
        let line = |state: &str, down_for, too_few_routers| {
            let (kind, state) = ("i2pd".into(), state.into());
            OwnRouterReport { kind, state, deaths: 0, down_for, too_few_routers }.line()
        };
        assert_eq!(line("running", None, None), "i2pd: running");
        assert!(
            line("running", None, Some(0))
                .starts_with("i2pd: running, but knows too few other routers (0): ")
        );
        assert_eq!(line("down", Some(61), None), "i2pd: down after it died, started again in 1m 1s");
    }
}

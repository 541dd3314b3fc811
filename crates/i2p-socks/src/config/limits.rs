//! `[limits]`: how many connections there may be, and how long each step of one may take.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use i2p_tunnel::{Caps, Limits, PerClient};
use serde::Deserialize;

use super::{
    problem::{Place, Problem},
    values::{DurationOrNever, PositiveDuration},
};

/// The limit of connections if the configuration sets none.
const DEFAULT_MAX_CONNECTIONS: usize = 65_536;
/// What TCP accepts: whole seconds, divided among four probes (`TCP_KEEPIDLE` and `TCP_KEEPINTVL` of Linux).
const KEEPALIVE_RANGE: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(32_767));
/// What TCP accepts as `TCP_USER_TIMEOUT`. Below a second, a busy machine would count as gone.
const USER_TIMEOUT_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// `[limits]`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LimitsConfig {
    /// Connections in total. `None`: as many as the process has file descriptors for.
    pub(super) connections: Option<NonZeroU32>,
    /// Connections from one client; 0: no limit of its own. `None`: its fair share.
    pub(super) per_client: Option<u32>,
    /// Connections of one tunnel; 0: no limit of its own.
    pub(super) per_tunnel: u32,
    /// Time for a client to send its request.
    pub(super) handshake: PositiveDuration,
    /// Time to open the stream.
    pub(super) dial: PositiveDuration,
    /// Time for a peer to connect to a BIND.
    pub(super) bind: PositiveDuration,
    /// Longest silence of one side after the other has closed its half.
    pub(super) half_close: PositiveDuration,
    /// Time for a client to close after its last message.
    pub(super) linger: PositiveDuration,
    /// Longest silence of both sides.
    pub(super) idle: DurationOrNever,
    /// Silence after which TCP probes the other end.
    pub(super) keepalive: DurationOrNever,
    /// How long TCP waits for an acknowledgement of what it sent.
    pub(super) user_timeout: DurationOrNever,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections: None,
            per_client: None,
            per_tunnel: 0,
            handshake: PositiveDuration(limits.handshake),
            dial: PositiveDuration(limits.dial),
            bind: PositiveDuration(limits.bind),
            half_close: PositiveDuration(limits.half_close),
            linger: PositiveDuration(limits.linger),
            idle: DurationOrNever(limits.idle),
            keepalive: DurationOrNever(limits.keepalive),
            user_timeout: DurationOrNever(limits.user_timeout),
        }
    }
}

impl LimitsConfig {
    /// The time limits of a connection.
    pub(crate) fn times(&self) -> Limits {
        Limits {
            handshake: self.handshake.0,
            dial: self.dial.0,
            bind: self.bind.0,
            half_close: self.half_close.0,
            linger: self.linger.0,
            idle: self.idle.0,
            keepalive: self.keepalive.0,
            user_timeout: self.user_timeout.0,
        }
    }

    /// The caps on connections if the process can hold `possible` of them. Also returns the configured number if that is higher.
    pub(crate) fn caps(&self, possible: NonZeroUsize) -> (Caps, Option<usize>) {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let cap = |number| (number > 0).then(|| size(number));
        let asked = self.connections.map_or(DEFAULT_MAX_CONNECTIONS, |number| size(number.get()));
        let connections = asked.min(possible.get());
        let per_client = match self.per_client {
            None => PerClient::Share,
            Some(number) => cap(number).map_or(PerClient::Unlimited, PerClient::AtMost),
        };
        let caps = Caps { connections, per_client, per_tunnel: cap(self.per_tunnel) };
        (caps, self.connections.and(Some(asked)).filter(|&asked| asked > connections))
    }

    /// The values that TCP does not accept.
    pub(super) fn mistakes(&self) -> Vec<Problem> {
        let outside = |name, time: DurationOrNever, (least, most): (Duration, Duration)| {
            time.0.filter(|time| !(least..=most).contains(time)).map(|_| {
                let text = format!(
                    "[limits] {name} must be between {} and {}, or 0 for never",
                    humantime::format_duration(least),
                    humantime::format_duration(most)
                );
                Problem::new(text, [Place::of("limits", name)])
            })
        };
        let keepalive = outside("keepalive", self.keepalive, KEEPALIVE_RANGE);
        keepalive.into_iter().chain(outside("user-timeout", self.user_timeout, USER_TIMEOUT_RANGE)).collect()
    }
}

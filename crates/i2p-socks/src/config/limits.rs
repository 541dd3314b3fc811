//! `[limits]`: how many connections, and how long they may take.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use i2p_tunnel::{Caps, Limits};
use serde::Deserialize;

use super::values::{OptionalTime, Time};

/// Most connections where the configuration says nothing: more is a mistake somewhere.
const MOST: usize = 65_536;
/// What TCP has numbers for, in whole seconds with four probes (`TCP_KEEPIDLE` and `TCP_KEEPINTVL` of Linux).
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(32_767));
/// `TCP_USER_TIMEOUT` is in milliseconds; below a second, a busy machine would count as gone.
const USER_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// `[limits]`.
#[derive(Debug, Clone, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LimitsConfig {
    /// Connections in all; none: as many as there are file descriptors for.
    pub(super) connections: Option<NonZeroU32>,
    /// Connections from one client; 0: as many as in all.
    pub(super) per_client: u32,
    /// Connections of one tunnel; 0: as many as in all.
    pub(super) per_tunnel: u32,
    /// Until a client has said what it wants.
    pub(super) handshake: Time,
    /// Until the stream is open.
    pub(super) dial: Time,
    /// Until a peer has come to a BIND.
    pub(super) bind: Time,
    /// Silence of one side after the other has finished.
    pub(super) half_close: Time,
    /// Waiting for a client to close.
    pub(super) linger: Time,
    /// Silence of both sides.
    pub(super) idle: OptionalTime,
    /// Silence after which TCP asks whether the other end is there.
    pub(super) keepalive: OptionalTime,
    /// How long TCP waits for an answer to what it sent.
    pub(super) user_timeout: OptionalTime,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections: None,
            per_client: 0,
            per_tunnel: 0,
            handshake: Time(limits.handshake),
            dial: Time(limits.dial),
            bind: Time(limits.bind),
            half_close: Time(limits.half_close),
            linger: Time(limits.linger),
            idle: OptionalTime(limits.idle),
            keepalive: OptionalTime(limits.keepalive),
            user_timeout: OptionalTime(limits.user_timeout),
        }
    }
}

impl LimitsConfig {
    /// How long a connection may take over what.
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

    /// How many connections there may be, where `possible` are; and how many were asked for, if that is more.
    pub(crate) fn caps(&self, possible: NonZeroUsize) -> (Caps, Option<usize>) {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let cap = |number| (number > 0).then(|| size(number));
        let asked = self.connections.map_or(MOST, |number| size(number.get()));
        let connections = asked.min(possible.get());
        let caps = Caps { connections, per_client: cap(self.per_client), per_tunnel: cap(self.per_tunnel) };
        (caps, self.connections.and(Some(asked)).filter(|&asked| asked > connections))
    }

    /// What cannot be done.
    pub(super) fn mistake(&self) -> Option<String> {
        let outside = |name, time: OptionalTime, (least, most): (Duration, Duration)| {
            time.0.filter(|time| !(least..=most).contains(time)).map(|_| {
                format!(
                    "[limits] {name} is not between {} and {}, nor 0 for never",
                    humantime::format_duration(least),
                    humantime::format_duration(most)
                )
            })
        };
        outside("keepalive", self.keepalive, KEEPALIVE)
            .or_else(|| outside("user-timeout", self.user_timeout, USER_TIMEOUT))
    }
}

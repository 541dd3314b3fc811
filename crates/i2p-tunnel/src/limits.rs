use std::time::Duration;

/// Time limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From accepting a connection to the end of its SOCKS or HTTP handshake.
    pub handshake: Duration,
    /// From the request to the open stream: the wait for a session, the lookup and the connection together.
    pub dial: Duration,
    /// How long a BIND waits for a peer.
    pub bind: Duration,
    /// How long one side may stay silent after the other has finished sending.
    pub half_close: Duration,
    /// How long to wait for a client to read a last message and to close.
    pub linger: Duration,
    /// How long an open stream may be silent in both directions. `None`: without limit, since chats and shells are often silent.
    pub idle: Option<Duration>,
    /// After how much silence TCP keepalive probes the other end, on both sides of a stream. A peer that does not answer for as
    /// long again is considered dead. `None`: no probes.
    pub keepalive: Option<Duration>,
    /// How long sent data may stay unacknowledged on a TCP connection (`TCP_USER_TIMEOUT`, RFC 5482), on both sides of a
    /// stream. A program that reads nothing for this long while data waits for it also loses its connection. `None`: the
    /// system's default, about a quarter of an hour for a dead machine.
    pub user_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(30),
            // Routers themselves give up a connection after about 60 s.
            dial: Duration::from_secs(120),
            // A person may have to pass the address on, and another one to connect.
            bind: Duration::from_secs(600),
            half_close: Duration::from_secs(120),
            // RFC 1928 section 6: after a failure the connection ends within 10 s.
            linger: Duration::from_secs(5),
            idle: None,
            keepalive: Some(Duration::from_secs(60)),
            user_timeout: Some(Duration::from_secs(10 * 60)),
        }
    }
}

/// How long a request waits for an I2P session. This time counts towards [`Limits::dial`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// While the router cannot be reached or refuses a session.
    pub router: Duration,
    /// While the router builds tunnels.
    pub tunnels: Duration,
}

impl SessionLimits {
    /// The default limits, or less: a request that may take as long as `dial` ([`Limits::dial`]) waits for its session a little less
    /// long, so that the client is told what is missing, and not that its destination did not answer.
    #[must_use]
    pub fn within(dial: Duration) -> Self {
        let (most, Self { router, tunnels }) = (dial - dial / 24, Self::default());
        Self { router: router.min(most), tunnels: tunnels.min(most) }
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        // Routers restart within half a minute. A router that has just started needs a minute or more to build tunnels.
        Self { router: Duration::from_secs(30), tunnels: Duration::from_secs(110) }
    }
}

/// A limit that a connection can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Caps::connections`](crate::Caps::connections).
    Connections,
    /// [`Caps::per_client`](crate::Caps::per_client).
    PerClient,
    /// [`Caps::per_tunnel`](crate::Caps::per_tunnel).
    PerTunnel,
    /// The quarter of [`Caps::connections`](crate::Caps::connections) that may wait with BIND.
    Waiting,
    /// A limit of the operating system, usually of file descriptors: no connection can be accepted for a moment.
    Accepting,
    /// [`Limits::handshake`].
    Handshake,
    /// [`Limits::dial`].
    Dial,
    /// [`Limits::bind`].
    Bind,
    /// [`Limits::half_close`].
    HalfClose,
    /// [`Limits::linger`].
    Linger,
    /// [`Limits::idle`].
    Idle,
}

impl Limit {
    /// All variants, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Connections,
        Self::PerClient,
        Self::PerTunnel,
        Self::Waiting,
        Self::Accepting,
        Self::Handshake,
        Self::Dial,
        Self::Bind,
        Self::HalfClose,
        Self::Linger,
        Self::Idle,
    ];

    /// The label in metrics: lower-case letters and underscores. With hyphens instead, it is the key under `[limits]`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::PerClient => "per_client",
            Self::PerTunnel => "per_tunnel",
            Self::Waiting => "waiting",
            Self::Accepting => "accepting",
            Self::Handshake => "handshake",
            Self::Dial => "dial",
            Self::Bind => "bind",
            Self::HalfClose => "half_close",
            Self::Linger => "linger",
            Self::Idle => "idle",
        }
    }

    /// The log line: what happened, and what to do about it. It never identifies a client.
    #[must_use]
    pub fn log(self) -> &'static str {
        match self {
            Self::Connections => {
                "there are as many connections as [limits] connections allows; more are refused"
            }
            Self::PerClient => {
                "a client has as many connections, or peers to wait for with BIND, as [limits] per-client allows; more are refused. \
                 Without that key, a client gets three quarters of what all others leave"
            }
            Self::PerTunnel => {
                "the tunnel has as many connections as [limits] per-tunnel allows; more are refused"
            }
            Self::Waiting => {
                "a quarter of what [limits] connections allows waits for peers with BIND; more are refused"
            }
            Self::Accepting => {
                "no connection can be accepted, probably because file descriptors have run out: clients wait. Raise the limit \
                 of the process (LimitNOFILE= in systemd, ulimit -n), or lower [limits] connections"
            }
            Self::Handshake => {
                "a client did not finish its handshake within [limits] handshake and was disconnected"
            }
            Self::Dial => "a request took longer than [limits] dial allows",
            Self::Bind => "no peer connected to a BIND within [limits] bind",
            Self::HalfClose => {
                "one side had finished sending and the other was silent for [limits] half-close: the stream was closed"
            }
            Self::Linger => "a client did not close within [limits] linger and was disconnected",
            Self::Idle => "a stream was silent for [limits] idle and was closed",
        }
    }

    /// Whether the operator should know. The other limits are reached in everyday use.
    pub(crate) fn concerns_operator(self) -> bool {
        !matches!(self, Self::Handshake | Self::HalfClose | Self::Linger)
    }
}

/// A random part of a duration, so that what would begin at the same moment begins at different ones.
pub(crate) fn random_part_of(whole: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness it is the whole.
    match getrandom::fill(&mut bytes) {
        Ok(()) => whole.mul_f64(f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)),
        Err(_) => whole,
    }
}

use std::time::Duration;

/// How long a connection may take over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From accepting a connection to the end of its SOCKS or HTTP handshake, in all.
    pub handshake: Duration,
    /// From the request to the open stream: lookup, connection and waiting for both.
    pub dial: Duration,
    /// How long a BIND waits for a peer.
    pub bind: Duration,
    /// How long the other side may be silent after one side has finished sending.
    pub half_close: Duration,
    /// How long to wait for a client to take a last message and to close.
    pub linger: Duration,
    /// How long an open stream may be silent both ways; none: for ever, since chats and shells are.
    pub idle: Option<Duration>,
    /// After how long a silence the other end of a TCP connection is asked whether it is still there, on both sides of a
    /// stream. It is gone when it has not answered for as long again.
    pub keepalive: Option<Duration>,
    /// How long what was sent may stay without an answer on a TCP connection (`TCP_USER_TIMEOUT`, RFC 5482), on both sides of
    /// a stream. A program that reads nothing for so long while there is data for it loses its connection, too. None: as the
    /// system has it, which is a quarter of an hour for a machine that has gone.
    pub user_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(30),
            // Routers give up a connection after about 60 s by themselves.
            dial: Duration::from_secs(120),
            // Somebody has to be told where to connect to, and has to do it.
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

/// How long a request waits for an I2P session, which is a part of [`Limits::dial`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// While the router cannot be reached or refuses a session.
    pub router: Duration,
    /// While the router builds tunnels.
    pub tunnels: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        // Routers restart within half a minute; tunnels of one that has just started take a minute and more.
        Self { router: Duration::from_secs(30), tunnels: Duration::from_secs(110) }
    }
}

/// A limit that a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Caps::connections`](crate::Caps::connections).
    Connections,
    /// [`Caps::per_client`](crate::Caps::per_client).
    PerClient,
    /// [`Caps::per_tunnel`](crate::Caps::per_tunnel).
    PerTunnel,
    /// What the operating system gives us, file descriptors above all: nobody can be accepted for a moment.
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
    /// All of them, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::PerClient,
        Self::PerTunnel,
        Self::Accepting,
        Self::Handshake,
        Self::Dial,
        Self::Bind,
        Self::HalfClose,
        Self::Linger,
        Self::Idle,
    ];

    /// What it is called where it is counted: letters and underscores. With hyphens, that is the key under `[limits]`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::PerClient => "per_client",
            Self::PerTunnel => "per_tunnel",
            Self::Accepting => "accepting",
            Self::Handshake => "handshake",
            Self::Dial => "dial",
            Self::Bind => "bind",
            Self::HalfClose => "half_close",
            Self::Linger => "linger",
            Self::Idle => "idle",
        }
    }

    /// The log's words: what happened, and what can be done about it. They name no client.
    #[must_use]
    pub fn log(self) -> &'static str {
        match self {
            Self::Connections => {
                "there are as many connections as [limits] connections allows; more are refused"
            }
            Self::PerClient => {
                "a client has as many connections as [limits] per-client allows; more are refused"
            }
            Self::PerTunnel => {
                "the tunnel has as many connections as [limits] per-tunnel allows; more are refused"
            }
            Self::Accepting => {
                "no connection can be accepted, probably for want of file descriptors: clients wait. Raise the limit of the \
                 process (LimitNOFILE= in systemd, ulimit -n), or lower [limits] connections"
            }
            Self::Handshake => "a client did not say within [limits] handshake what it wants, and was closed",
            Self::Dial => "a request took longer than [limits] dial allows",
            Self::Bind => "no peer came to a BIND within [limits] bind",
            Self::HalfClose => {
                "one side had finished, the other was silent for [limits] half-close, and was closed"
            }
            Self::Linger => "a client did not close within [limits] linger, and was closed",
            Self::Idle => "a stream was silent for [limits] idle, and was closed",
        }
    }

    /// Whether the person who runs the proxy has to know: some limits are reached in everyday life.
    pub(crate) fn is_news(self) -> bool {
        !matches!(self, Self::Handshake | Self::HalfClose | Self::Linger)
    }
}

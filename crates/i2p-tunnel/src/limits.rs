use std::time::Duration;

/// How long a connection may take over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From accepting a connection to the end of its SOCKS handshake, in all.
    pub handshake: Duration,
    /// From the request to the open stream: lookup, connection and waiting for both.
    pub dial: Duration,
    /// How long a BIND waits for a peer.
    pub bind: Duration,
    /// How long the other side may be silent after one side has finished sending.
    pub half_close: Duration,
    /// How long to wait for a client to take a last message and to close.
    pub linger: Duration,
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

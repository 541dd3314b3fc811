//! The bridges under test.

use std::time::Duration;

use i2p_name::{Destination, HostName};
use i2p_sam::{Bridge, PrivateKey};

/// What the suite tests: two bridges of one network.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The name in the report.
    pub name: String,
    /// The bridge whose sessions connect, look up names and send.
    pub near: Bridge,
    /// The bridge whose sessions accept. May be the near one.
    pub far: Bridge,
    /// The expected [`i2p_sam::Capabilities`] as they are displayed; `None` to accept any.
    pub capabilities: Option<String>,
    /// Names that the near bridge's router has in its address book.
    pub hosts: Vec<KnownHost>,
    /// How long the network may take to find a new lease set, or to carry a datagram.
    pub patience: Duration,
    /// Hops of each tunnel.
    pub hops: u8,
    /// Tunnels of each session, each way. i2pd 2.45 publishes a session with two tunnels only every other time.
    pub tunnels: u8,
    /// Whether a session is found by its lease set only. In the test kit each session finds every other.
    pub has_network_database: bool,
}

/// A name in the near router's address book.
#[derive(Debug, Clone)]
pub struct KnownHost {
    /// The name.
    pub name: HostName,
    /// Its destination.
    pub destination: Destination,
    /// The keys with which the suite opens the session; `None` if an echo runs there already.
    pub keys: Option<PrivateKey>,
}

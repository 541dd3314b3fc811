use std::time::Duration;

use i2p_name::{Destination, HostName};
use i2p_sam::{Bridge, PrivateKey};

/// What the suite runs against: two bridges of one network.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What it is called in the report.
    pub name: String,
    /// The bridge that connects, looks up and sends.
    pub near: Bridge,
    /// The bridge whose sessions are connected to. May be the near one.
    pub far: Bridge,
    /// What [`i2p_sam::Capabilities`] has to find out, as they are displayed; `None` where nobody knows.
    pub capabilities: Option<String>,
    /// Names that the near bridge's router has in its address book.
    pub hosts: Vec<Host>,
    /// How long the network may take for what it does in its own time: to find a new lease set, to carry a datagram.
    pub patience: Duration,
    /// Hops of each tunnel.
    pub hops: u8,
    /// Tunnels of each session, each way. i2pd 2.45 publishes a session with two of them only every other time.
    pub tunnels: u8,
}

/// A name in the near router's address book, and who is behind it.
#[derive(Debug, Clone)]
pub struct Host {
    /// The name.
    pub name: HostName,
    /// What it stands for.
    pub destination: Destination,
    /// The keys, for the suite to open the session with; `None` where an echo is there already.
    pub keys: Option<PrivateKey>,
}

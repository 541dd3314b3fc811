//! The network under test, in a thread of its own, and addresses that lead through it.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::mpsc,
    thread,
    time::Duration,
};

use i2p_contain::{
    gate::Limits,
    link::{Link, LinkSettings},
    network::Network,
};

use crate::outside::TestOutside;

/// The network of this namespace. It ends with the process.
pub(crate) struct World {
    /// The number of the network's thread.
    thread: String,
}

impl World {
    /// Makes the network, with this limit of `connect` and these of the gate.
    fn with(timeout: Duration, limits: Limits) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut settings = LinkSettings::default();
                settings.connect_timeout = timeout;
                let link = Link::open(&settings).await.unwrap();
                let network = Network::new(link, TestOutside, limits).unwrap();
                let thread = fs::read_link("/proc/thread-self").unwrap();
                sender.send(thread.file_name().unwrap().to_str().unwrap().to_owned()).unwrap();
                network.run().await.unwrap();
            });
        });
        Self { thread: receiver.recv().unwrap() }
    }

    pub(crate) fn new() -> Self {
        Self::with_connect_timeout(Duration::from_secs(60))
    }

    pub(crate) fn with_connect_timeout(timeout: Duration) -> Self {
        Self::with(timeout, Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with(Duration::from_secs(60), limits)
    }

    /// The CPU time of the network so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let statistics = fs::read_to_string(format!("/proc/self/task/{}/schedstat", self.thread)).unwrap();
        Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
    }
}

/// A target whose fate is this, such as [`crate::outside::REFUSED`].
pub(crate) fn v4(fate: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(250, 1, 2, fate), port).into()
}

/// The same over IPv6.
pub(crate) fn v6(fate: u8, port: u16) -> SocketAddr {
    (Ipv6Addr::new(0xfd00, 0xfeed, 0, 0, 0, 0, 0, fate.into()), port).into()
}

//! Proxies whose clients may send datagrams.

use std::{num::NonZeroUsize, time::Duration};

use i2p_name::VirtualOptions;
use i2p_sam::{BackOff, Bridge, DatagramStyle, SessionOptions};
use i2p_tunnel::{
    AddressPool, DatagramOptions, DatagramPool, DatagramRules, Isolate, Limits, PoolOptions, RoutedDialler,
    SamDialler, Service, SessionPool, Tunnel,
};

use super::{Proxy, start_service};

pub(crate) struct Udp {
    pub(crate) rules: DatagramRules,
    pub(crate) style: DatagramStyle,
    pub(crate) isolate: Isolate,
    pub(crate) max_sessions: usize,
}

impl Default for Udp {
    fn default() -> Self {
        Self {
            rules: DatagramRules::default(),
            style: DatagramStyle::Datagram,
            isolate: Isolate::default(),
            max_sessions: 8,
        }
    }
}

/// A proxy on a bridge, by the bridge's addresses.
pub(crate) async fn proxy(sam: &str, sam_udp: &str) -> Proxy {
    proxy_with(sam, sam_udp, Udp::default()).await
}

/// A proxy on a bridge, by the bridge's addresses.
pub(crate) async fn proxy_with(sam: &str, sam_udp: &str, udp: Udp) -> Proxy {
    let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
    let session = SessionOptions::default().lend(true);
    let sam = Bridge::new(sam).with_udp_address(sam_udp.parse().unwrap());
    let pool = SessionPool::new(sam, PoolOptions { session, back_off, ..PoolOptions::default() });
    pool.first_ready().await.unwrap();
    let max_sessions = NonZeroUsize::new(udp.max_sessions).unwrap();
    let options = DatagramOptions { style: udp.style, max_sessions, ..DatagramOptions::default() };
    let tunnel = Tunnel { isolate: udp.isolate, ..Tunnel::default() };
    let sam = SamDialler::new(pool.clone(), tunnel).with_datagrams(DatagramPool::new(options));
    // As the program has it.
    let dialler = RoutedDialler::without_routes(sam);
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let limits = Limits { linger: Duration::from_millis(200), ..Limits::default() };
    let mut service = Service::new("test", dialler, addresses).with_limits(limits);
    service.datagrams = udp.rules;
    start_service(service, pool).await
}

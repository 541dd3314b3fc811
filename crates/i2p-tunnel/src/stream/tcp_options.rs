//! Options and the state of TCP connections.

use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use tokio::{io::Interest, net::TcpStream};

use crate::limits::Limits;

/// Keep-alive probes that go unanswered before a connection counts as lost.
const KEEPALIVE_PROBES: u32 = 4;

/// Lets the operating system detect that the other machine, or the path to it, is gone.
pub(super) fn detect_loss(stream: &TcpStream, limits: Limits) {
    let socket = socket2::SockRef::from(stream);
    if let Some(silence) = limits.keepalive {
        let probes = socket2::TcpKeepalive::new().with_time(silence);
        #[cfg(any(
            target_os = "linux",
            target_os = "android",
            target_vendor = "apple",
            target_os = "freebsd"
        ))]
        let probes = probes.with_interval(silence / KEEPALIVE_PROBES).with_retries(KEEPALIVE_PROBES);
        // On systems that do not support this, connections live longer.
        let _ = socket.set_tcp_keepalive(&probes);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_user_timeout(limits.user_timeout);
}

/// Whether the connection is lost.
pub(super) fn is_lost(stream: &TcpStream) -> bool {
    let ready = pin!(stream.ready(Interest::ERROR));
    ready.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Sets what the other side sees if the connection is dropped: a reset, or an orderly end.
pub(super) fn reset_on_close(stream: &TcpStream, reset: bool) {
    // On systems that do not support this, a broken stream looks like one that ended.
    let _ = socket2::SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO));
}

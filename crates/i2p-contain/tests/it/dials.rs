//! Dials that take long, and programs that do not wait for them.

use std::{
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

use i2p_contain::gate::Limits;
use socket2::{Domain, Socket, Type};

use crate::{
    namespace::inside,
    outside::{LET_GO, SILENT, SILENT_DIALS, SLOW},
    world::{World, v4},
};

/// No wait is longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts to connect, and does not wait.
fn begin(target: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.connect(&target.into()).unwrap_err();
    socket
}

/// Waits until this many silent dials are under way.
fn wait_for_silent_dials(count: usize) {
    let start = Instant::now();
    while SILENT_DIALS.load(Relaxed) != count {
        assert!(start.elapsed() < PATIENCE, "{} dials", SILENT_DIALS.load(Relaxed));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_silent_target_keeps_no_other_connection_from_ending() {
    inside("dials::a_silent_target_keeps_no_other_connection_from_ending", || {
        let mut limits = Limits::default();
        limits.linger = Duration::from_secs(1);
        let _world = World::with_limits(limits);
        let _waiting = begin(v4(SILENT, 80));
        wait_for_silent_dials(1);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        drop(begin(v4(SLOW, listener.local_addr().unwrap().port())));
        LET_GO.add_permits(1);
        let (mut far, _) = listener.accept().unwrap();
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        let start = Instant::now();
        let error = far.read(&mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET), "{error}");
        assert!(start.elapsed() < limits.linger * 4, "{:?}", start.elapsed());
    });
}

#[test]
fn a_dial_that_takes_too_long_is_dropped() {
    inside("dials::a_dial_that_takes_too_long_is_dropped", || {
        let mut limits = Limits::default();
        limits.dial = Duration::from_secs(1);
        let _world = World::with_limits(limits);
        let _waiting = begin(v4(SILENT, 80));
        wait_for_silent_dials(1);
        wait_for_silent_dials(0);
    });
}

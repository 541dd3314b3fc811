//! What a program's `connect` reports, for each way to wait for it.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use socket2::{Domain, Socket, Type};

use crate::{
    namespace::inside,
    outside::{DENIED, NO_NETWORK, REFUSED, TIMED_OUT, UNREACHABLE},
    world::{World, v4, v6},
};

/// No wait is longer than this.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

fn tcp(target: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(target), Type::STREAM, None).unwrap()
}

fn blocking(target: SocketAddr) -> Option<i32> {
    tcp(target).connect(&target.into()).err()?.raw_os_error()
}

fn begin(socket: &Socket, target: SocketAddr) {
    socket.set_nonblocking(true).unwrap();
    let error = socket.connect(&target.into()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINPROGRESS));
}

fn outcome(socket: &Socket) -> Option<i32> {
    socket.take_error().unwrap().as_ref().and_then(io::Error::raw_os_error)
}

fn non_blocking_with_poll(target: SocketAddr) -> Option<i32> {
    let socket = tcp(target);
    begin(&socket, target);
    let mut waiting = [PollFd::new(&socket, PollFlags::OUT)];
    assert_eq!(poll(&mut waiting, Some(&PATIENCE)).unwrap(), 1, "nothing happened");
    outcome(&socket)
}

fn registered_with_epoll_first(target: SocketAddr) -> Option<i32> {
    let socket = tcp(target);
    let events = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let interest = epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(&events, &socket, epoll::EventData::new_u64(7), interest).unwrap();
    let wait = |patience| {
        let mut buffer =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 4];
        epoll::wait(&events, &mut buffer[..], Some(patience)).unwrap()
    };
    // A socket without a connection is writable and hung up; that edge is over.
    assert_eq!(wait(&Timespec { tv_sec: 0, tv_nsec: 0 }), 1);
    begin(&socket, target);
    assert_eq!(wait(&PATIENCE), 1, "nothing happened");
    outcome(&socket)
}

/// A way to wait for `connect`: its name, and what returns the error.
type Way = (&'static str, fn(SocketAddr) -> Option<i32>);

const WAYS: [Way; 3] =
    [("blocking", blocking), ("poll", non_blocking_with_poll), ("epoll first", registered_with_epoll_first)];

#[test]
fn a_failed_dial_is_the_error_of_connect() {
    inside("connect_errors::a_failed_dial_is_the_error_of_connect", || {
        let _world = World::new();
        let table = [
            (REFUSED, libc::ECONNREFUSED, libc::ECONNREFUSED),
            (UNREACHABLE, libc::EHOSTUNREACH, libc::EHOSTUNREACH),
            (NO_NETWORK, libc::ENETUNREACH, libc::ENETUNREACH),
            // Linux has no ICMP code of IPv4 for EACCES.
            (DENIED, libc::EHOSTUNREACH, libc::EACCES),
        ];
        for (fate, expected_v4, expected_v6) in table {
            for (target, expected) in [(v4(fate, 80), expected_v4), (v6(fate, 80), expected_v6)] {
                for (name, connect) in WAYS {
                    let start = Instant::now();
                    assert_eq!(connect(target), Some(expected), "{target} {name}");
                    assert!(
                        start.elapsed() < Duration::from_secs(2),
                        "{target} {name}: {:?}",
                        start.elapsed()
                    );
                }
            }
        }
    });
}

#[test]
fn a_silent_target_is_a_timeout_after_the_time_that_was_set() {
    inside("connect_errors::a_silent_target_is_a_timeout_after_the_time_that_was_set", || {
        times_out(3, 2_900..6_000);
    });
}

/// The kernel has two limits, of which the shorter one holds.
#[test]
fn a_long_time_is_not_cut_short() {
    inside("connect_errors::a_long_time_is_not_cut_short", || times_out(15, 14_900..18_000));
}

fn times_out(seconds: u64, expected_ms: std::ops::Range<u128>) {
    let _world = World::with_connect_timeout(Duration::from_secs(seconds));
    let waits = [v4(TIMED_OUT, 80), v6(TIMED_OUT, 80)].map(|target| {
        WAYS.map(|(name, connect)| {
            std::thread::spawn(move || {
                let start = Instant::now();
                assert_eq!(connect(target), Some(libc::ETIMEDOUT), "{target} {name}");
                (target, start.elapsed())
            })
        })
    });
    for wait in waits.into_iter().flatten() {
        let (target, time) = wait.join().unwrap();
        assert!(expected_ms.contains(&time.as_millis()), "{target}: {time:?}");
    }
}

//! Measures the cost of a datagram round trip, beside a bare forwarder on the same bridge. See the README beside this file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, reason = "only a part of it is used here")]
#[path = "../tests/it/common/mod.rs"]
mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use common::{
    domain,
    udp::{self, UdpOptions},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sam_testkit::{Dialect, Endpoint, TestBridge};

/// Payloads in bytes.
const SIZES: [usize; 3] = [64, 1024, 10 * 1024];
/// Datagrams in flight while throughput is measured: as many as fit into the buffers of sockets.
const WINDOW: u64 = 8;

/// The address to which datagrams are sent, and the header before each payload.
struct Way {
    socket: UdpSocket,
    header: Vec<u8>,
    /// The directory in /proc of the thread that forwards datagrams.
    thread: PathBuf,
    _control: TcpStream,
}

impl Way {
    /// Sends to an address. A lost datagram ends the measurement.
    fn to((address, thread): (SocketAddr, PathBuf), header: Vec<u8>, control: TcpStream) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { socket, header, thread, _control: control }
    }

    /// Sends `count` datagrams, with up to `window` of them in flight, and receives their echoes. Returns the time.
    fn run(&self, payload: usize, count: u64, window: u64) -> Duration {
        let datagram = [&self.header[..], &vec![7; payload]].concat();
        let mut buffer = vec![0; 65_535];
        let begin = Instant::now();
        for number in 0..count + window {
            if number >= window {
                assert_eq!(self.socket.recv(&mut buffer).unwrap(), datagram.len());
            }
            if number < count {
                self.socket.send(&datagram).unwrap();
            }
        }
        begin.elapsed()
    }
}

impl Way {
    /// The processor time that the thread has used, if the system reports it.
    fn processor_time(&self) -> Option<Duration> {
        let said = fs::read_to_string(self.thread.join("schedstat")).ok()?;
        Some(Duration::from_nanos(said.split(' ').next()?.parse().ok()?))
    }

    /// The processor time that the thread uses for `count` round trips.
    fn cost(&self, payload: usize, count: u64) -> Duration {
        let before = self.processor_time().unwrap();
        self.run(payload, count, WINDOW);
        self.processor_time().unwrap() - before
    }
}

/// The directory in /proc of this thread.
fn this_thread() -> PathBuf {
    fs::read_link("/proc/thread-self")
        .map_or_else(|_| PathBuf::new(), |thread| Path::new("/proc").join(thread))
}

/// Runs `work` in a thread with its own runtime, which keeps running. Returns the result of `work`.
fn in_a_thread<T: Send + 'static, F: Future<Output = T>>(work: impl FnOnce() -> F + Send + 'static) -> T {
    let (sender, result) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let started = work().await;
            sender.send(started).unwrap();
            std::future::pending::<()>().await;
        });
    });
    result.recv().unwrap()
}

struct Bridge {
    sam: String,
    sam_udp: String,
    echo: String,
}

fn bridge() -> Bridge {
    in_a_thread(|| async {
        let bridge = TestBridge::start_as(Dialect::Java).await;
        let echo = bridge.host("echo.i2p", Endpoint::Echo);
        let found = Bridge { sam: bridge.address(), sam_udp: bridge.udp_address(), echo };
        // Keep it as long as the program runs.
        std::mem::forget(bridge);
        found
    })
}

/// Measures through a proxy, with UDP ASSOCIATE like any client.
fn through_us(bridge: &Bridge) -> Way {
    let (sam, sam_udp) = (bridge.sam.clone(), bridge.sam_udp.clone());
    let (address, thread) = in_a_thread(move || async move {
        let proxy = udp::proxy_with(&sam, &sam_udp, UdpOptions::default()).await;
        let address = proxy.address;
        std::mem::forget(proxy);
        (address, this_thread())
    });
    let mut control = TcpStream::connect(address).unwrap();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    let mut reply = [0; 12];
    control.read_exact(&mut reply).unwrap();
    assert_eq!(reply[3], 0, "{reply:?}");
    let relay = SocketAddr::new(address.ip(), u16::from_be_bytes([reply[10], reply[11]]));
    Way::to((relay, thread), [&[0, 0, 0][..], &domain("echo.i2p"), &[0, 7]].concat(), control)
}

/// Measures through a forwarder for one client and one peer. It adds a line before each datagram, removes one from each echo, and
/// does nothing else.
fn through_a_bare_forwarder(bridge: &Bridge) -> Way {
    let inner = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut control = TcpStream::connect(&bridge.sam).unwrap();
    let port = inner.local_addr().unwrap().port();
    let create =
        format!("SESSION CREATE STYLE=DATAGRAM ID=bare DESTINATION=TRANSIENT HOST=127.0.0.1 PORT={port}\n");
    let mut lines = BufReader::new(control.try_clone().unwrap());
    for line in ["HELLO VERSION MIN=3.0 MAX=3.3\n", &create] {
        control.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).unwrap();
        assert!(answer.contains("RESULT=OK"), "{answer}");
    }
    inner.connect(&bridge.sam_udp).unwrap();
    let prefix = format!("3.0 bare {}\n", bridge.echo);
    let way = in_a_thread(move || async move {
        let outer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = outer.local_addr().unwrap();
        inner.set_nonblocking(true).unwrap();
        tokio::spawn(forward(outer, tokio::net::UdpSocket::from_std(inner).unwrap(), prefix));
        (address, this_thread())
    });
    Way::to(way, Vec::new(), control)
}

async fn forward(outer: tokio::net::UdpSocket, inner: tokio::net::UdpSocket, prefix: String) {
    let (mut out, mut back) = (vec![0; 65_535], vec![0; 65_535]);
    out[..prefix.len()].copy_from_slice(prefix.as_bytes());
    let mut client = None;
    loop {
        tokio::select! {
            received = outer.recv_from(&mut out[prefix.len()..]) => {
                let (length, from) = received.unwrap();
                client = Some(from);
                inner.send(&out[..prefix.len() + length]).await.unwrap();
            }
            received = inner.recv(&mut back) => {
                let packet = &back[..received.unwrap()];
                let line = packet.iter().position(|byte| *byte == b'\n').unwrap();
                outer.send_to(&packet[line + 1..], client.unwrap()).await.unwrap();
            }
        }
    }
}

fn datagrams(criterion: &mut Criterion) {
    let bridge = bridge();
    let ways = [("us", through_us(&bridge)), ("bare forwarder", through_a_bare_forwarder(&bridge))];
    for (what, window) in [("there and back", 1), ("throughput", WINDOW)] {
        let mut group = criterion.benchmark_group(what);
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            for (name, way) in &ways {
                // A warm-up, so that names are known and buffers have grown.
                way.run(size, 100, 1);
                group.bench_function(BenchmarkId::new(*name, size), |bencher| {
                    bencher.iter_custom(|count| way.run(size, count, window));
                });
            }
        }
        group.finish();
    }
    if ways.iter().any(|(_, way)| way.processor_time().is_none()) {
        return;
    }
    let mut group = criterion.benchmark_group("processor time");
    for size in SIZES {
        for (name, way) in &ways {
            group.bench_function(BenchmarkId::new(*name, size), |bencher| {
                bencher.iter_custom(|count| way.cost(size, count));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, datagrams);
criterion_main!(benches);

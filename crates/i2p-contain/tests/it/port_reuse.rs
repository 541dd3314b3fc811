//! Many short connections: none is lost, although ports are used again while the old connection lingers.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    namespace::{inside, size},
    outside::OPEN,
    world::{World, v4},
};

const WORKERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);

/// Who closes a connection first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// The far end: the program's port is free at once.
    FarEnd,
    /// The program: its port is free after a minute.
    Program,
}

/// Echoes the number that each connection sends.
fn far_end(first: First) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = Arc::new(listener);
    for _ in 0..WORKERS * 2 {
        let listener = listener.clone();
        thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut number = [0; 8];
                if stream.read_exact(&mut number).and_then(|()| stream.write_all(&number)).is_ok()
                    && first == First::Program
                {
                    let _ = stream.read(&mut number);
                }
            }
        });
    }
    port
}

fn exchange(target: SocketAddr, number: u64, first: First) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&number.to_le_bytes())?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    assert_eq!(u64::from_le_bytes(answer), number, "a stream of another connection");
    if first == First::FarEnd {
        assert_eq!(stream.read(&mut answer)?, 0);
    }
    Ok(())
}

fn connect_many(count: u64, first: First) -> Duration {
    let target = v4(OPEN, far_end(first));
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let workers = [(); WORKERS].map(|()| {
        let next = next.clone();
        thread::spawn(move || {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return;
                }
                exchange(target, number, first)
                    .unwrap_or_else(|error| panic!("connection {number}: {error}"));
            }
        })
    });
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    start.elapsed()
}

#[test]
fn no_connection_is_lost_when_ports_are_used_again_at_once() {
    inside("port_reuse::no_connection_is_lost_when_ports_are_used_again_at_once", || {
        let _world = World::new();
        // So few ports that each is used again within some milliseconds.
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40063").unwrap();
        let count = size(2_000, 20_000);
        // The dials of the outside need ports, too.
        let time = connect_many(count, First::FarEnd);
        println!("measured: {count} connections from 64 ports, {:.0}/s", count as f64 / time.as_secs_f64());
    });
}

#[test]
fn no_connection_is_lost_in_a_row() {
    inside("port_reuse::no_connection_is_lost_in_a_row", || {
        let world = World::new();
        let count = size(2_000, 20_000);
        let time = connect_many(count, First::Program);
        let cpu = world.cpu_time();
        println!(
            "measured: {count} connections, {:.0}/s, {:?} of CPU each",
            count as f64 / time.as_secs_f64(),
            cpu / u32::try_from(count).unwrap()
        );
    });
}

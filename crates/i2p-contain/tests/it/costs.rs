//! What a connection costs the network: memory while idle, CPU time for data.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    namespace::{inside, size},
    outside::OPEN,
    world::{World, v4},
};

/// The anonymous memory of this process, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn an_idle_connection_takes_at_most_three_kibibytes() {
    inside("costs::an_idle_connection_takes_at_most_three_kibibytes", || {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).unwrap();
        let connections = 2_000;
        let _world = World::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = v4(OPEN, listener.local_addr().unwrap().port());
        let open = |count| {
            let both_ends = |_| {
                let mut program = TcpStream::connect(target).unwrap();
                let (mut far, _) = listener.accept().unwrap();
                // Data has passed both ways.
                program.write_all(b"x").unwrap();
                far.read_exact(&mut [0]).unwrap();
                far.write_all(b"y").unwrap();
                program.read_exact(&mut [0]).unwrap();
                (program, far)
            };
            (0..count).map(both_ends).collect::<Vec<_>>()
        };
        let warm = open(100);
        let before = memory();
        let idle = open(connections);
        let each = (memory() - before) / connections;
        println!("measured: {each} bytes of memory per idle connection");
        assert!(each <= 3 * 1024, "{each}");
        drop((warm, idle));
    });
}

/// Moves this much in one direction. Returns the time and the CPU time of the network.
fn transfer(world: &World, bytes: u64, is_up: bool) -> (Duration, Duration) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target: SocketAddr = v4(OPEN, listener.local_addr().unwrap().port());
    let send = move |mut stream: TcpStream| {
        let block = vec![1; 256 * 1024];
        for _ in 0..bytes / block.len() as u64 {
            stream.write_all(&block).unwrap();
        }
    };
    let receive = |mut stream: TcpStream| {
        let mut block = vec![0; 256 * 1024];
        while stream.read(&mut block).unwrap() > 0 {}
    };
    let (sender, receiver) = mpsc::channel();
    let (start, cpu) = (Instant::now(), world.cpu_time());
    thread::spawn(move || {
        let (far, _) = listener.accept().unwrap();
        if is_up {
            receive(far);
        } else {
            send(far);
        }
        sender.send(()).unwrap();
    });
    let program = TcpStream::connect(target).unwrap();
    if is_up {
        send(program);
    } else {
        receive(program);
    }
    receiver.recv().unwrap();
    (start.elapsed(), world.cpu_time() - cpu)
}

#[test]
fn data_costs_little_cpu_time() {
    inside("costs::data_costs_little_cpu_time", || {
        let world = World::new();
        let bytes = size(64 << 20, 2 << 30);
        for (name, is_up) in [("down", false), ("up", true)] {
            let (time, cpu) = transfer(&world, bytes, is_up);
            let gib = bytes as f64 / f64::from(1 << 30);
            let per_gib = cpu.as_secs_f64() / gib;
            println!("measured: {name} {:.2} GiB/s, {per_gib:.2} CPU-s/GiB", gib / time.as_secs_f64());
            // The aim is 0.7 in a release build on a quiet machine. The limits leave room for one that is busy, and for a build
            // without optimisation.
            assert!(per_gib < size(10.0, 1.5), "{name}: {per_gib}");
        }
    });
}

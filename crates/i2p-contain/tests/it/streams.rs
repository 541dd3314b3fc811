//! Streams from end to end: data, the end of one direction, resets.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};
use socket2::SockRef;

use crate::{
    namespace::{inside, size},
    outside::OPEN,
    world::{World, v4, v6},
};

/// No read is longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Targets that lead to a port of the far end.
const TARGETS: [fn(u16) -> SocketAddr; 2] = [|port| v4(OPEN, port), |port| v6(OPEN, port)];

/// Serves the next connection in a thread, and returns its port and the result.
fn far_end<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, thread::JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(stream)
    });
    (port, serving)
}

fn connect(target: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(target).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends this much and returns its hash.
fn send(stream: &mut TcpStream, bytes: u64, seed: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut block = vec![0; 128 * 1024];
    let mut sent = 0;
    while sent < bytes {
        for (index, word) in block.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&(seed + sent + index as u64).to_le_bytes());
        }
        let length = usize::try_from((bytes - sent).min(block.len() as u64)).unwrap();
        stream.write_all(&block[..length]).unwrap();
        hash.update(&block[..length]);
        sent += length as u64;
    }
    hash.finalize().into()
}

/// Reads to the end. Returns the number of bytes and their hash.
fn receive(stream: &mut TcpStream) -> (u64, [u8; 32]) {
    let mut hash = Sha256::new();
    let mut block = vec![0; 128 * 1024];
    let mut received = 0;
    loop {
        let length = stream.read(&mut block).unwrap();
        if length == 0 {
            return (received, hash.finalize().into());
        }
        hash.update(&block[..length]);
        received += length as u64;
    }
}

#[test]
fn bulk_data_arrives_whole_both_ways_at_once() {
    inside("streams::bulk_data_arrives_whole_both_ways_at_once", || {
        let _world = World::new();
        let bytes = size(48 << 20, 1 << 30) + 12_345;
        for target in TARGETS {
            let exchange = move |mut stream: TcpStream, seed| {
                let mut reading = stream.try_clone().unwrap();
                let received = thread::spawn(move || receive(&mut reading));
                let sent = send(&mut stream, bytes, seed);
                stream.shutdown(Shutdown::Write).unwrap();
                (sent, received.join().unwrap())
            };
            let (port, far) = far_end(move |stream| exchange(stream, 1));
            let (sent, received) = exchange(connect(target(port)), 2);
            let (far_sent, far_received) = far.join().unwrap();
            assert_eq!(received, (bytes, far_sent));
            assert_eq!(far_received, (bytes, sent));
        }
    });
}

#[test]
fn either_end_may_finish_first_and_still_receive() {
    inside("streams::either_end_may_finish_first_and_still_receive", || {
        let _world = World::new();
        for target in TARGETS {
            let first = |mut stream: TcpStream| {
                stream.write_all(b"question").unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "answer");
            };
            let second = |mut stream: TcpStream| {
                let mut question = String::new();
                stream.read_to_string(&mut question).unwrap();
                assert_eq!(question, "question");
                stream.write_all(b"answer").unwrap();
            };
            let (port, far) = far_end(second);
            first(connect(target(port)));
            far.join().unwrap();
            let (port, far) = far_end(first);
            second(connect(target(port)));
            far.join().unwrap();
        }
    });
}

/// Resets the connection once the other end has sent something.
fn reset(mut stream: TcpStream) {
    stream.read_exact(&mut [0]).unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn is_reset(mut stream: TcpStream) {
    stream.write_all(b"x").unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET), "{error}");
}

#[test]
fn either_end_may_reset() {
    inside("streams::either_end_may_reset", || {
        let _world = World::new();
        for target in TARGETS {
            let (port, far) = far_end(is_reset);
            reset(connect(target(port)));
            far.join().unwrap();
            let (port, far) = far_end(reset);
            is_reset(connect(target(port)));
            far.join().unwrap();
        }
    });
}

#[test]
fn the_listener_belongs_to_the_gate_alone() {
    inside("streams::the_listener_belongs_to_the_gate_alone", || {
        let _world = World::new();
        let own: Vec<u16> = ["tcp", "tcp6"].into_iter().flat_map(listening_ports).collect();
        assert_eq!(own.len(), 2, "{own:?}");
        for (address, port) in ["10.64.0.1", "fd00:64::1"].into_iter().zip(own) {
            let mut stream = connect(SocketAddr::new(address.parse().unwrap(), port));
            let error = stream.read(&mut [0]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET), "it was accepted: {error}");
        }
        // Nor does an address of flows lead anywhere.
        let error = TcpStream::connect("10.65.0.0:1").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EHOSTUNREACH));
    });
}

/// The ports on which anything listens, from `/proc/net/tcp` or `tcp6`.
fn listening_ports(table: &str) -> Vec<u16> {
    let table = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = lines.filter(|fields| fields[3] == "0A");
    listening.map(|fields| u16::from_str_radix(fields[1].split(':').nth(1).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_program_has_its_own_loopback() {
    inside("streams::a_program_has_its_own_loopback", || {
        let _world = World::new();
        let (port, far) = far_end(|mut stream| stream.write_all(b"hello").unwrap());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut greeting = String::new();
            connect((Ipv4Addr::LOCALHOST, port).into()).read_to_string(&mut greeting).unwrap();
            sender.send(greeting).unwrap();
        });
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), "hello");
        far.join().unwrap();
    });
}

//! Hostile clients: others are served meanwhile, and afterwards the proxy's resources are released.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use sam_testkit::{Act, Dialect, Endpoint, TestBridge};
use socket2::{Domain, SockRef, Socket, Type};

use crate::common::{self, Running};

/// The longest time in which a client has to be served.
const SECOND: Duration = Duration::from_secs(1);
/// Longest wait for steps that take no time.
const LIMIT: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"\x05\x01\x00\x05\x01\x00\x03\x08echo.i2p\x00\x50";

/// Serves one well-behaved client, from its connection to its echo. Returns how long it took.
fn is_served(proxy: SocketAddr) -> Duration {
    let begin = Instant::now();
    let mut client = TcpStream::connect(proxy).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(&[REQUEST, b"ping"].concat()).unwrap();
    let mut answer = [0; 16];
    client.read_exact(&mut answer).unwrap();
    assert_eq!((answer[3], &answer[12..]), (0, &b"ping"[..]));
    begin.elapsed()
}

/// Resident memory in KiB, and the number of open file descriptors.
fn costs(proxy: &Running) -> (usize, usize) {
    let status = fs::read_to_string(format!("/proc/{}/status", proxy.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (resident, fs::read_dir(format!("/proc/{}/fd", proxy.id())).unwrap().count())
}

/// Processor time used so far, in hundredths of a second.
fn ticks(proxy: &Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", proxy.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < limit, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Raises the limit of file descriptors for this process, which holds the other ends of all sockets.
fn raise_our_own_limit() {
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors).unwrap();
}

/// The binary with this limit of file descriptors.
fn limited(descriptors: u32) -> Command {
    let binary = common::i2p_socks(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]).arg(binary.get_program());
    command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null());
    command
}

fn start(bridge: &TestBridge, limits: &str) -> (Running, tempfile::TempDir) {
    raise_our_own_limit();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i2p-socks.toml");
    fs::write(&file, format!("[limits]\n{limits}")).unwrap();
    let args = ["run", "--router", "sam", "--sam", &bridge.address(), "--config", file.to_str().unwrap()];
    let listen = ["--listen", "127.0.0.1:0"];
    let mut command = common::i2p_socks(&[&args[..], &listen].concat());
    // Free memory goes back to the system at once. Otherwise glibc's arenas, one per thread, keep a varying amount of tens of
    // megabytes.
    command.env("MALLOC_ARENA_MAX", "1").env("MALLOC_TRIM_THRESHOLD_", "65536");
    command.stdin(Stdio::null());
    (Running::of(command), dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slow_handshakes_delay_nobody_and_leave_nothing_behind() {
    let bridge = TestBridge::start().await;
    let (mut proxy, _config) = start(&bridge, "handshake = '2s'\nhalf-close = '1s'\n");
    let address = proxy.ready();
    is_served(address);
    let round = || {
        let mut slow: Vec<_> = (0..2_000).map(|_| TcpStream::connect(address).unwrap()).collect();
        for (number, client) in slow.iter_mut().enumerate() {
            // Incomplete requests of each protocol.
            let beginning: &[u8] =
                [&b"\x05"[..], b"\x04\x01", b"C", b"CONNECT a.i2p:80 HTTP/1.1\r\nX", b""][number % 5];
            client.write_all(beginning).unwrap();
        }
        let slowest = (0..20).map(|_| is_served(address)).max().unwrap();
        assert!(slowest < SECOND, "{slowest:?} among slow clients");
        // The proxy closes them by itself.
        for client in &mut slow {
            client.set_read_timeout(Some(LIMIT)).unwrap();
            assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
        }
    };
    // The allocator's reserve grows in the first rounds only.
    let memory = || {
        round();
        until("the sockets are gone", LIMIT, || costs(&proxy).1 < 100);
        round();
        until("the sockets are gone again", LIMIT, || costs(&proxy).1 < 100);
        costs(&proxy).0
    };
    let mut measured = vec![memory()];
    // If 4,000 connections were kept, memory would grow by more than this each round.
    let stays = |measured: &[usize]| measured.windows(2).any(|pair| pair[1] < pair[0] + 6_144);
    while !stays(&measured) {
        assert!(measured.len() < 5, "KiB after every other round: {measured:?}");
        measured.push(memory());
    }
    assert!(proxy.is_running(), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_oversized_and_half_open_clients_do_no_harm() {
    let bridge = TestBridge::start().await;
    let (mut proxy, _config) = start(&bridge, "handshake = '2s'\nlinger = '1s'\nhalf-close = '1s'\n");
    let address = proxy.ready();
    let mut random = 1_u64;
    let mut garbage = || {
        // xorshift, random enough for garbage.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()
    };
    for first in [4, 5, b'C', b'G', 0x16, 0, 0xff] {
        for length in [1, 100, 10_000, 1_000_000] {
            let mut bytes = vec![first];
            bytes.extend(std::iter::repeat_with(&mut garbage).flatten().take(length));
            let mut client = TcpStream::connect(address).unwrap();
            client.set_write_timeout(Some(LIMIT)).unwrap();
            // Most of these are reset in the middle.
            let _ = client.write_all(&bytes);
            // Some send nothing, some an incomplete request.
            if length % 3 == 0 {
                let _ = client.shutdown(Shutdown::Write);
            }
        }
        is_served(address);
    }
    let half_open: Vec<_> = (0..200)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(REQUEST).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client
        })
        .collect();
    is_served(address);
    drop(half_open);
    until("all is closed", LIMIT, || costs(&proxy).1 < 100);
    is_served(address);
    assert_eq!(proxy.signal("TERM"), Some(0), "{}", proxy.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_beyond_the_cap_is_refused_and_leaves_nothing_behind() {
    let bridge = TestBridge::start().await;
    let (mut proxy, _config) = start(&bridge, "connections = 50\nper-client = 0\nhandshake = '20s'\n");
    let address = proxy.ready();
    let storm: Vec<_> = (0..1_000).map(|_| TcpStream::connect(address).unwrap()).collect();
    let line = proxy.stderr_line("as many connections as [limits] connections allows");
    assert!(line.contains("WARN"), "{line}");
    until("those beyond are closed", LIMIT, || costs(&proxy).1 < 50 + 64 + 50);
    drop(storm);
    is_served_again(address);
    let said = proxy.said();
    let lines = said.matches("[limits] connections allows").count();
    assert!((1..=5).contains(&lines), "not said a thousand times: {said}");
}

/// Checks that the next client is served within a second.
fn is_served_again(address: SocketAddr) {
    let over = Instant::now();
    until("a client is served", SECOND, || {
        let mut client = TcpStream::connect(address).unwrap();
        let mut answer = [0; 12];
        client.write_all(REQUEST).unwrap();
        client.read_exact(&mut answer).is_ok() && answer[3] == 0
    });
    println!("served {:?} after the storm", over.elapsed());
}

/// All clients have sent a request that gets no answer. What they cost is released when they end, not when their requests do.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_requests_leaves_nothing_behind_once_its_clients_are_reset() {
    let bridge = TestBridge::start().await;
    bridge.on("STREAM CONNECT", [Act::Hang]);
    let (mut proxy, _config) =
        start(&bridge, "connections = 50\nper-client = 0\ndial = '20s'\nlinger = '20s'\n");
    let address = proxy.ready();
    let storm: Vec<_> = (0..200)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            // Clients beyond the limit are closed, some before they have sent anything.
            let _ = client.write_all(REQUEST);
            client
        })
        .collect();
    proxy.stderr_line("as many connections as [limits] connections allows");
    let dialling = || bridge.commands().iter().filter(|line| line.starts_with("STREAM CONNECT")).count();
    until("all that there is room for are dialled", LIMIT, || dialling() == 50);
    bridge.on("STREAM CONNECT", [Act::Behave]);
    drop(storm);
    is_served_again(address);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_it_waits_idle_and_answers_within_a_second_of_getting_some() {
    let bridge = TestBridge::start().await;
    let (mut proxy, _config) = start(&bridge, "");
    let address = proxy.ready();
    is_served(address);
    let pid = Pid::from_raw(i32::try_from(proxy.id()).unwrap());
    let plenty = prlimit(
        pid,
        Resource::Nofile,
        Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum },
    )
    .unwrap();
    let waiting = thread::spawn(move || is_served(address));
    let line = proxy.stderr_line("no connection can be accepted");
    assert!(line.contains("WARN") && line.contains("LimitNOFILE="), "{line}");
    let (begin, before) = (Instant::now(), ticks(&proxy));
    thread::sleep(2 * SECOND);
    let used = ticks(&proxy) - before;
    assert!(used < 20, "{used} hundredths of a second in {:?}: it spins", begin.elapsed());
    assert!(!waiting.is_finished(), "there were descriptors");
    let over = Instant::now();
    prlimit(pid, Resource::Nofile, plenty).unwrap();
    waiting.join().unwrap();
    assert!(over.elapsed() < SECOND, "{:?}", over.elapsed());
    println!(
        "served {:?} after descriptors were there again, {used} ticks while there were none",
        over.elapsed()
    );
    assert!(is_served(address) < SECOND);
}

/// The cap on connections follows from the limit, so accepting never fails for lack of descriptors.
#[tokio::test(flavor = "multi_thread")]
async fn a_low_limit_of_file_descriptors_lowers_the_cap() {
    let bridge = TestBridge::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i2p-socks.toml");
    fs::write(&file, "[limits]\nper-client = 0\n").unwrap();
    let mut command = limited(300);
    command.args(["run", "--router", "sam", "--sam", &bridge.address(), "--listen", "127.0.0.1:0"]);
    command.args(["--config", file.to_str().unwrap()]);
    let mut proxy = Running::of(command);
    let address = proxy.ready();
    // 150 descriptors are reserved, and each connection takes two of the rest.
    let mut open: Vec<_> = (0..100)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(REQUEST).unwrap();
            client
        })
        .collect();
    let mut codes = Vec::new();
    for client in &mut open {
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        codes.push(answer[3]);
    }
    let served = codes.iter().filter(|&&code| code == 0).count();
    let refused = codes.iter().filter(|&&code| code == 1).count();
    assert_eq!((served, refused), (75, 25), "{}", proxy.said());
    assert!(!proxy.said().contains("no connection can be accepted"), "{}", proxy.said());
}

/// Opens streams to a far end that waits for the client's end, and closes each at once, until so many were opened.
fn connect_and_close(proxy: SocketAddr, opened: &AtomicUsize, enough: usize) {
    let begin = Instant::now();
    while opened.load(Relaxed) < enough {
        assert!(begin.elapsed() < LIMIT, "{} streams", opened.load(Relaxed));
        let mut client = TcpStream::connect(proxy).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        let mut answer = [0; 12];
        let written = client.write_all(b"\x05\x01\x00\x05\x01\x00\x03\x08sink.i2p\x00\x50");
        let is_open = written.and_then(|()| client.read_exact(&mut answer)).is_ok() && answer[3] == 0;
        opened.fetch_add(usize::from(is_open), Relaxed);
    }
}

/// Scanners, health checks and aborted downloads do this all day.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_clients_that_connect_and_close_in_a_loop_keep_nothing_and_nobody_out() {
    let bridge = TestBridge::start().await;
    bridge.host("sink.i2p", Endpoint::Sink);
    let (mut proxy, _config) = start(&bridge, "connections = 100\n");
    let address = proxy.ready();
    is_served(address);
    let opened = Arc::new(AtomicUsize::new(0));
    let loops: Vec<_> = (0..16)
        .map(|_| {
            let opened = Arc::clone(&opened);
            thread::spawn(move || connect_and_close(address, &opened, 1_000))
        })
        .collect();
    while opened.load(Relaxed) < 1_000 {
        is_served(address);
    }
    loops.into_iter().for_each(|client| client.join().unwrap());
    let (begin, at_once) = (Instant::now(), costs(&proxy).1);
    until("the descriptors are closed", 3 * SECOND, || costs(&proxy).1 < 60);
    println!("{at_once} descriptors, and few after {:?}", begin.elapsed());
    assert!(!proxy.said().contains("[limits] connections allows"), "{}", proxy.said());
}

/// Half-closed streams, of which nobody knows whether their clients still wait, end when descriptors run out.
#[tokio::test(flavor = "multi_thread")]
async fn half_closed_streams_make_room_when_descriptors_run_out() {
    let bridge = TestBridge::start().await;
    bridge.host("sink.i2p", Endpoint::Sink);
    let (mut proxy, _config) = start(&bridge, "");
    let address = proxy.ready();
    let half_closed = || {
        let (code, client) = common::connect(address, "sink.i2p");
        assert_eq!(code, 0);
        client.shutdown(Shutdown::Write).unwrap();
        client
    };
    let _clients: Vec<_> = (0..100).map(|_| half_closed()).collect();
    let pid = Pid::from_raw(i32::try_from(proxy.id()).unwrap());
    let (used, maximum) = (costs(&proxy).1 as u64, getrlimit(Resource::Nofile).maximum);
    assert!(used > 200, "{used} descriptors");
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(used), maximum }).unwrap();
    let served = || {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(SECOND)).unwrap();
        let mut answer = [0; 12];
        client.write_all(REQUEST).unwrap();
        client.read_exact(&mut answer).is_ok() && answer[3] == 0
    };
    until("a client is served", 3 * SECOND, served);
    until("the next one is served", SECOND, served);
}

/// As many of 32 sessions as one user of this machine gets.
const ASSOCIATIONS: usize = 24;

/// The address of a user.
fn address_of(user: usize) -> SocketAddr {
    ([127, 0, 1, u8::try_from(user + 1).unwrap()], 0).into()
}

/// Sends a request as a user, who has a session and an address of its own. Returns the client and the reply without its version byte.
fn ask(proxy: SocketAddr, user: usize, request: &[u8]) -> io::Result<(TcpStream, [u8; 9])> {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    client.bind(&address_of(user).into())?;
    client.connect(&proxy.into())?;
    let mut client = TcpStream::from(client);
    client.set_read_timeout(Some(LIMIT))?;
    let login = format!("\x01\x02{user:02}\x01x");
    client.write_all(&[b"\x05\x01\x02", login.as_bytes(), b"\x05", request].concat())?;
    let mut answer = [0; 5 + 9];
    client.read_exact(&mut answer)?;
    Ok((client, *answer.last_chunk().unwrap()))
}

/// A client with datagrams, which sends some to as many names as the proxy looks up at once.
fn associate(proxy: SocketAddr, user: usize) -> (TcpStream, UdpSocket) {
    let (client, reply) = ask(proxy, user, b"\x03\0\x01\0\0\0\0\0\0").unwrap();
    assert_eq!(reply[0], 0);
    let socket = UdpSocket::bind(address_of(user)).unwrap();
    for number in 0..16 {
        let host = format!("never{user:02}{number:02}.i2p");
        let datagram = [&[0, 0, 0, 3, 13], host.as_bytes(), b"\0\x07x"].concat();
        socket.send_to(&datagram, (proxy.ip(), u16::from_be_bytes([reply[7], reply[8]]))).unwrap();
    }
    (client, socket)
}

/// Datagrams need descriptors besides those of connections. These are reserved.
#[tokio::test(flavor = "multi_thread")]
async fn datagrams_leave_descriptors_for_connections() {
    raise_our_own_limit();
    let bridge = TestBridge::start_as(Dialect::I2pd245).await;
    bridge.on("NAMING LOOKUP NAME=never", [Act::Hang]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("i2p-socks.toml");
    let tunnel = "[limits]\nper-client = 0\n[session]\nmax-sessions = 32\n[[tunnel]]\nlisten = ['127.0.0.1:0']\nudp = 'datagram'\n";
    fs::write(&file, format!("[router]\nsam-udp = '{}'\n{tunnel}", bridge.udp_address())).unwrap();
    let mut command = limited(1_200);
    command.args(["run", "--router", "sam", "--sam", &bridge.address(), "--config", file.to_str().unwrap()]);
    let mut proxy = Running::of(command);
    let address = proxy.ready();
    let _associations: Vec<_> = (0..ASSOCIATIONS).map(|user| associate(address, user)).collect();
    let looked_up = || bridge.commands().iter().filter(|line| line.contains("NAME=never")).count();
    until("all names are looked up", LIMIT, || looked_up() >= ASSOCIATIONS * 16);
    let mut served = Vec::new();
    for number in 0..400 {
        let asked = ask(address, 0, b"\x01\0\x03\x08echo.i2p\0\x50");
        let descriptors = costs(&proxy).1;
        match asked.unwrap_or_else(|error| panic!("{number}: {error}; {descriptors} descriptors")) {
            (client, [0, ..]) => served.push(client),
            (_, reply) => assert_eq!(reply[0], 1, "there is no room"),
        }
    }
    assert!(!proxy.said().contains("no connection can be accepted"), "{}", proxy.said());
    // 256 are reserved for everything else, and 32 times 19 for datagrams. Each connection takes two of the rest, and so does each
    // client with datagrams.
    assert_eq!(served.len(), (1_200 - 256 - 32 * 19) / 2 - ASSOCIATIONS, "{}", proxy.said());
}

//! The listener for contained programs: each run is a client of its own, whatever the tunnel says about ordinary clients.

use std::{
    fs::{self, Permissions},
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use i2p_name::{I2pName, VirtualOptions};
use i2p_sam::{Bridge, DatagramStyle, SessionOptions};
use i2p_tunnel::{
    AccessPolicy, AddressPool, Admission, Authentication, Caps, Client, ClientAddress, ClientCredentials,
    ClientProtocol, DatagramOptions, DatagramPool, Dial, Failure, Isolate, IsolationKey, Limits, Listeners,
    Outproxies, PoolOptions, Routes, Routing, SamDialler, Service, SessionPolicy, SessionPool, Users, serve,
};
use rustix::process::Uid;
use sam_testkit::{Dialect, Endpoint, TestBridge};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket, UnixStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::common::{
    address_in, binary, domain,
    exit::{Exit, GRANTED, route},
    socks4a_request, socks5_request,
};

/// Generous: tests wait this long only if something is broken.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a datagram is waited for that must not arrive.
const SILENCE: Duration = Duration::from_millis(300);

const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;
const RESOLVE: u8 = 0xf0;

/// A service at a listener for contained programs and at one for everybody.
struct World {
    directory: TempDir,
    everybody: SocketAddr,
    addresses: AddressPool,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a service that `change` adapts. It carries datagrams.
async fn start(bridge: &TestBridge, change: impl Fn(Service<SamDialler>) -> Service<SamDialler>) -> World {
    for (host, endpoint) in [("whoami.i2p", Endpoint::Whoami), ("echo.i2p", Endpoint::Echo)] {
        bridge.host(host, endpoint);
    }
    let sam = Bridge::new(bridge.address()).with_udp_address(bridge.udp_address().parse().unwrap());
    let session = SessionOptions::default().lend(true);
    let max_sessions = NonZeroUsize::new(8).unwrap();
    let pool = SessionPool::new(sam, PoolOptions { session, max_sessions, ..PoolOptions::default() });
    pool.first_ready().await.unwrap();
    let datagrams = DatagramOptions { style: DatagramStyle::Datagram, ..DatagramOptions::default() };
    let dialler = SamDialler::new(pool).with_datagrams(DatagramPool::new(datagrams));
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let admission = Admission::default();
    let linger = Duration::from_millis(300);
    let service = || {
        let service = Service::new("test", dialler.clone(), addresses.clone())
            .with_limits(Limits { half_close: linger, linger, ..Limits::default() })
            .with_admission(admission.clone());
        change(service)
    };
    let directory = tempfile::tempdir().unwrap();
    let contained = Listeners::bind_for_contained_programs(&directory.path().join("s")).await.unwrap();
    let others = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let everybody = others.addresses().unwrap()[0].tcp().unwrap();
    let stop = CancellationToken::new();
    for (listeners, service) in [(contained, service().for_contained_programs()), (others, service())] {
        let (_, service) = watch::channel(Arc::new(service));
        tokio::spawn(serve(listeners, service, stop.clone()));
    }
    World { directory, everybody, addresses, stop }
}

fn isolated_by(isolate: Isolate) -> impl Fn(Service<SamDialler>) -> Service<SamDialler> {
    move |service| service.with_sessions(SessionPolicy { isolate, ..SessionPolicy::default() })
}

/// A greeting that offers credentials alone, credentials, and a request in one write. `address` begins with ATYP.
fn request(run: &str, command: u8, address: &[u8], port: u16) -> Vec<u8> {
    let credentials = [&[1, 3][..], b"run", &[u8::try_from(run.len()).unwrap()], run.as_bytes()].concat();
    [&[5, 1, 2][..], &credentials, &[5, command, 0], address, &port.to_be_bytes()].concat()
}

/// Sends a request, and returns its reply.
async fn ask<T: AsyncReadExt + AsyncWriteExt + Unpin>(mut client: T, request: &[u8]) -> (T, [u8; 10]) {
    client.write_all(request).await.unwrap();
    let mut answer = [0; 14];
    timeout(TIMEOUT, client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer[..5], [5, 2, 1, 0, 5], "any password is accepted");
    (client, answer[4..].try_into().unwrap())
}

/// Reads the destination that the far end sees.
async fn destination(client: impl AsyncReadExt + AsyncWriteExt + Unpin, run: &str) -> String {
    let (mut client, reply) = ask(client, &request(run, CONNECT, &domain("whoami.i2p"), 7)).await;
    assert_eq!(reply[1], 0, "{run}");
    let mut destination = String::new();
    timeout(TIMEOUT, client.read_to_string(&mut destination)).await.unwrap().unwrap();
    assert!(destination.len() > 500, "{destination}");
    destination
}

impl World {
    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path()).await.unwrap()
    }

    /// Sends bytes, and returns all bytes that the proxy sends until it closes.
    async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        timeout(TIMEOUT, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        answer
    }

    async fn destination_of_run(&self, run: &str) -> String {
        destination(self.connect().await, run).await
    }

    async fn destination_of_another(&self, user: &str) -> String {
        destination(TcpStream::connect(self.everybody).await.unwrap(), user).await
    }

    /// The address that a run gets for a name, or the code of the refusal.
    async fn resolve(&self, host: &str) -> Result<IpAddr, u8> {
        let answer = self.exchange(&request("a", RESOLVE, &domain(host), 0)).await;
        address_in(&answer[4..])
    }
}

#[tokio::test]
async fn each_run_has_a_destination_of_its_own_whatever_isolates_others() {
    for isolate in [Isolate::NONE, Isolate { client: true, ..Isolate::NONE }, Isolate::default()] {
        let bridge = TestBridge::start().await;
        let world = start(&bridge, isolated_by(isolate)).await;
        let (a, b) = (world.destination_of_run("a").await, world.destination_of_run("b").await);
        assert_ne!(a, b, "{isolate:?}");
        assert_eq!(world.destination_of_run("a").await, a, "{isolate:?}");
        let another = world.destination_of_another("a").await;
        assert!(another != a && another != b, "the same name and password elsewhere: {isolate:?}");
    }
}

#[tokio::test]
async fn a_run_needs_no_password_of_a_user_and_has_to_say_which_run_it_is() {
    let bridge = TestBridge::start().await;
    let entry = Users::entry("anna", b"secret").unwrap();
    let authentication = Authentication::Required(Users::parse(&entry).unwrap());
    let access = AccessPolicy { authentication, ..AccessPolicy::default() };
    let world = start(&bridge, |service| service.with_access(access.clone())).await;
    world.destination_of_run("a").await;
    assert_eq!(world.exchange(&socks5_request("whoami.i2p", 7)).await, [5, 0xff]);
    assert_eq!(world.exchange(&socks4a_request("whoami.i2p", 7)).await[1], 93, "SOCKS4 has no passwords");
    for head in [
        "CONNECT whoami.i2p:80 HTTP/1.1\r\n\r\n",
        "GET http://whoami.i2p/ HTTP/1.1\r\nHost: whoami.i2p\r\n\r\n",
    ] {
        let answer = String::from_utf8(world.exchange(head.as_bytes()).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    }
}

#[tokio::test]
async fn failures_are_told_by_extended_codes() {
    let bridge = TestBridge::start().await;
    let world = start(&bridge, isolated_by(Isolate::default())).await;
    for (host, code) in
        [("unknown.i2p", 0xf0), ("example.com", 2), ("localhost", 2), ("a.i2p SILENT=true", 0xf6)]
    {
        let answer = world.exchange(&request("a", CONNECT, &domain(host), 7)).await;
        assert_eq!(answer[..6], [5, 2, 1, 0, 5, code], "{host}");
    }
}

#[tokio::test]
async fn names_are_found_out_and_get_no_address() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let routes = vec![route("*.rejected.example", "1-65535", &[]), route("*.example", "443", &["exit"])];
    let world = start(&bridge, |service| {
        let outproxies = Outproxies::new(vec![exit.over_tcp(i2p_tunnel::OutproxyProtocol::Socks5)]).unwrap();
        service.with_routing(Routing::new(Arc::new(Routes::new(routes.clone())), outproxies).unwrap())
    })
    .await;
    let exists = Ok(IpAddr::from(Ipv4Addr::UNSPECIFIED));
    for (host, expected) in [
        ("echo.i2p", exists),
        ("unknown.i2p", Err(0xf0)),
        ("www.example", exists),
        ("a.rejected.example", Err(2)),
        ("example.com", Err(2)),
        ("localhost", Err(2)),
    ] {
        assert_eq!(world.resolve(host).await, expected, "{host}");
    }
    assert_eq!(world.addresses.in_use(), 0, "a run keeps its addresses itself");
    assert_eq!(exit.requests(), [""; 0], "the outproxy is asked only to connect");
}

#[tokio::test]
async fn a_run_that_takes_all_it_can_leaves_places_to_its_user() {
    let bridge = TestBridge::start().await;
    let caps = Caps { connections: 8, ..Caps::default() };
    let admission = Admission::new(caps);
    let world = start(&bridge, |service| service.with_admission(admission.clone())).await;
    let mut taken = Vec::new();
    let refused = loop {
        let (client, reply) =
            ask(world.connect().await, &request("a", CONNECT, &domain("echo.i2p"), 7)).await;
        if reply[1] != 0 {
            break reply[1];
        }
        taken.push(client);
    };
    assert_eq!(
        (taken.len(), refused),
        (5, 1),
        "one of the six places of all runs is left, and then no place"
    );
    world.destination_of_another("a").await;
}

/// A process with a run of its own. It ends with this.
struct Run(std::process::Child);

impl Run {
    fn start() -> Self {
        Self(std::process::Command::new("sleep").arg("1000").spawn().unwrap())
    }

    /// The destination of the run, or why it has none.
    async fn destination(&self, dialler: &SamDialler) -> Result<String, Failure> {
        let process = self.0.id();
        let client = Client {
            address: ClientAddress::Contained(process),
            listener: "exec".into(),
            protocol: ClientProtocol::Socks5,
            credentials: ClientCredentials::Run(b"run".into(), process.to_be_bytes().into()),
        };
        let key = IsolationKey::of_client(Isolate::default(), None, &client);
        let mut opened = dialler.dial(&key, &I2pName::parse("whoami.i2p").unwrap(), 80).await?;
        let mut destination = opened.first_data;
        timeout(TIMEOUT, opened.socket.read_to_end(&mut destination)).await.unwrap().unwrap();
        Ok(String::from_utf8(destination).unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_new_run_gets_the_session_of_one_that_has_ended_and_not_the_only_one_of_another() {
    let bridge = TestBridge::start().await;
    bridge.host("whoami.i2p", Endpoint::Whoami);
    // All runs together have three quarters.
    let max_sessions = NonZeroUsize::new(4).unwrap();
    let options = PoolOptions { max_sessions, delay_open: true, ..PoolOptions::default() };
    let dialler = SamDialler::new(SessionPool::new(Bridge::new(bridge.address()), options));
    let live = [Run::start(), Run::start()];
    let [a, b] = live.each_ref().map(|run| run.destination(&dialler));
    let destinations = [a.await.unwrap(), b.await.unwrap()];
    let mut last = Run::start();
    for _ in 0..6 {
        assert!(last.destination(&dialler).await.is_ok(), "in quick succession");
        last = Run::start();
    }
    let third = last;
    assert!(third.destination(&dialler).await.is_ok());
    let fourth = Run::start();
    assert_eq!(fourth.destination(&dialler).await, Err(Failure::SessionShare));
    drop(third);
    assert!(fourth.destination(&dialler).await.is_ok());
    for (run, destination) in live.iter().zip(destinations) {
        assert_eq!(run.destination(&dialler).await, Ok(destination));
    }
}

/// A thread has a user of its own, which the kernel tells the listener.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn other_users_are_let_go_without_a_word() {
    let bridge = TestBridge::start().await;
    let world = start(&bridge, isolated_by(Isolate::default())).await;
    assert_eq!(fs::metadata(world.path()).unwrap().mode() & 0o777, 0o600);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let as_stranger = |path: PathBuf| {
        let stranger = std::thread::spawn(move || {
            let user = Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            let mut client = std::os::unix::net::UnixStream::connect(path)?;
            let mut answer = Vec::new();
            client.set_read_timeout(Some(TIMEOUT))?;
            client.read_to_end(&mut answer).map(|_| answer)
        });
        tokio::task::spawn_blocking(move || stranger.join().unwrap())
    };
    fs::set_permissions(world.directory.path(), Permissions::from_mode(0o755)).unwrap();
    let refused = as_stranger(world.path()).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "by the permissions of the file");
    fs::set_permissions(world.path(), Permissions::from_mode(0o666)).unwrap();
    assert_eq!(as_stranger(world.path()).await.unwrap().unwrap(), b"", "and by the listener");
    world.destination_of_run("a").await;
}

#[tokio::test]
async fn only_the_socket_that_a_run_names_can_send_its_datagrams() {
    let bridge = TestBridge::start_as(Dialect::Java).await;
    let world = start(&bridge, isolated_by(Isolate::default())).await;
    let (own, stranger) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let port = own.local_addr().unwrap().port();
    for (address, port) in [([127, 0, 0, 1], 0), ([0, 0, 0, 0], port), ([192, 0, 2, 1], port)] {
        let request = request("a", UDP_ASSOCIATE, &binary(address.into()), port);
        assert_eq!(ask(world.connect().await, &request).await.1[1], 8, "{address:?}:{port}");
    }
    let request = request("a", UDP_ASSOCIATE, &binary([127, 0, 0, 1].into()), port);
    let (control, reply) = ask(world.connect().await, &request).await;
    let [5, 0, 0, 1, 127, 0, 0, 1, high, low] = reply else { panic!("{reply:?}") };
    let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::from_be_bytes([high, low])));
    let datagram = |data: &[u8]| [&[0; 3][..], &domain("echo.i2p"), &[0, 7], data].concat();
    let sent = bridge.datagrams().len();
    stranger.send_to(&datagram(b"injected"), relay).await.unwrap();
    sleep(SILENCE).await;
    own.send_to(&datagram(b"own"), relay).await.unwrap();
    let mut buffer = [0; 512];
    let (length, from) = timeout(TIMEOUT, own.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((from, &buffer[..length]), (relay, &datagram(b"own")[..]), "the first one that was sent");
    assert_eq!(bridge.datagrams().len(), sent + 1);
    assert!(timeout(SILENCE, stranger.recv_from(&mut buffer)).await.is_err());
    drop(control);
}

//! Outproxies in this process with scripted answers, and a proxy that uses them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use i2p_name::{I2pName, VirtualOptions};
use i2p_sam::{BackOff, Bridge};
use i2p_tunnel::{
    AddressPool, Limits, Outproxies, OutproxyAt, OutproxyDefinition, OutproxyProtocol, OutproxyStatus,
    PoolOptions, Route, Routes, Routing, SamDialler, Service, SessionLimits, SessionPool, Via,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener},
    task::JoinHandle,
};

use super::{Proxy, start_service};

/// How an exit answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// SOCKS5: chooses this method, accepts any credentials and replies with this code. With code 0, sends its name in the same
    /// segment, echoes all data, and sends "over" after the client's end.
    Socks5 { method: u8, code: u8 },
    /// HTTP: reads a request head, sends this head and its name in the same segment, and echoes all data.
    Http(&'static str),
    /// Sends these bytes at once, and keeps reading.
    Raw(Vec<u8>),
    /// Sends this byte every second without end, and reads nothing.
    Drip(u8),
    /// SOCKS5: chooses no authentication, and is silent after the request.
    Slow,
    /// Reads and sends nothing.
    Silent,
    /// Closes at once.
    Close,
}

pub(crate) const GRANTED: Answer = Answer::Socks5 { method: 0, code: 0 };

pub(crate) fn refusal(code: u8) -> Answer {
    Answer::Socks5 { method: 0, code }
}

/// An exit that listens until this is dropped.
pub(crate) struct Exit {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    name: &'static str,
    answer: Mutex<Answer>,
    requests: Mutex<Vec<String>>,
}

impl Drop for Exit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exit {
    pub(crate) async fn start(name: &'static str, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared::new(name, answer);
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { name, port, shared, task }
    }

    pub(crate) fn start_at(path: &Path, name: &'static str, answer: Answer) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let shared = Shared::new(name, answer);
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { name, port: 0, shared, task }
    }

    /// Sets the answer to later connections.
    pub(crate) fn set_answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// The requests so far: `HOST:PORT USER:PASSWORD` in SOCKS5, request heads in HTTP.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The number of requests since the last call. Forgets them.
    pub(crate) fn take_request_count(&self) -> usize {
        std::mem::take(&mut *self.shared.requests.lock().unwrap()).len()
    }

    /// Stops the exit. Its port is free once this returns.
    pub(crate) async fn end(mut self) -> OutproxyDefinition {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.over_tcp(OutproxyProtocol::Socks5)
    }

    /// A definition of this exit over TCP.
    pub(crate) fn over_tcp(&self, protocol: OutproxyProtocol) -> OutproxyDefinition {
        self.at(OutproxyAt::Tcp(vec![([127, 0, 0, 1], self.port).into()]), protocol)
    }

    /// A definition of this exit in I2P.
    pub(crate) fn in_i2p(&self, protocol: OutproxyProtocol) -> OutproxyDefinition {
        let name = I2pName::parse(&format!("{}-exit.i2p", self.name)).unwrap();
        self.at(OutproxyAt::I2p(name, self.port), protocol)
    }

    pub(crate) fn at(&self, at: OutproxyAt, protocol: OutproxyProtocol) -> OutproxyDefinition {
        OutproxyDefinition { name: self.name.into(), at, protocol, credentials: None, pass_isolation: true }
    }
}

impl Shared {
    fn new(name: &'static str, answer: Answer) -> Arc<Self> {
        Arc::new(Self { name, answer: Mutex::new(answer), requests: Mutex::default() })
    }

    fn record(&self, request: String) {
        self.requests.lock().unwrap().push(request);
    }

    async fn serve(self: Arc<Self>, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let answer = self.answer.lock().unwrap().clone();
        // Errors are ignored: clients that do not wait for the answer break the connection.
        let _ = self.converse(&mut stream, answer).await;
    }

    async fn converse(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        answer: Answer,
    ) -> std::io::Result<()> {
        match answer {
            Answer::Socks5 { method, code } => {
                let request = socks5(stream, method).await?;
                self.record(request);
                let reply = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
                if code != 0 {
                    return stream.write_all(&reply).await;
                }
                stream.write_all(&[&reply, self.name.as_bytes()].concat()).await?;
                echo(stream).await
            }
            Answer::Http(head) => {
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    read.push(stream.read_u8().await?);
                }
                self.record(String::from_utf8(read).unwrap());
                stream.write_all(format!("{head}\r\n\r\n{}", self.name).as_bytes()).await?;
                echo(stream).await
            }
            Answer::Raw(bytes) => {
                self.record(String::new());
                stream.write_all(&bytes).await?;
                read_on(stream).await
            }
            Answer::Drip(byte) => {
                self.record(String::new());
                loop {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Answer::Slow => {
                let request = socks5(stream, 0).await?;
                self.record(request);
                read_on(stream).await
            }
            Answer::Silent => {
                self.record(String::new());
                read_on(stream).await
            }
            Answer::Close => {
                self.record(String::new());
                Ok(())
            }
        }
    }
}

async fn read_on(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.write_all(b"over").await,
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// The server's side of a SOCKS5 handshake, written by hand so that our own crate is not tested against itself.
async fn socks5(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), method: u8) -> std::io::Result<String> {
    assert_eq!(stream.read_u8().await?, 5);
    let mut methods = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut methods).await?;
    assert!(methods.contains(&method), "{method} was not offered: {methods:?}");
    stream.write_all(&[5, method]).await?;
    let mut who = String::new();
    if method == 2 {
        assert_eq!(stream.read_u8().await?, 1);
        who = format!(" {}:{}", counted(stream).await?, counted(stream).await?);
        stream.write_all(&[1, 0]).await?;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        3 => counted(stream).await?,
        4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
        other => panic!("address type {other}"),
    };
    Ok(format!("{host}:{}{who}", stream.read_u16().await?))
}

async fn counted(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut text = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).unwrap())
}

pub(crate) fn route(host: &str, ports: &str, via: &[&str]) -> Route {
    let via = match via {
        [] => Via::Reject,
        names => Via::Outproxies(names.iter().map(|name| Arc::from(*name)).collect()),
    };
    Route { host: host.parse().unwrap(), ports: ports.parse().unwrap(), via }
}

/// A route that sends all hosts and ports to these outproxies.
pub(crate) fn all_via(names: &[&str]) -> Vec<Route> {
    vec![route("*", "1-65535", names)]
}

/// A proxy with routes and outproxies.
pub(crate) struct Routed {
    pub(crate) proxy: Proxy,
    pub(crate) outproxies: Outproxies,
}

/// Starts a proxy with these routes and outproxies. The router knows names of the form `NAME-exit.i2p`; the bridge connects
/// streams to them to the port of the definition.
pub(crate) async fn routed(
    bridge: &TestBridge,
    routes: Vec<Route>,
    definitions: Vec<OutproxyDefinition>,
) -> Routed {
    routed_within(bridge, routes, definitions, Limits::default().dial).await
}

/// Like [`routed`], with this limit for dialling.
pub(crate) async fn routed_within(
    bridge: &TestBridge,
    routes: Vec<Route>,
    definitions: Vec<OutproxyDefinition>,
    dial: Duration,
) -> Routed {
    for definition in &definitions {
        if let OutproxyAt::I2p(name, _) = &definition.at {
            bridge.on("STREAM CONNECT", [Act::Dial]);
            let name = name.to_string();
            if name.ends_with("-exit.i2p") {
                bridge.host(&name, Endpoint::Echo);
            }
        }
    }
    let waits = SessionLimits { router: Duration::from_millis(300), ..SessionLimits::default() };
    let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
    let options = PoolOptions { back_off, ..PoolOptions::default() };
    let pool = SessionPool::new(Bridge::new(bridge.address()), options);
    pool.first_ready().await.unwrap();
    let dialler = SamDialler::new(pool.clone()).with_limits(waits);
    let outproxies = Outproxies::new(definitions).unwrap();
    let routing = Routing::new(Arc::new(Routes::new(routes)), outproxies.clone()).unwrap();
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let limit = Duration::from_millis(300);
    let limits = Limits { dial, half_close: limit, linger: limit, ..Limits::default() };
    let service = Service::new("test", dialler, addresses).with_limits(limits).with_routing(routing);
    let proxy = start_service(service, pool).await;
    Routed { proxy, outproxies }
}

impl Routed {
    /// Connects to a host and exchanges data. Returns the name of the exit that connected, or the code of the refusal.
    pub(crate) async fn outproxy_for(&self, host: &str, port: u16) -> Result<String, u8> {
        self.outproxy_for_user(host, port, None).await
    }

    /// Like [`outproxy_for`](Self::outproxy_for), for a client with this user name and password.
    pub(crate) async fn outproxy_for_user(
        &self,
        host: &str,
        port: u16,
        who: Option<(&str, &str)>,
    ) -> Result<String, u8> {
        self.outproxy_for_client(self.proxy.connect().await, host, port, who).await
    }

    /// Like [`outproxy_for_user`](Self::outproxy_for_user), for a client on the machine with this number. Clients on the same machine
    /// as the proxy are on machine 1.
    pub(crate) async fn outproxy_for_machine(
        &self,
        machine: u8,
        host: &str,
        who: Option<(&str, &str)>,
    ) -> Result<String, u8> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, machine], 0).into()).unwrap();
        let client = socket.connect(self.proxy.address).await.unwrap();
        self.outproxy_for_client(client, host, 80, who).await
    }

    async fn outproxy_for_client(
        &self,
        mut client: TcpStream,
        host: &str,
        port: u16,
        who: Option<(&str, &str)>,
    ) -> Result<String, u8> {
        let host = super::domain(host);
        let request = [&[5, 1, 0][..], &host, &port.to_be_bytes()].concat();
        match who {
            None => client.write_all(&[&[5, 1, 0][..], &request].concat()).await.unwrap(),
            Some((user, password)) => {
                let counted = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
                let login = [&[5, 1, 2, 1][..], &counted(user), &counted(password), &request].concat();
                client.write_all(&login).await.unwrap();
                let mut status = [0; 2];
                client.read_exact(&mut [0; 2]).await.unwrap();
                client.read_exact(&mut status).await.unwrap();
                assert_eq!(status, [1, 0]);
                return answered(client).await;
            }
        }
        client.read_exact(&mut [0; 2]).await.unwrap();
        answered(client).await
    }

    /// The status of the outproxy of this name.
    pub(crate) fn status(&self, name: &str) -> OutproxyStatus {
        self.outproxies.status().into_iter().find(|status| &*status.name == name).unwrap()
    }
}

async fn answered(mut client: TcpStream) -> Result<String, u8> {
    let mut reply = [0; 10];
    client.read_exact(&mut reply).await.unwrap();
    if reply[1] != 0 {
        return Err(reply[1]);
    }
    client.write_all(b"!there and back").await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"!there and back") {
        assert!(client.read_buf(&mut said).await.unwrap() > 0, "{said:?}");
    }
    Ok(String::from_utf8(said).unwrap().trim_end_matches("!there and back").to_owned())
}

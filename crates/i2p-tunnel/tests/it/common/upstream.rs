//! A SOCKS5 server with UDP ASSOCIATE in this process, with scripted behaviour.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use i2p_tunnel::{OutproxyAt, OutproxyDefinition, OutproxyProtocol};
use socks_wire::{
    Address, Authentication, Command,
    stream::{Accepted, OwnedAddress, accept},
    udp, v4, v5,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinHandle,
};

/// What an upstream does with a request for an association.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Grants it at its own address, and echoes datagrams.
    Echo,
    /// Like `Echo`, with an unspecified address in the reply.
    EchoAnywhere,
    /// Like `Echo`, and sends these datagrams before each echo.
    Say(Vec<Vec<u8>>),
    /// Refuses it with this code.
    Refuse(u8),
    /// Grants it at another address.
    Elsewhere(IpAddr),
    /// Accepts the connection and sends nothing.
    Silent,
    /// Grants it, and closes the connection at the first datagram.
    Close,
}

/// An upstream that listens until this is dropped.
pub(crate) struct Upstream {
    name: &'static str,
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    seen: watch::Sender<Seen>,
}

/// What an upstream has received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// User name and password of each requested association.
    pub(crate) associations: Vec<Option<(String, String)>>,
    /// The number of open associations.
    pub(crate) alive: usize,
    /// Host, port and data of each datagram.
    pub(crate) datagrams: Vec<(String, u16, Vec<u8>)>,
    /// Their source and destination addresses.
    pub(crate) between: Vec<(SocketAddr, SocketAddr)>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub(crate) async fn start(name: &'static str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { behaviour: Mutex::new(behaviour), seen: watch::Sender::default() });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { name, port, shared, task }
    }

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    pub(crate) fn definition(&self) -> OutproxyDefinition {
        OutproxyDefinition {
            name: self.name.into(),
            at: OutproxyAt::Tcp(vec![([127, 0, 0, 1], self.port).into()]),
            protocol: OutproxyProtocol::Socks5,
            credentials: None,
            pass_isolation: true,
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// Waits until what was received meets a condition.
    pub(crate) async fn until(&self, is_so: impl FnMut(&Seen) -> bool) {
        let mut seen = self.shared.seen.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(20), seen.wait_for(is_so)).await;
        assert!(waited.is_ok(), "{:?}", self.seen());
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let limit = Duration::from_secs(60);
        let Ok(accepted) = accept(stream, Authentication::Isolation, limit, |_| true).await else { return };
        let request = accepted.request();
        assert_eq!((request.command, request.port), (Command::UDP_ASSOCIATE, 0));
        assert_eq!(request.address, OwnedAddress::Ip(Ipv4Addr::UNSPECIFIED.into()));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let who = request.credentials.as_ref().map(|(name, password)| (text(name), text(password)));
        self.seen.send_modify(|seen| {
            seen.associations.push(who);
            seen.alive += 1;
        });
        self.associate(accepted).await;
        self.seen.send_modify(|seen| seen.alive -= 1);
    }

    async fn associate(&self, accepted: Accepted<TcpStream>) {
        let behaviour = self.behaviour.lock().unwrap().clone();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = socket.local_addr().unwrap();
        let at = match behaviour {
            Behaviour::Refuse(code) => {
                accepted.refuse(v5::ReplyCode(code), v4::ReplyCode::REJECTED).await.unwrap();
                return;
            }
            Behaviour::Silent => return std::future::pending().await,
            Behaviour::EchoAnywhere => Ipv4Addr::UNSPECIFIED.into(),
            Behaviour::Elsewhere(at) => at,
            Behaviour::Echo | Behaviour::Say(_) | Behaviour::Close => relay.ip(),
        };
        let (mut control, early) = accepted.grant_at(Address::Ip(at), relay.port()).await.unwrap();
        assert_eq!(early, b"");
        let mut buffer = vec![0; 65_535];
        loop {
            tokio::select! {
                said = control.read_u8() => return assert!(said.is_err(), "no data is sent on the control connection"),
                received = socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    self.datagram(&buffer[..length], (from, relay));
                    match &*self.behaviour.lock().unwrap() {
                        Behaviour::Close => return,
                        Behaviour::Say(before) => {
                            for said in before {
                                socket.try_send_to(said, from).unwrap();
                            }
                        }
                        _ => {}
                    }
                    socket.try_send_to(&buffer[..length], from).unwrap();
                }
            }
        }
    }

    fn datagram(&self, datagram: &[u8], between: (SocketAddr, SocketAddr)) {
        let (header, data) = udp::Header::split(datagram).unwrap();
        assert_eq!(header.fragment, udp::Fragment::STANDALONE);
        let host = match header.address {
            Address::Ip(address) => address.to_string(),
            Address::Domain(name) => format!("name {}", std::str::from_utf8(name).unwrap()),
        };
        self.seen.send_modify(|seen| {
            seen.datagrams.push((host, header.port, data.to_vec()));
            seen.between.push(between);
        });
    }
}

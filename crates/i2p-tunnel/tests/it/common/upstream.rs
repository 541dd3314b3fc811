//! A SOCKS5 server with UDP ASSOCIATE in this process, which does as it is told.

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

/// What an upstream does with an association.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Grants it at its own address, and sends datagrams back as they came.
    Echo,
    /// The same, by an unspecified address.
    EchoAnywhere,
    /// Sends these before each echo.
    Say(Vec<Vec<u8>>),
    /// Refuses it with this code.
    Refuse(u8),
    /// Grants it at another address.
    Elsewhere(IpAddr),
    /// Takes the connection and says nothing.
    Silent,
    /// Grants it, and closes at the first datagram.
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
    does: Mutex<Does>,
    seen: watch::Sender<Seen>,
}

/// What has come to an upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Username and password of each association that was asked for.
    pub(crate) associations: Vec<Option<(String, String)>>,
    /// Associations that are there now.
    pub(crate) alive: usize,
    /// Host, port and data of each datagram.
    pub(crate) datagrams: Vec<(String, u16, Vec<u8>)>,
    /// Where they came from, and where to.
    pub(crate) between: Vec<(SocketAddr, SocketAddr)>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub(crate) async fn start(name: &'static str, does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { does: Mutex::new(does), seen: watch::Sender::default() });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { name, port, shared, task }
    }

    pub(crate) fn does(&self, does: Does) {
        *self.shared.does.lock().unwrap() = does;
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

    /// Waits until what has been seen is so.
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
        let does = self.does.lock().unwrap().clone();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = socket.local_addr().unwrap();
        let at = match does {
            Does::Refuse(code) => {
                accepted.refuse(v5::ReplyCode(code), v4::ReplyCode::REJECTED).await.unwrap();
                return;
            }
            Does::Silent => return std::future::pending().await,
            Does::EchoAnywhere => Ipv4Addr::UNSPECIFIED.into(),
            Does::Elsewhere(at) => at,
            Does::Echo | Does::Say(_) | Does::Close => relay.ip(),
        };
        let (mut control, early) = accepted.grant_at(Address::Ip(at), relay.port()).await.unwrap();
        assert_eq!(early, b"");
        let mut buffer = vec![0; 65_535];
        loop {
            tokio::select! {
                said = control.read_u8() => return assert!(said.is_err(), "nothing is said there"),
                received = socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    self.datagram(&buffer[..length], (from, relay));
                    match &*self.does.lock().unwrap() {
                        Does::Close => return,
                        Does::Say(before) => {
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

//! A UDP client that sends nothing does not ask for a session: its association only looks whether there is one again.

use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use i2p_name::{B32, Destination, I2pName, VirtualOptions};
use i2p_tunnel::{
    AddressPool, Datagrams, Dial, Failure, IsolationKey, Listeners, NoListening, OpenStream,
    ReceivedDatagram, Service, SessionMark, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, pause, sleep},
};
use tokio_util::sync::CancellationToken;

/// How often an association must look before the session is there again.
const LOOKS: usize = 5;

/// A dialler whose first channel is lost at once.
#[derive(Default)]
struct Lossy {
    associated: AtomicUsize,
    looked: AtomicUsize,
    waited: AtomicUsize,
}

struct Dialler(Arc<Lossy>);

impl Dial for Dialler {
    type Datagrams = Channel;
    type Listening = NoListening;

    async fn dial(&self, _: &IsolationKey, _: &I2pName, _: u16) -> Result<OpenStream, Failure> {
        Err(Failure::RouterUnavailable)
    }

    async fn prepare(&self, _: &IsolationKey) -> Result<(), Failure> {
        self.0.waited.fetch_add(1, Relaxed);
        pending().await
    }

    fn session_now(&self, _: &IsolationKey) -> Option<SessionMark> {
        (self.0.looked.fetch_add(1, Relaxed) + 1 >= LOOKS).then(SessionMark::default)
    }

    async fn lookup(&self, _: &IsolationKey, _: &I2pName) -> Result<(), Failure> {
        Err(Failure::RouterUnavailable)
    }

    async fn associate(&self, _: &IsolationKey) -> Result<Channel, Failure> {
        Ok(Channel { is_lost: self.0.associated.fetch_add(1, Relaxed) == 0 })
    }
}

struct Channel {
    is_lost: bool,
}

impl Datagrams for Channel {
    type Peer = B32;

    const BUFFER_LENGTH: usize = 1024;

    fn peer(&self, destination: &Destination) -> B32 {
        destination.b32()
    }

    async fn send(&self, _: &B32, _: u16, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }

    async fn receive<'b>(&self, _: &'b mut [u8]) -> Result<ReceivedDatagram<'b>, Failure> {
        if self.is_lost { ready(Err(Failure::RouterUnavailable)).await } else { pending().await }
    }

    fn max_payload(&self) -> usize {
        Self::BUFFER_LENGTH
    }

    async fn destination(&self, _: &I2pName) -> Result<Destination, Failure> {
        Err(Failure::RouterUnavailable)
    }
}

#[tokio::test]
async fn an_idle_association_looks_for_its_session_after_random_pauses_and_never_waits_for_it() {
    let lossy = Arc::new(Lossy::default());
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("lossy", Dialler(Arc::clone(&lossy)), addresses);
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0].tcp().unwrap();
    let (_sender, service) = watch::channel(Arc::new(service));
    tokio::spawn(serve(listeners, service, CancellationToken::new()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    client.read_exact(&mut [0; 12]).await.unwrap();
    pause();
    let start = Instant::now();
    while lossy.associated.load(Relaxed) < 2 {
        assert!(start.elapsed() < Duration::from_secs(21 * LOOKS as u64), "it never returned");
        assert_eq!(lossy.waited.load(Relaxed), 0, "it waited for its session");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lossy.looked.load(Relaxed), LOOKS);
    // Five pauses of up to 20 s. All together are shorter than this once in 30,000 runs.
    assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
}

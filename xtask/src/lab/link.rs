//! A link with latency between the lab's namespace and a second one.
//!
//! It has a TUN device at each end: what one namespace routes into its device, this program reads, keeps for a while and
//! writes into the other device. To the kernel and the routers it is a link like any other.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_tun::Tun;

use super::{
    far::Far,
    latency::{End, Traffic, carry},
    namespace,
};

/// Bytes of a packet, at most; as an Ethernet has it.
const MTU: i32 = 1500;
/// How often the round trip is taken, of which the shortest counts: a busy machine makes it longer, nothing shorter.
const TRIES: usize = 5;
/// By how much the shortest may be longer than the link makes it: timers of a millisecond each way, and a busy machine.
const SLACK: Duration = Duration::from_millis(25);
/// How long a link may take to come to rest, and how often that is looked at.
const REST: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);
/// How long a connection over the link may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A link, as long as this exists.
pub(crate) struct Link {
    latency: Duration,
    traffic: Arc<Traffic>,
    carrying: [JoinHandle<io::Result<()>>; 2],
    /// Where connections over the link can be made, and nothing is said.
    far_listener: TcpListener,
}

impl Link {
    /// Joins the namespace of this thread, where `near` is, with the second one, where all of `far` are: IPv4 addresses that
    /// both have already. Packets take `latency` each way. Within a runtime.
    ///
    /// Fails where there is no TUN, and where a connection over the link does not take the time that it has to.
    pub(crate) fn lay(far: &Far, near: &str, beyond: &[String], latency: Duration) -> Result<Self> {
        let home = beyond.first().context("nobody at the far end")?;
        let here = device()?;
        for address in beyond {
            namespace::run(&format!("route add {address}/32 dev {} src {near}", here.name()))?;
        }
        let runtime = Handle::current();
        let (there, far_listener) = far.within(|| {
            let _entered = runtime.enter();
            let there = device()?;
            namespace::run(&format!("route add {near}/32 dev {} src {home}", there.name()))?;
            Ok((there, TcpListener::bind((home.as_str(), 0)).context("no listener at the far end")?))
        })?;
        let traffic = Arc::new(Traffic::default());
        let way = |from: &Arc<Tun>, to: &Arc<Tun>| {
            let (from, to, traffic) = (Arc::clone(from), Arc::clone(to), Arc::clone(&traffic));
            tokio::spawn(async move { carry(&*from, &*to, latency, &traffic).await })
        };
        let carrying = [way(&here, &there), way(&there, &here)];
        let link = Self { latency, traffic, carrying, far_listener };
        link.round_trip()?;
        Ok(link)
    }

    /// What a round trip over the link takes: connecting with TCP is one. Fails when that is not what the latency makes it.
    /// Blocks.
    pub(crate) fn round_trip(&self) -> Result<Duration> {
        let address = self.far_listener.local_addr()?;
        let tries = (0..TRIES).map(|_| connect(address)).collect::<Result<Vec<_>>>()?;
        let shortest = tries.into_iter().min().context("no try")?;
        let least = self.latency * 2;
        ensure!(
            (least..least + SLACK).contains(&shortest),
            "a round trip over a link of {:?} each way takes {shortest:?}",
            self.latency
        );
        Ok(shortest)
    }

    /// Waits until nothing has been sent for three times the latency: what one work leaves behind would slow the next one down.
    /// Not for ever: routers have things to say to each other that are nobody's work. Blocks.
    pub(crate) fn rest(&self) {
        let begin = Instant::now();
        let mut last = (self.traffic.taken(), begin);
        while last.1.elapsed() < self.latency * 3 && begin.elapsed() < REST {
            thread::sleep(LOOK);
            let taken = self.traffic.taken();
            if taken != last.0 {
                last = (taken, Instant::now());
            }
        }
    }

    /// Packets that found no room.
    pub(crate) fn lost(&self) -> u64 {
        self.traffic.lost()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.carrying.iter().for_each(JoinHandle::abort);
    }
}

/// A new device in the namespace of this thread.
fn device() -> Result<Arc<Tun>> {
    let made = Tun::builder().mtu(MTU).up().build().context("no TUN device can be made here")?;
    made.into_iter().next().map(Arc::new).context("no TUN device was made")
}

fn connect(address: SocketAddr) -> Result<Duration> {
    let begin = Instant::now();
    TcpStream::connect_timeout(&address, PATIENCE).context("no connection over the link")?;
    Ok(begin.elapsed())
}

impl End for Tun {
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.recv(buffer)
    }

    fn send(&self, packet: &[u8]) -> impl Future<Output = io::Result<()>> + Send {
        self.send_all(packet)
    }
}

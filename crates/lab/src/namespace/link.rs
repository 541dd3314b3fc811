//! A link with latency, loss and reordering between the namespace of the suite and a second one.
//!
//! It has a TUN device at each end. What one namespace routes into its device, this program reads, delays or loses, and writes
//! into the other device. To the kernel and the routers it is a link like any other.

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
    ip,
    latency::{Conditions, End, Traffic, carry},
    second::SecondNamespace,
};

/// The MTU of an Ethernet.
const MTU_BYTES: i32 = 1500;
/// How many times the round trip is measured. The shortest one counts: a busy machine makes it longer, nothing makes it shorter.
const ROUND_TRIPS: usize = 5;
/// How much longer the shortest round trip may be than twice the latency: timers tick in milliseconds, and the machine is busy.
const SLACK: Duration = Duration::from_millis(25);
/// How long to wait for a silent link, and how often to look.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long a connection over the link may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A link, which lasts as long as this value.
pub struct Link {
    conditions: Conditions,
    traffic: Arc<Traffic>,
    carrying: [JoinHandle<io::Result<()>>; 2],
    /// Takes connections over the link, to measure it.
    far_listener: TcpListener,
}

impl Link {
    /// Joins the namespace of this thread, which has the address `near`, with the second one, which has all addresses of `far`.
    /// They are IPv4 addresses that exist already. The conditions are those of each direction. Needs a runtime.
    ///
    /// Fails without TUN, and if connecting over the link takes another time than it should.
    pub fn new(second: &SecondNamespace, near: &str, far: &[String], conditions: Conditions) -> Result<Self> {
        let home = far.first().context("no address at the far end")?;
        let near_device = new_device()?;
        for address in far {
            ip(&format!("route add {address}/32 dev {} src {near}", near_device.name()))?;
        }
        let runtime = Handle::current();
        let (far_device, far_listener) = second.run(|| {
            let _entered = runtime.enter();
            let device = new_device()?;
            ip(&format!("route add {near}/32 dev {} src {home}", device.name()))?;
            Ok((device, TcpListener::bind((home.as_str(), 0)).context("no listener at the far end")?))
        })?;
        let traffic = Arc::new(Traffic::default());
        let one_way = |from: &Arc<Tun>, to: &Arc<Tun>, seed: u64| {
            let (from, to, traffic) = (Arc::clone(from), Arc::clone(to), Arc::clone(&traffic));
            tokio::spawn(
                async move { carry(&*from, &*to, Conditions { seed, ..conditions }, &traffic).await },
            )
        };
        let [there, back] = [conditions.seed, conditions.seed.wrapping_add(1)];
        let carrying = [one_way(&near_device, &far_device, there), one_way(&far_device, &near_device, back)];
        let link = Self { conditions, traffic, carrying, far_listener };
        link.round_trip()?;
        Ok(link)
    }

    /// Measures a round trip over the link by connecting with TCP. Fails unless it is about twice the latency. Blocks.
    pub fn round_trip(&self) -> Result<Duration> {
        let address = self.far_listener.local_addr()?;
        let times = (0..ROUND_TRIPS).map(|_| connect(address)).collect::<Result<Vec<_>>>()?;
        let shortest = times.into_iter().min().context("no round trip was measured")?;
        let expected = self.conditions.latency * 2;
        ensure!(
            (expected..expected + SLACK).contains(&shortest),
            "a round trip over a link of {:?} each way takes {shortest:?}",
            self.conditions.latency
        );
        Ok(shortest)
    }

    /// Waits until nothing has been sent for three times the latency, so that packets of one measurement do not slow the next
    /// one down. Gives up after a while, since routers also talk to each other by themselves. Blocks.
    pub fn wait_for_silence(&self) {
        let start = Instant::now();
        let mut last = (self.traffic.accepted(), start);
        while last.1.elapsed() < self.conditions.latency * 3 && start.elapsed() < SILENCE_TIMEOUT {
            thread::sleep(LOOK_INTERVAL);
            let accepted = self.traffic.accepted();
            if accepted != last.0 {
                last = (accepted, Instant::now());
            }
        }
    }

    /// The number of packets that the link has dropped because its queue was full.
    #[must_use]
    pub fn dropped_packets(&self) -> u64 {
        self.traffic.dropped()
    }

    /// The share of packets that the link has lost so far, as its conditions demand, in percent.
    #[must_use]
    pub fn lost_percent(&self) -> f64 {
        let (lost, accepted) = (self.traffic.lost() as f64, self.traffic.accepted() as f64);
        lost / (lost + accepted).max(1.0) * 100.0
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.carrying.iter().for_each(JoinHandle::abort);
    }
}

/// Makes a device in the namespace of this thread.
fn new_device() -> Result<Arc<Tun>> {
    let devices = Tun::builder().mtu(MTU_BYTES).up().build().context("no TUN device can be made here")?;
    devices.into_iter().next().map(Arc::new).context("no TUN device was made")
}

/// Connects, and returns how long that took.
fn connect(address: SocketAddr) -> Result<Duration> {
    let start = Instant::now();
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).context("no connection over the link")?;
    Ok(start.elapsed())
}

impl End for Tun {
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.recv(buffer)
    }

    fn send(&self, packet: &[u8]) -> impl Future<Output = io::Result<()>> + Send {
        self.send_all(packet)
    }
}

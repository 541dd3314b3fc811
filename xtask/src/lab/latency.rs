//! Latency: packets that arrive later than they were sent, in their order.
//!
//! What netem's `delay` does, on kernels that have none. A queue that is full loses the packet that comes, as a link does.

use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Packets under way in one direction, at most. With the largest packets that is 1.5 MB in 50 ms, or 30 MB/s: more than the
/// routers of a lab send.
const MOST: usize = 1024;
/// Bytes of a packet, at most: above the MTU of a device that was given none.
const LARGEST: usize = 2048;

/// One end of a link, where packets come from and go to.
pub(crate) trait End: Sync {
    /// The next packet, into `buffer`: how many bytes it has.
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Passes a packet on.
    fn send(&self, packet: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

/// What has come to a link, both ways together.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Packets that were taken.
    taken: AtomicU64,
    /// Packets that found no room.
    lost: AtomicU64,
}

impl Traffic {
    /// Packets that were taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Packets that found no room so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn count(&self, taken: bool) {
        let counter = if taken { &self.taken } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Packets that are under way.
struct UnderWay {
    latency: Duration,
    /// When each is to arrive. Since all take equally long, the first is always the next.
    packets: VecDeque<(Instant, Box<[u8]>)>,
}

impl UnderWay {
    fn new(latency: Duration) -> Self {
        Self { latency, packets: VecDeque::new() }
    }

    /// Takes a packet that comes now; says whether there was room.
    fn depart(&mut self, packet: &[u8], now: Instant) -> bool {
        let room = self.packets.len() < MOST;
        if room {
            self.packets.push_back((now + self.latency, packet.into()));
        }
        room
    }

    /// When the next one arrives.
    fn next(&self) -> Option<Instant> {
        self.packets.front().map(|(due, _)| *due)
    }

    /// One that has arrived by now.
    fn arrive(&mut self, now: Instant) -> Option<Box<[u8]>> {
        let due = self.next()?;
        if due <= now { self.packets.pop_front().map(|(_, packet)| packet) } else { None }
    }
}

/// Carries packets one way until an end fails. Each arrives `latency` after it came, and up to a millisecond later: that is
/// how often tokio looks at its clock.
pub(crate) async fn carry(
    from: &impl End,
    to: &impl End,
    latency: Duration,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut under_way = UnderWay::new(latency);
    let mut buffer = [0; LARGEST];
    loop {
        let next = under_way.next();
        let arrival = async {
            match next {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Arrivals first: on a busy link there is always one more packet to take.
            biased;
            () = arrival => {
                while let Some(packet) = under_way.arrive(Instant::now()) {
                    to.send(&packet).await?;
                }
            }
            length = from.receive(&mut buffer) => {
                let packet = buffer.get(..length?).unwrap_or_default();
                traffic.count(under_way.depart(packet, Instant::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        sync::{Mutex, mpsc},
        time::{sleep, timeout},
    };

    use super::*;

    const LATENCY: Duration = Duration::from_millis(50);

    /// An end in memory.
    struct Memory {
        comes: Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
        goes: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    }

    impl End for Memory {
        async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
            let packet = self.comes.lock().await.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer[..packet.len()].copy_from_slice(&packet);
            Ok(packet.len())
        }

        async fn send(&self, packet: &[u8]) -> io::Result<()> {
            self.goes.send((Instant::now(), packet.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    struct Link {
        sender: mpsc::UnboundedSender<Vec<u8>>,
        receiver: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        traffic: Arc<Traffic>,
    }

    /// A link that is one way, being carried over.
    fn link() -> Link {
        let ((sender, comes), (goes, receiver)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (_, nothing) = mpsc::unbounded_channel();
        let from = Memory { comes: Mutex::new(comes), goes: goes.clone() };
        let to = Memory { comes: Mutex::new(nothing), goes };
        let traffic = Arc::new(Traffic::default());
        let count = Arc::clone(&traffic);
        tokio::spawn(async move { carry(&from, &to, LATENCY, &count).await });
        Link { sender, receiver, traffic }
    }

    #[tokio::test(start_paused = true)]
    async fn each_packet_takes_as_long_and_they_keep_their_order() {
        let Link { sender, mut receiver, traffic } = link();
        let begin = Instant::now();
        let mut sent = Vec::new();
        for number in 0..100_u8 {
            sender.send(vec![number; usize::from(number) + 1]).unwrap();
            sent.push(begin.elapsed());
            // Some together, some apart, more of them under way at a time than one.
            sleep(Duration::from_millis(u64::from(number % 4) * 7)).await;
        }
        for (number, sent) in (0..100_u8).zip(sent) {
            let (arrived, packet) = receiver.recv().await.unwrap();
            assert_eq!(packet, vec![number; usize::from(number) + 1]);
            let took = arrived - begin - sent;
            assert!(took >= LATENCY && took <= LATENCY + Duration::from_millis(2), "{number}: {took:?}");
        }
        assert_eq!((traffic.taken(), traffic.lost()), (100, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_arrives_early() {
        let Link { sender, mut receiver, .. } = link();
        sender.send(vec![1]).unwrap();
        assert!(timeout(LATENCY - Duration::from_millis(2), receiver.recv()).await.is_err());
        assert!(timeout(Duration::from_millis(4), receiver.recv()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_loses_what_comes_and_says_so() {
        let Link { sender, mut receiver, traffic } = link();
        for number in 0..MOST + 10 {
            sender.send(number.to_be_bytes().to_vec()).unwrap();
        }
        for number in 0..MOST {
            assert_eq!(receiver.recv().await.unwrap().1, number.to_be_bytes());
        }
        assert!(timeout(LATENCY * 2, receiver.recv()).await.is_err(), "more arrived than fits");
        assert_eq!((traffic.taken(), traffic.lost()), (MOST as u64, 10));
        sender.send(vec![7]).unwrap();
        assert_eq!(receiver.recv().await.unwrap().1, [7], "there is room again");
    }

    #[tokio::test]
    async fn a_link_ends_with_its_end() {
        let Link { sender, mut receiver, .. } = link();
        drop(sender);
        assert!(receiver.recv().await.is_none());
    }
}

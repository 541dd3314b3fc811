//! Delays, loses and reorders packets.
//!
//! This is what netem's `delay`, `loss` and `reorder` do, for kernels without netem. Like a link, a full queue drops the packet
//! that arrives.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Instant, sleep_until};

/// Packets in flight in one direction, at most. With the largest packets that is 1.5 MB in 50 ms, or 30 MB/s: more than
/// routers of a lab send.
const MAX_PACKETS_IN_FLIGHT: usize = 1024;
/// Above the MTU that a device has by default.
const MAX_PACKET_BYTES: usize = 2048;

/// What happens to the packets of a link, in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// How long a packet takes.
    pub latency: Duration,
    /// How many packets of 100 are lost.
    pub lost_percent: u8,
    /// How many packets of 100 take longer, so that later ones overtake them.
    pub late_percent: u8,
    /// How much longer such a packet takes, at most. Each takes a random part of it.
    pub max_lateness: Duration,
    /// Decides which packets are lost and late. Runs with the same seed lose packets with the same numbers; routers do not send
    /// the same packets in each run.
    pub seed: u64,
}

impl Conditions {
    /// A link that only delays packets.
    #[must_use]
    pub const fn latency(latency: Duration) -> Self {
        Self { latency, lost_percent: 0, late_percent: 0, max_lateness: Duration::ZERO, seed: 0 }
    }
}

/// One end of a link.
pub(crate) trait End: Sync {
    /// Reads the next packet into `buffer` and returns its length.
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Sends a packet.
    fn send(&self, packet: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

/// Counts the packets of a link, both directions together.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    accepted: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
}

impl Traffic {
    /// Packets that the link has accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Packets that the link has dropped so far because its queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Packets that the link has lost so far, as its conditions demand.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn count(&self, fate: Fate) {
        let counter = match fate {
            Fate::Carried => &self.accepted,
            Fate::Dropped => &self.dropped,
            Fate::Lost => &self.lost,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Carried,
    /// There was no room for it.
    Dropped,
    /// The conditions demand it.
    Lost,
}

/// The packets in flight.
struct DelayQueue {
    conditions: Conditions,
    random: Rng,
    /// Each packet with its time of arrival. The number keeps the order of packets that arrive at the same time.
    packets: BTreeMap<(Instant, u64), Box<[u8]>>,
    next_number: u64,
}

impl DelayQueue {
    fn new(conditions: Conditions) -> Self {
        let random = Rng::with_seed(conditions.seed);
        Self { conditions, random, packets: BTreeMap::new(), next_number: 0 }
    }

    /// Accepts a packet that arrives now, unless it is lost or there is no room for it.
    fn push(&mut self, packet: &[u8], now: Instant) -> Fate {
        // Both are drawn for each packet, so that one setting does not change which packets the other one hits.
        let [is_lost, is_late] = [self.conditions.lost_percent, self.conditions.late_percent]
            .map(|percent| self.random.u8(..100) < percent);
        let lateness = self.conditions.max_lateness.mul_f64(self.random.f64());
        if is_lost {
            return Fate::Lost;
        }
        if self.packets.len() >= MAX_PACKETS_IN_FLIGHT {
            return Fate::Dropped;
        }
        let lateness = if is_late { lateness } else { Duration::ZERO };
        self.packets.insert((now + self.conditions.latency + lateness, self.next_number), packet.into());
        self.next_number += 1;
        Fate::Carried
    }

    /// When the next packet is due.
    fn next_due(&self) -> Option<Instant> {
        self.packets.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes out the next packet if it is due.
    fn pop_due(&mut self, now: Instant) -> Option<Box<[u8]>> {
        let due = self.next_due()?;
        if due <= now { self.packets.pop_first().map(|(_, packet)| packet) } else { None }
    }
}

/// Carries packets in one direction until an end fails. Each arrives when its conditions say, and up to a millisecond later, since
/// tokio's timers tick in milliseconds.
pub(crate) async fn carry(
    from: &impl End,
    to: &impl End,
    conditions: Conditions,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut queue = DelayQueue::new(conditions);
    let mut buffer = [0; MAX_PACKET_BYTES];
    loop {
        let next = queue.next_due();
        let arrival = async {
            match next {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Arrivals first: on a busy link there is always one more packet to accept.
            biased;
            () = arrival => {
                while let Some(packet) = queue.pop_due(Instant::now()) {
                    to.send(&packet).await?;
                }
            }
            length = from.receive(&mut buffer) => {
                let packet = buffer.get(..length?).unwrap_or_default();
                traffic.count(queue.push(packet, Instant::now()));
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
        input: Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
        output: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    }

    impl End for Memory {
        async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
            let packet = self.input.lock().await.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer[..packet.len()].copy_from_slice(&packet);
            Ok(packet.len())
        }

        async fn send(&self, packet: &[u8]) -> io::Result<()> {
            self.output.send((Instant::now(), packet.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    struct Link {
        sender: mpsc::UnboundedSender<Vec<u8>>,
        receiver: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
        traffic: Arc<Traffic>,
    }

    /// A link in one direction, whose packets are being carried.
    fn link() -> Link {
        link_with(Conditions::latency(LATENCY))
    }

    fn link_with(conditions: Conditions) -> Link {
        let ((sender, input), (output, receiver)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (_, nothing) = mpsc::unbounded_channel();
        let from = Memory { input: Mutex::new(input), output: output.clone() };
        let to = Memory { input: Mutex::new(nothing), output };
        let traffic = Arc::new(Traffic::default());
        let count = Arc::clone(&traffic);
        tokio::spawn(async move { carry(&from, &to, conditions, &count).await });
        Link { sender, receiver, traffic }
    }

    #[tokio::test(start_paused = true)]
    async fn all_packets_take_the_same_time_and_keep_their_order() {
        let Link { sender, mut receiver, traffic } = link();
        let begin = Instant::now();
        let mut sent = Vec::new();
        for number in 0..100_u8 {
            sender.send(vec![number; usize::from(number) + 1]).unwrap();
            sent.push(begin.elapsed());
            // Some together, some apart; several are in flight at a time.
            sleep(Duration::from_millis(u64::from(number % 4) * 7)).await;
        }
        for (number, sent) in (0..100_u8).zip(sent) {
            let (arrived, packet) = receiver.recv().await.unwrap();
            assert_eq!(packet, vec![number; usize::from(number) + 1]);
            let took = arrived - begin - sent;
            assert!(took >= LATENCY && took <= LATENCY + Duration::from_millis(2), "{number}: {took:?}");
        }
        assert_eq!((traffic.accepted(), traffic.dropped()), (100, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_arrives_early() {
        let Link { sender, mut receiver, .. } = link();
        sender.send(vec![1]).unwrap();
        assert!(timeout(LATENCY - Duration::from_millis(2), receiver.recv()).await.is_err());
        assert!(timeout(Duration::from_millis(4), receiver.recv()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_drops_packets_and_counts_them() {
        let Link { sender, mut receiver, traffic } = link();
        for number in 0..MAX_PACKETS_IN_FLIGHT + 10 {
            sender.send(number.to_be_bytes().to_vec()).unwrap();
        }
        for number in 0..MAX_PACKETS_IN_FLIGHT {
            assert_eq!(receiver.recv().await.unwrap().1, number.to_be_bytes());
        }
        assert!(timeout(LATENCY * 2, receiver.recv()).await.is_err(), "more arrived than fits");
        assert_eq!((traffic.accepted(), traffic.dropped()), (MAX_PACKETS_IN_FLIGHT as u64, 10));
        sender.send(vec![7]).unwrap();
        assert_eq!(receiver.recv().await.unwrap().1, [7], "there is room again");
    }

    /// Sends 1000 numbered packets over such a link. Returns the numbers that arrive, in their order, and the count of lost ones.
    async fn after_1000_packets(conditions: Conditions) -> (Vec<u16>, u64) {
        let Link { sender, mut receiver, traffic } = link_with(conditions);
        for number in 0..1000_u16 {
            sender.send(number.to_be_bytes().to_vec()).unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let mut numbers = Vec::new();
        while let Ok(Some((_, packet))) = timeout(Duration::from_secs(1), receiver.recv()).await {
            numbers.push(u16::from_be_bytes(packet.try_into().unwrap()));
        }
        (numbers, traffic.lost())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lossy_link_loses_its_share_and_the_same_packets_for_the_same_seed() {
        let conditions = |seed| Conditions { lost_percent: 5, seed, ..Conditions::latency(LATENCY) };
        let (numbers, lost) = after_1000_packets(conditions(1)).await;
        assert!((30..70).contains(&lost) && numbers.len() as u64 + lost == 1000, "{lost}");
        assert!(numbers.is_sorted(), "loss alone keeps the order");
        assert_eq!(after_1000_packets(conditions(1)).await.0, numbers);
        assert_ne!(after_1000_packets(conditions(2)).await.0, numbers);
    }

    #[tokio::test(start_paused = true)]
    async fn late_packets_are_overtaken_and_none_is_lost() {
        let lateness = Conditions { late_percent: 25, max_lateness: LATENCY, ..Conditions::latency(LATENCY) };
        let (mut numbers, lost) = after_1000_packets(lateness).await;
        let overtaken = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((100..300).contains(&overtaken), "{overtaken}");
        numbers.sort_unstable();
        assert_eq!((numbers, lost), ((0..1000).collect(), 0));
    }

    #[tokio::test]
    async fn a_link_ends_when_its_end_closes() {
        let Link { sender, mut receiver, .. } = link();
        drop(sender);
        assert!(receiver.recv().await.is_none());
    }
}

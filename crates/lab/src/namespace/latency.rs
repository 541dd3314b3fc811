//! Delays packets and keeps their order.
//!
//! This is what netem's `delay` does, for kernels without netem. Like a link, a full queue drops the packet that arrives.

use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Packets in flight in one direction, at most. With the largest packets that is 1.5 MB in 50 ms, or 30 MB/s: more than
/// routers of a lab send.
const MAX_PACKETS_IN_FLIGHT: usize = 1024;
/// Above the MTU that a device has by default.
const MAX_PACKET_BYTES: usize = 2048;

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

    fn count(&self, accepted: bool) {
        let counter = if accepted { &self.accepted } else { &self.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The packets in flight.
struct DelayQueue {
    latency: Duration,
    /// Each packet with its time of arrival. All take equally long, so the first one is always due next.
    packets: VecDeque<(Instant, Box<[u8]>)>,
}

impl DelayQueue {
    fn new(latency: Duration) -> Self {
        Self { latency, packets: VecDeque::new() }
    }

    /// Accepts a packet that arrives now. Returns false if there is no room for it.
    fn push(&mut self, packet: &[u8], now: Instant) -> bool {
        let has_room = self.packets.len() < MAX_PACKETS_IN_FLIGHT;
        if has_room {
            self.packets.push_back((now + self.latency, packet.into()));
        }
        has_room
    }

    /// When the next packet is due.
    fn next_due(&self) -> Option<Instant> {
        self.packets.front().map(|(due, _)| *due)
    }

    /// Takes out the next packet if it is due.
    fn pop_due(&mut self, now: Instant) -> Option<Box<[u8]>> {
        let due = self.next_due()?;
        if due <= now { self.packets.pop_front().map(|(_, packet)| packet) } else { None }
    }
}

/// Carries packets in one direction until an end fails. Each arrives after `latency`, and up to a millisecond later, since
/// tokio's timers tick in milliseconds.
pub(crate) async fn carry(
    from: &impl End,
    to: &impl End,
    latency: Duration,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut queue = DelayQueue::new(latency);
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
        let ((sender, input), (output, receiver)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (_, nothing) = mpsc::unbounded_channel();
        let from = Memory { input: Mutex::new(input), output: output.clone() };
        let to = Memory { input: Mutex::new(nothing), output };
        let traffic = Arc::new(Traffic::default());
        let count = Arc::clone(&traffic);
        tokio::spawn(async move { carry(&from, &to, LATENCY, &count).await });
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

    #[tokio::test]
    async fn a_link_ends_when_its_end_closes() {
        let Link { sender, mut receiver, .. } = link();
        drop(sender);
        assert!(receiver.recv().await.is_none());
    }
}

//! Connections to a router that have said HELLO before they are needed: a request on one takes a round trip less.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::connection::Connection;

/// How long a spare is kept. emissary closes a connection that is silent for 10 s after its HELLO; Java I2P sends a PING after
/// three minutes and expects an answer; i2pd waits for ever.
const SPARE_LIFETIME: Duration = Duration::from_secs(5);
/// How long no spares are made after one could not be made: the router is away, or file descriptors are short, and requests
/// need them first.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The spare connections to one router.
pub(super) struct Spares {
    /// How many are kept, at most.
    max: usize,
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    /// The oldest first.
    ready: Vec<Spare>,
    /// How many there should be: one more for each request that found none, one less for each spare that was not used.
    wanted: usize,
    /// How many are being made.
    making: usize,
    /// When a request last needed one.
    needed: Option<Instant>,
    /// No spares are made before this time.
    paused_until: Option<Instant>,
    /// Increased when all are dropped, so that those that are being made at that time are not kept.
    generation: u64,
    /// Whether a task drops those that become too old.
    watched: bool,
}

struct Spare {
    connection: Connection,
    since: Instant,
}

/// Permission to make this many more spares.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SpareOrder {
    pub(super) count: usize,
    generation: u64,
}

impl Spares {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, stock: Mutex::default() })
    }

    /// How many are ready.
    pub(super) fn count(&self) -> usize {
        self.stock().ready.len()
    }

    /// Takes a connection that the router has not closed, if one is ready, and orders those that should be made now.
    pub(super) fn take(&self) -> (Option<Connection>, SpareOrder) {
        let now = Instant::now();
        let taken = loop {
            let Some(Spare { connection, since }) = self.stock().ready.pop() else { break None };
            // Checked outside of the lock. One that is too old or was closed is dropped, and so are the older ones after it.
            if now < since + SPARE_LIFETIME && connection.stream().is_silent() {
                break Some(connection);
            }
        };
        let mut stock = self.stock();
        let before = stock.needed.replace(now);
        let paused = stock.paused_until.is_some_and(|until| now < until);
        // A single request now and then does not justify a spare.
        if taken.is_none() && !paused && before.is_some_and(|before| now < before + SPARE_LIFETIME) {
            stock.wanted = (stock.wanted + 1).min(self.max);
        }
        let present = stock.ready.len() + stock.making;
        let count = if paused { 0 } else { stock.wanted.saturating_sub(present) };
        stock.making += count;
        let order = SpareOrder { count, generation: stock.generation };
        drop(stock);
        (taken, order)
    }

    /// Adds one of the spares that were ordered, or records that it could not be made.
    pub(super) fn put(self: &Arc<Self>, order: &SpareOrder, made: Option<Connection>) {
        let now = Instant::now();
        let mut stock = self.stock();
        if order.generation != stock.generation {
            return;
        }
        stock.making = stock.making.saturating_sub(1);
        let Some(connection) = made else {
            stock.wanted = 0;
            stock.paused_until = Some(now + PAUSE_AFTER_FAILURE);
            return;
        };
        stock.ready.push(Spare { connection, since: now });
        if !mem::replace(&mut stock.watched, true) {
            drop(stock);
            self.watch(now + SPARE_LIFETIME);
        }
    }

    /// Drops all: their router has gone.
    pub(super) fn clear(&self) {
        let mut stock = self.stock();
        let Stock { generation, watched, .. } = *stock;
        let old =
            mem::replace(&mut *stock, Stock { generation: generation + 1, watched, ..Stock::default() });
        drop(stock);
        // Sockets are closed outside of the lock.
        drop(old);
    }

    /// Drops spares that become too old, for as long as there are any.
    fn watch(self: &Arc<Self>, first: Instant) {
        // A weak reference: the connections are closed with the last user of the router.
        let spares = Arc::downgrade(self);
        let mut next = Some(first);
        tokio::spawn(async move {
            while let Some(until) = next {
                sleep_until(until).await;
                next = spares.upgrade().and_then(|spares| spares.drop_old());
            }
        });
    }

    /// Drops those that were not used in time. Returns when to check again, if any are left.
    fn drop_old(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut stock = self.stock();
        let old = stock.ready.iter().take_while(|spare| now >= spare.since + SPARE_LIFETIME).count();
        let old: Vec<_> = stock.ready.drain(..old).collect();
        stock.wanted = stock.wanted.saturating_sub(old.len());
        let next = stock.ready.first().map(|spare| spare.since + SPARE_LIFETIME);
        stock.watched = next.is_some();
        drop(stock);
        drop(old);
        next
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spares").field("max", &self.max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::{advance, pause, timeout},
    };

    use super::*;
    use crate::{bridge::stream::SamStream, wire::Dialect};

    /// A connection, and the router's end of it.
    async fn connection() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, router) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Connection::new(SamStream::Tcp(ours.unwrap()), Dialect::Standard), router.unwrap().0)
    }

    /// Waits until something has arrived.
    async fn readable(stream: &mut SamStream) {
        std::future::poll_fn(|context| stream.poll_peek(context, &mut [0])).await.unwrap();
    }

    /// Waits until the other side has closed, for less time than a spare is kept.
    async fn is_closed(stream: &mut TcpStream) -> bool {
        let read = timeout(SPARE_LIFETIME / 2, stream.read(&mut [0])).await.expect("it is closed");
        // A socket with unread bytes is closed with a reset.
        read.map_or(true, |count| count == 0)
    }

    /// Makes this many requests one after the other. Returns how many spares they order and how many they find.
    fn requests(spares: &Spares, count: usize) -> (usize, usize) {
        (0..count).map(|_| spares.take()).fold((0, 0), |(ordered, found), (taken, order)| {
            (ordered + order.count, found + usize::from(taken.is_some()))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_requests_order_spares_up_to_the_limit() {
        let spares = Spares::new(3);
        for _ in 0..5 {
            assert_eq!(requests(&spares, 1), (0, 0), "now and then");
            advance(SPARE_LIFETIME).await;
        }
        assert_eq!(requests(&spares, 9), (3, 0));
        assert_eq!(requests(&Spares::new(0), 9), (0, 0), "off");
    }

    #[tokio::test]
    async fn an_unused_spare_is_closed_and_not_made_again() {
        let spares = Spares::new(2);
        let (ours, mut router) = connection().await;
        let (_, order) = (spares.take(), spares.take().1);
        assert_eq!(order.count, 1);
        spares.put(&order, Some(ours));
        pause();
        // Returns once it is closed: nothing else can happen.
        assert_eq!(router.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(requests(&spares, 1), (0, 0));
        assert_eq!(requests(&spares, 1), (1, 0), "as at the beginning");
    }

    #[tokio::test]
    async fn a_spare_that_was_closed_or_spoken_to_is_not_used() {
        let spares = Spares::new(8);
        requests(&spares, 4);
        let order = SpareOrder { count: 3, generation: 0 };
        let ((good, _open), (closed, gone), (mut asked, mut speaks)) =
            (connection().await, connection().await, connection().await);
        drop(gone);
        speaks.write_all(b"PING 1\n").await.unwrap();
        readable(asked.stream_mut()).await;
        for connection in [good, closed, asked] {
            spares.put(&order, Some(connection));
        }
        assert!(spares.take().0.is_some());
        assert!(spares.take().0.is_none());
        assert!(is_closed(&mut speaks).await);
    }

    #[tokio::test(start_paused = true)]
    async fn none_are_made_for_a_while_after_a_failure() {
        let spares = Spares::new(4);
        let order = (spares.take(), spares.take()).1.1;
        spares.put(&order, None);
        assert_eq!(requests(&spares, 9), (0, 0));
        advance(PAUSE_AFTER_FAILURE).await;
        assert_eq!((requests(&spares, 1), requests(&spares, 1)), ((0, 0), (1, 0)), "as at the beginning");
    }

    #[tokio::test]
    async fn all_are_closed_when_their_router_goes_and_with_its_last_user() {
        let spares = Spares::new(4);
        let order = (spares.take(), spares.take()).1.1;
        let ((first, mut first_end), (late, mut late_end), (last, mut last_end)) =
            (connection().await, connection().await, connection().await);
        spares.put(&order, Some(first));
        spares.clear();
        assert!(is_closed(&mut first_end).await);
        spares.put(&order, Some(late));
        assert!(is_closed(&mut late_end).await, "it belongs to the router that has gone");
        let order = (spares.take(), spares.take()).1.1;
        spares.put(&order, Some(last));
        drop(spares);
        assert!(is_closed(&mut last_end).await);
    }
}

//! Connections to a bridge that have said HELLO before anybody needs them: one round trip fewer for whoever does.

use std::{
    mem,
    mem::MaybeUninit,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::connection::Connection;

/// How long a connection is kept. emissary closes one that has said nothing for 10 s behind its HELLO; Java I2P sends a PING
/// after three minutes and wants an answer; i2pd waits for ever.
const KEPT: Duration = Duration::from_secs(5);
/// How long none are made after one could not be: the router is away, or file descriptors are short, and who asks for something
/// now comes first.
const REST: Duration = Duration::from_secs(5);

/// The connections that are kept for one bridge.
#[derive(Default)]
pub(crate) struct Spares {
    /// How many at most.
    most: usize,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    /// The oldest first.
    ready: Vec<Spare>,
    /// How many there are to be: one more whenever somebody found none, one less for each that nobody wanted.
    wanted: usize,
    /// How many are being made.
    making: usize,
    /// When somebody last needed one.
    needed: Option<Instant>,
    /// None are made before.
    rest: Option<Instant>,
    /// Those that are being made when all are dropped are not to be kept.
    generation: u64,
    /// Whether somebody sees to it that they do not become too old.
    watched: bool,
}

struct Spare {
    connection: Connection,
    since: Instant,
}

/// The right to make so many connections more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) count: usize,
    generation: u64,
}

impl Spares {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, shelf: Mutex::default() })
    }

    /// The same for another bridge, or for the same one approached in another way.
    pub(crate) fn anew(&self) -> Arc<Self> {
        Self::new(self.most)
    }

    pub(crate) fn count(&self) -> usize {
        self.shelf().ready.len()
    }

    /// A connection, if one is there that the router has not closed, and how many are to be made now.
    pub(crate) fn take(&self) -> (Option<Connection>, Order) {
        let now = Instant::now();
        let taken = loop {
            let Some(Spare { connection, since }) = self.shelf().ready.pop() else { break None };
            // Asked outside of the lock. What is not fit goes, and so does what is older, in turn.
            if now < since + KEPT && is_silent(&connection) {
                break Some(connection);
            }
        };
        let mut shelf = self.shelf();
        let before = shelf.needed.replace(now);
        let resting = shelf.rest.is_some_and(|until| now < until);
        // A single request now and then is not worth it.
        if taken.is_none() && !resting && before.is_some_and(|before| now < before + KEPT) {
            shelf.wanted = (shelf.wanted + 1).min(self.most);
        }
        let there = shelf.ready.len() + shelf.making;
        let count = if resting { 0 } else { shelf.wanted.saturating_sub(there) };
        shelf.making += count;
        let order = Order { count, generation: shelf.generation };
        drop(shelf);
        (taken, order)
    }

    /// Puts one of those that were ordered there, or nothing where it could not be made.
    pub(crate) fn put(self: &Arc<Self>, order: &Order, made: Option<Connection>) {
        let now = Instant::now();
        let mut shelf = self.shelf();
        if order.generation != shelf.generation {
            return;
        }
        shelf.making = shelf.making.saturating_sub(1);
        let Some(connection) = made else {
            shelf.wanted = 0;
            shelf.rest = Some(now + REST);
            return;
        };
        shelf.ready.push(Spare { connection, since: now });
        if !mem::replace(&mut shelf.watched, true) {
            drop(shelf);
            self.watch(now + KEPT);
        }
    }

    /// Drops all: they are of a router that has gone.
    pub(crate) fn clear(&self) {
        let mut shelf = self.shelf();
        let Shelf { generation, watched, .. } = *shelf;
        let old =
            mem::replace(&mut *shelf, Shelf { generation: generation + 1, watched, ..Shelf::default() });
        drop(shelf);
        // Sockets close outside of the lock.
        drop(old);
    }

    /// Sees to it that none becomes too old, for as long as there are any.
    fn watch(self: &Arc<Self>, first: Instant) {
        // The bridge may go meanwhile, and its connections with it.
        let spares = Arc::downgrade(self);
        let mut next = Some(first);
        tokio::spawn(async move {
            while let Some(until) = next {
                sleep_until(until).await;
                next = spares.upgrade().and_then(|spares| spares.drop_old());
            }
        });
    }

    /// Drops what nobody wanted. Gives the time of the next look, as long as there is anything to look at.
    fn drop_old(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut shelf = self.shelf();
        let old = shelf.ready.iter().take_while(|spare| now >= spare.since + KEPT).count();
        let old: Vec<_> = shelf.ready.drain(..old).collect();
        shelf.wanted = shelf.wanted.saturating_sub(old.len());
        let next = shelf.ready.first().map(|spare| spare.since + KEPT);
        shelf.watched = next.is_some();
        drop(shelf);
        drop(old);
        next
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection is open and nothing has come: asks the system, since what the runtime knows may be old.
fn is_silent(connection: &Connection) -> bool {
    let seen = socket2::SockRef::from(connection.stream()).peek(&mut [MaybeUninit::uninit()]);
    seen.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spares").field("most", &self.most).finish_non_exhaustive()
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
    use crate::wire::Dialect;

    /// A connection, and the router's end of it.
    async fn connection() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, router) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Connection::new(ours.unwrap(), Dialect::Standard), router.unwrap().0)
    }

    /// Comes back when the other side has closed, which is not to take as long as a connection is kept.
    async fn is_closed(stream: &mut TcpStream) -> bool {
        let read = timeout(KEPT / 2, stream.read(&mut [0])).await.expect("it is closed");
        // With something unread it is a reset.
        read.map_or(true, |count| count == 0)
    }

    /// What comes of so many requests one after the other: how many connections they order, and how many they find.
    fn requests(spares: &Spares, count: usize) -> (usize, usize) {
        (0..count).map(|_| spares.take()).fold((0, 0), |(ordered, found), (taken, order)| {
            (ordered + order.count, found + usize::from(taken.is_some()))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_made_for_those_who_come_often_and_no_more_than_allowed() {
        let spares = Spares::new(3);
        for _ in 0..5 {
            assert_eq!(requests(&spares, 1), (0, 0), "now and then");
            advance(KEPT).await;
        }
        assert_eq!(requests(&spares, 9), (3, 0));
        assert_eq!(requests(&Spares::default(), 9), (0, 0), "off");
    }

    #[tokio::test]
    async fn what_nobody_wants_is_closed_and_not_made_again() {
        let spares = Spares::new(2);
        let (ours, mut router) = connection().await;
        let (_, order) = (spares.take(), spares.take().1);
        assert_eq!(order.count, 1);
        spares.put(&order, Some(ours));
        pause();
        // Comes back when it is closed: nothing else is to happen.
        assert_eq!(router.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(requests(&spares, 1), (0, 0));
        assert_eq!(requests(&spares, 1), (1, 0), "as at the beginning");
    }

    #[tokio::test]
    async fn one_that_was_closed_or_spoken_to_is_not_given_out() {
        let spares = Spares::new(8);
        requests(&spares, 4);
        let order = Order { count: 3, generation: 0 };
        let ((good, _open), (closed, gone), (asked, mut speaks)) =
            (connection().await, connection().await, connection().await);
        drop(gone);
        speaks.write_all(b"PING 1\n").await.unwrap();
        asked.stream().readable().await.unwrap();
        for connection in [good, closed, asked] {
            spares.put(&order, Some(connection));
        }
        assert!(spares.take().0.is_some());
        assert!(spares.take().0.is_none());
        assert!(is_closed(&mut speaks).await);
    }

    #[tokio::test(start_paused = true)]
    async fn none_are_made_while_they_cannot_be() {
        let spares = Spares::new(4);
        let order = (spares.take(), spares.take()).1.1;
        spares.put(&order, None);
        assert_eq!(requests(&spares, 9), (0, 0));
        advance(REST).await;
        assert_eq!((requests(&spares, 1), requests(&spares, 1)), ((0, 0), (1, 0)), "as at the beginning");
    }

    #[tokio::test]
    async fn all_go_with_their_router_and_with_their_bridge() {
        let spares = Spares::new(4);
        let order = (spares.take(), spares.take()).1.1;
        let ((first, mut first_end), (late, mut late_end), (last, mut last_end)) =
            (connection().await, connection().await, connection().await);
        spares.put(&order, Some(first));
        spares.clear();
        assert!(is_closed(&mut first_end).await);
        spares.put(&order, Some(late));
        assert!(is_closed(&mut late_end).await, "it is of the router that has gone");
        let order = (spares.take(), spares.take()).1.1;
        spares.put(&order, Some(last));
        drop(spares);
        assert!(is_closed(&mut last_end).await);
    }
}

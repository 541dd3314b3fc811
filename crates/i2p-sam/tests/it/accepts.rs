//! Several tasks wait for peers of one session at once, on every router.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{Accepted, Bridge, Listening, SamStream, Session, SessionOptions};
use sam_testkit::{Dialect, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

/// The routers that the kit imitates.
pub(crate) const ROUTERS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];
/// Tasks that wait.
const WAITING: usize = 5;

/// A session that accepts and one that connects to it.
struct Pair {
    kit: TestBridge,
    accepting: Session,
    connecting: Session,
}

impl Pair {
    async fn open(dialect: Dialect) -> Self {
        let kit = TestBridge::start_as(dialect).await;
        let bridge = Bridge::new(kit.address());
        let open = async || bridge.create_session(&SessionOptions::default()).await.unwrap();
        let (accepting, connecting) = (open().await, open().await);
        Self { kit, accepting, connecting }
    }

    /// Opens a stream to the session that accepts, and sends its number.
    async fn visit(&self, number: u8) -> SamStream {
        let to = I2pName::Destination(Box::new(self.accepting.destination().clone()));
        let mut stream = self.connecting.connect(&to, 0).await.unwrap();
        stream.write_all(&[number]).await.unwrap();
        stream
    }

    /// Opens streams until a task that waits has got one: a router may not have noticed yet that another task has gone, and give it
    /// the first. Returns the number that it was sent.
    async fn visited(&self, listening: Listening) -> u8 {
        let mut waiting = tokio::spawn(peer_of(listening));
        let mut open = Vec::new();
        loop {
            open.push(self.visit(7).await);
            if let Ok(number) = timeout(Duration::from_millis(20), &mut waiting).await {
                return number.unwrap();
            }
        }
    }
}

/// The number that a peer sent.
async fn number(accepted: Accepted) -> u8 {
    let mut stream = accepted.stream;
    timeout(Duration::from_secs(5), stream.read_u8()).await.expect("a byte").unwrap()
}

async fn peer_of(listening: Listening) -> u8 {
    number(timeout(Duration::from_secs(5), listening.accept()).await.expect("a peer").unwrap()).await
}

#[tokio::test]
async fn each_of_several_waiting_tasks_gets_a_peer() {
    for dialect in ROUTERS {
        let pair = Pair::open(dialect).await;
        let mut tasks = JoinSet::new();
        for _ in 0..WAITING {
            let listening = pair.accepting.listen().await.unwrap();
            tasks.spawn(peer_of(listening));
        }
        let mut open = Vec::new();
        for number in 0..WAITING {
            open.push(pair.visit(u8::try_from(number).unwrap()).await);
        }
        let mut seen = tasks.join_all().await;
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4], "{dialect:?}");
    }
}

#[tokio::test]
async fn a_task_that_stops_waiting_leaves_its_turn_to_the_next() {
    for dialect in ROUTERS {
        let pair = Pair::open(dialect).await;
        let gone = pair.accepting.listen().await.unwrap();
        let stays = pair.accepting.listen().await.unwrap();
        drop(gone);
        assert_eq!(pair.visited(stays).await, 7, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_task_that_waits_after_all_others_have_stopped_gets_a_peer() {
    for dialect in ROUTERS {
        let pair = Pair::open(dialect).await;
        for _ in 0..10 {
            drop(pair.accepting.listen().await.unwrap());
            let listening = pair.accepting.listen().await.unwrap();
            assert_eq!(pair.visited(listening).await, 7, "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn i2pd_has_one_accept_at_a_time() {
    for dialect in [Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259] {
        let pair = Pair::open(dialect).await;
        let mut waiting = Vec::new();
        for _ in 0..WAITING {
            waiting.push(pair.accepting.listen().await.unwrap());
        }
        assert_eq!(pair.kit.times("STREAM ACCEPT").len(), 1, "{dialect:?}");
    }
}

#[tokio::test]
async fn the_tasks_that_wait_learn_that_the_session_is_lost() {
    for dialect in ROUTERS {
        let pair = Pair::open(dialect).await;
        let mut tasks = JoinSet::new();
        for _ in 0..WAITING {
            let listening = pair.accepting.listen().await.unwrap();
            tasks.spawn(async move { listening.accept().await.map(drop) });
        }
        pair.kit.drop_control_connections();
        for result in tasks.join_all().await {
            assert!(matches!(result, Err(i2p_sam::Error::SessionLost)), "{dialect:?}: {result:?}");
        }
        assert!(pair.accepting.listen().await.is_err());
    }
}

//! How many lines the client sends while a router refuses, resets and closes: few, however eagerly the program asks.

use std::{future::Future, sync::Arc, time::Duration};

use i2p_sam::{BackOff, Bridge, Error, Identity, Session, SessionOptions, Supervised};
use sam_testkit::{Act, LineRecord, TestBridge};
use tokio::{task::JoinSet, time::timeout};

use crate::accepts::ROUTERS;

/// How long each router is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// Tasks that ask at once.
const TASKS: usize = 3;
/// The most lines in one second, HELLOs included. The first pauses are short.
const MAX_LINES_PER_SECOND: usize = 40;
/// The most lines in [`WATCHED`], HELLOs included.
const MAX_LINES: usize = 150;

/// Fails if clients have sent too many lines to a bridge.
fn assert_few(kit: &TestBridge, what: &str) {
    let lines = kit.transcript();
    let dialect = kit.dialect();
    let most = lines.iter().map(|first| in_second_from(&lines, first)).max().unwrap_or_default();
    let sample: Vec<_> = lines.iter().take(8).map(|record| &record.line).collect();
    assert!(
        most <= MAX_LINES_PER_SECOND,
        "{dialect:?}, {what}: {most} lines in a second, such as {sample:?}"
    );
    let all = lines.len();
    assert!(all <= MAX_LINES, "{dialect:?}, {what}: {all} lines in {WATCHED:?}, such as {sample:?}");
    assert!(all >= 4, "{dialect:?}, {what}: only {all} lines, so nothing was tested");
}

fn in_second_from(lines: &[LineRecord], first: &LineRecord) -> usize {
    let end = first.at + Duration::from_secs(1);
    lines.iter().filter(|line| line.at >= first.at && line.at < end).count()
}

async fn open(kit: &TestBridge) -> Session {
    Bridge::new(kit.address()).create_session(&SessionOptions::default()).await.unwrap()
}

/// Has tasks repeat `work` without a pause for [`WATCHED`], or until there are far too many lines: while tasks are busy, the paused
/// clock stands still.
async fn repeat<F>(kit: &Arc<TestBridge>, work: impl Fn() -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (kit, work) = (Arc::clone(kit), work.clone());
        tasks.spawn(async move {
            while kit.transcript().len() <= 2 * MAX_LINES {
                work().await;
                tokio::task::yield_now().await;
            }
        });
    }
    let _ = timeout(WATCHED, tasks.join_next()).await;
}

#[tokio::test(start_paused = true)]
async fn accepts_that_are_refused_or_reset() {
    let refused = Act::refuse("STREAM STATUS RESULT=I2P_ERROR MESSAGE=\"Already accepting\"").to_vec();
    let reset = vec![Act::line("STREAM STATUS RESULT=OK"), Act::Close];
    for dialect in ROUTERS {
        for (what, acts) in [("refused", &refused), ("reset", &reset), ("closed", &vec![Act::Close])] {
            let kit = Arc::new(TestBridge::start_as(dialect).await);
            kit.on("STREAM ACCEPT", acts.clone());
            let session = open(&kit).await;
            repeat(&kit, move || {
                let session = session.clone();
                async move { drop(session.accept().await) }
            })
            .await;
            assert_few(&kit, what);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_are_refused_or_lost_at_once() {
    for dialect in ROUTERS {
        let refused = Act::refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"no\"").to_vec();
        for (what, acts) in [("refused", refused), ("lost", vec![Act::Behave, Act::Close])] {
            let kit = Arc::new(TestBridge::start_as(dialect).await);
            // Not for ever, so that the clock goes on if there are too many.
            for _ in 0..MAX_LINES {
                kit.once("SESSION CREATE", acts.clone());
            }
            let bridge = Bridge::new(kit.address());
            let options = SessionOptions::default();
            let supervised = Supervised::start(bridge, options, Identity::New, BackOff::default());
            let supervised = Arc::new(supervised);
            repeat(&kit, move || {
                let supervised = supervised.clone();
                async move { supervised.session().await.lost().await }
            })
            .await;
            assert_few(&kit, what);
        }
    }
}

#[tokio::test]
async fn a_lookup_that_fails_is_not_repeated() {
    const LOOKUPS: usize = 8;
    for dialect in ROUTERS {
        for acts in [vec![Act::line("NAMING REPLY RESULT=KEY_NOT_FOUND NAME={NAME}")], vec![Act::Close]] {
            let kit = TestBridge::start_as(dialect).await;
            let session = open(&kit).await;
            kit.on("NAMING LOOKUP NAME=lost", acts);
            for number in 0..LOOKUPS {
                let found = session.lookup(&format!("lost{number}.i2p").parse().unwrap()).await;
                assert!(matches!(
                    found,
                    Err(Error::Refused { .. } | Error::Closed { .. } | Error::SessionLost)
                ));
            }
            let sent = kit.times("NAMING LOOKUP NAME=lost").len();
            assert!(sent <= LOOKUPS, "{dialect:?}: {sent} lines for {LOOKUPS} lookups");
        }
    }
}

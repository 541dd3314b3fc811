//! Persistent keys, and the end of a session.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{KeyFile, Session, SessionOptions};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use crate::{
    expected::SecondSession,
    pair::{SessionPair, TUNNEL_TIMEOUT, open},
    report::{CheckFailure, CheckOutcome, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::{until, until_each, within},
    service::visit,
};

/// How long to wait for what a router does at once.
const ROUTER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a router may take to publish a session that is ready; i2pd tries for the second time after 1.8 s.
const PUBLISHING_TIME: Duration = Duration::from_secs(5);
/// The pause between two attempts to find it.
const LOOKUP_PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn check(pair: &SessionPair<'_>, report: &ConformanceReport) {
    let directory = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            return report.check("a directory for keys", async { Err(error).promised("a directory") }).await;
        }
    };
    let file = KeyFile::new(directory.path().join("keys.dat"));
    let mut options = None;
    report
        .check("keys that the router made are read from their file", async {
            options = Some(from_file(pair, &file).await?);
            holds("")
        })
        .await;
    let Some(options) = options else { return };
    let mut session = None;
    report
        .check("a session with keys has their destination", async {
            let opened = open(&pair.bridges.peer.near, &options, pair.bridges.patience()).await?;
            let expected = file.load().promised("keys")?.map(|key| key.destination().clone());
            ensure(Some(opened.destination()) == expected.as_ref(), || {
                "promised: the destination of the keys; it has another".into()
            })?;
            session = Some(opened);
            holds("")
        })
        .await;
    let Some(session) = session else { return };
    report.check("a session that is not published is not found", hidden(pair, &session)).await;
    report.check("a second session with the same keys", second_session(pair, &options, &session)).await;
    report
        .check("dropping a session ends its streams", async {
            let far = pair.far_destination();
            let tried = until(pair.bridges.patience(), async || visit(&session, &far, 0).await).await?;
            let (mut stream, _) = tried.value;
            drop(session);
            let end =
                within(ROUTER_TIMEOUT, "the end of a stream of a session that was dropped", stream.read_u8());
            ensure(end.await?.is_err(), || "promised: the end of the stream; a byte arrived".into())?;
            holds("")
        })
        .await;
    report
        .check("dropping a session frees its keys for the next", async {
            // The keys must be free soon; the tunnels may take longer.
            let again = until_each(ROUTER_TIMEOUT, TUNNEL_TIMEOUT, async || {
                pair.bridges.peer.near.create_session(&options).await.promised("a session with freed keys")
            });
            let again = again.await?;
            let expected = file.load().promised("keys")?.map(|key| key.destination().clone());
            let same = Some(again.value.destination()) == expected.as_ref();
            ensure(same, || "promised: the same destination; it has another".into())?;
            holds(again.seen())
        })
        .await;
}

async fn from_file(pair: &SessionPair<'_>, file: &KeyFile) -> Result<SessionOptions, CheckFailure> {
    let made = file.load_or_generate(&pair.bridges.peer.near).await.promised("keys of the router")?;
    let loaded = file.load().promised("keys of a file")?;
    ensure(loaded.as_ref() == Some(&made), || "promised: the same keys; others were read".into())?;
    let again = file.load_or_generate(&pair.bridges.peer.near).await.promised("keys of a file")?;
    ensure(again == made, || "promised: the same keys; others were made".into())?;
    Ok(pair.bridges.unpublished().private_key(made))
}

/// Looks for a session that has not been in touch with the far router. A router that published it would have done so by then.
async fn hidden(pair: &SessionPair<'_>, session: &Session) -> CheckResult {
    if !pair.bridges.peer.has_network_database {
        return Ok(CheckOutcome::NotApplicable("here each session finds every other".into()));
    }
    let expected = &pair.bridges.expected.connect_unknown_destination;
    let (to, start) = (I2pName::Destination(Box::new(session.destination().clone())), Instant::now());
    let mut attempts = 0;
    while start.elapsed() < PUBLISHING_TIME {
        attempts += 1;
        match pair.far.connect(&to, 0).await {
            Err(error) if expected.is(&error) => {}
            Err(error) => return Err(CheckFailure::new(format!("promised: {expected}; {error}"))),
            Ok(_) => {
                let why =
                    format!("promised: {expected}; attempt {attempts} was connected, so it is published");
                return Err(CheckFailure::new(why));
            }
        }
        sleep(LOOKUP_PAUSE).await;
    }
    holds(format!("{expected}, {attempts} times"))
}

async fn second_session(pair: &SessionPair<'_>, options: &SessionOptions, first: &Session) -> CheckResult {
    let expected = &pair.bridges.expected.second_session;
    if *expected == SecondSession::CreatedButMayCrash {
        return Ok(CheckOutcome::NotApplicable(
            "this router may crash some seconds after such sessions were closed".into(),
        ));
    }
    let seen = match (pair.bridges.peer.near.create_session(options).await, expected) {
        (Err(error), SecondSession::Refused(refusal)) if refusal.is(&error) => refusal.to_string(),
        (Ok(second), SecondSession::Created) => {
            ensure(second.destination() == first.destination(), || {
                "promised: the same destination; it has another".into()
            })?;
            "created: both have one destination".into()
        }
        (Err(error), _) => return Err(CheckFailure::new(format!("promised: {expected:?}; {error}"))),
        (Ok(_), _) => return Err(CheckFailure::new(format!("promised: {expected:?}; it was created"))),
    };
    ensure(first.is_alive(), || "promised: the first session stays; it is gone".into())?;
    let far = pair.far_destination();
    until(pair.bridges.patience(), async || visit(first, &far, 0).await.map(drop)).await?;
    holds(seen)
}

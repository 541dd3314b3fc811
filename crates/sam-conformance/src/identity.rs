//! Persistent keys, and the end of a session.

use std::time::Duration;

use i2p_sam::{KeyFile, SessionOptions};
use tokio::io::AsyncReadExt;

use crate::{
    expected::SecondSession,
    pair::{SessionPair, TUNNEL_TIMEOUT, open},
    report::{CheckFailure, CheckOutcome, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::{until, until_each, within},
    service::visit,
};

/// How long to wait for what a router does at once.
const ROUTER_TIMEOUT: Duration = Duration::from_secs(10);

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

async fn second_session(
    pair: &SessionPair<'_>,
    options: &SessionOptions,
    first: &i2p_sam::Session,
) -> CheckResult {
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

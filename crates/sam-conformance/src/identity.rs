//! Keys that stay, and what the end of a session ends.

use std::time::Duration;

use i2p_sam::{KeyFile, SessionOptions};
use tokio::io::AsyncReadExt;

use crate::{
    expected::SecondSession,
    lab::{Lab, TUNNELS, open},
    report::{Failure, Outcome, Promised, Report, Verdict, ensure, holds},
    retry::{until, until_each, within},
    service::visit,
};

/// For what a router does at once.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn check(lab: &Lab<'_>, report: &Report) {
    let directory = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            return report.check("a directory for keys", async { Err(error).promised("one") }).await;
        }
    };
    let file = KeyFile::new(directory.path().join("keys.dat"));
    let mut options = None;
    report
        .check("keys that the router made come back from their file", async {
            options = Some(from_file(lab, &file).await?);
            holds("")
        })
        .await;
    let Some(options) = options else { return };
    let mut session = None;
    report
        .check("a session with keys has their destination", async {
            let opened = open(&lab.bridges.peer.near, &options, lab.bridges.patience()).await?;
            let expected = file.load().promised("keys")?.map(|key| key.destination().clone());
            ensure(Some(opened.destination()) == expected.as_ref(), || "it has another".into())?;
            session = Some(opened);
            holds("")
        })
        .await;
    let Some(session) = session else { return };
    report.check("a second session with the same keys", second(lab, &options, &session)).await;
    report
        .check("dropping a session ends its streams", async {
            let far = lab.far_by_keys();
            let tried = until(lab.bridges.patience(), async || visit(&session, &far, 0).await).await?;
            let (mut stream, _) = tried.value;
            drop(session);
            let end = within(SOON, "the end of a stream of a session that was dropped", stream.read_u8());
            ensure(end.await?.is_err(), || "promised: the end of the stream; a byte came".into())?;
            holds("")
        })
        .await;
    report
        .check("dropping a session frees its keys for the next", async {
            // Soon free, whatever time the tunnels take then.
            let again = until_each(SOON, TUNNELS, async || {
                lab.bridges.peer.near.create_session(&options).await.promised("a session with freed keys")
            });
            let again = again.await?;
            let expected = file.load().promised("keys")?.map(|key| key.destination().clone());
            let same = Some(again.value.destination()) == expected.as_ref();
            ensure(same, || "promised: the same destination; it has another".into())?;
            holds(again.seen())
        })
        .await;
}

async fn from_file(lab: &Lab<'_>, file: &KeyFile) -> Result<SessionOptions, Failure> {
    let made = file.load_or_generate(&lab.bridges.peer.near).await.promised("keys of the router")?;
    let loaded = file.load().promised("keys of a file")?;
    ensure(loaded.as_ref() == Some(&made), || "promised: the same keys; others were read".into())?;
    let again = file.load_or_generate(&lab.bridges.peer.near).await.promised("keys of a file")?;
    ensure(again == made, || "promised: the same keys; others were made".into())?;
    Ok(lab.bridges.unpublished().private_key(made))
}

async fn second(lab: &Lab<'_>, options: &SessionOptions, first: &i2p_sam::Session) -> Outcome {
    let expected = &lab.bridges.expected.second_session;
    if *expected == SecondSession::GrantedAtARisk {
        return Ok(Verdict::NotApplicable(
            "this router may crash some seconds after such sessions were closed".into(),
        ));
    }
    let seen = match (lab.bridges.peer.near.create_session(options).await, expected) {
        (Err(error), SecondSession::Refused(refusal)) if refusal.is(&error) => refusal.to_string(),
        (Ok(second), SecondSession::Granted) => {
            ensure(second.destination() == first.destination(), || "it has another destination".into())?;
            "granted: both have one destination".into()
        }
        (Err(error), _) => return Err(Failure::new(format!("promised: {expected:?}; {error}"))),
        (Ok(_), _) => return Err(Failure::new(format!("promised: {expected:?}; it was granted"))),
    };
    ensure(first.is_alive(), || "promised: the first session stays; it is gone".into())?;
    let far = lab.far_by_keys();
    until(lab.bridges.patience(), async || visit(first, &far, 0).await.map(drop)).await?;
    holds(seen)
}

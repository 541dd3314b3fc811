//! STREAM CONNECT, ACCEPT and FORWARD.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{PeerLine, Ports};
use tokio::io::AsyncReadExt;

use crate::{
    expected::Unaccepted,
    pair::{SessionPair, open, with_sessions},
    report::{CheckFailure, CheckOutcome, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::{until, within},
    service::{EchoService, exchange, payload, visit},
};

/// How many bytes are sent each way.
const BULK_BYTES: usize = 200_000;
/// i2pd ends a stream that nobody accepts after 10 s. A lost packet delays that by another 9 s or more, its first retransmission
/// timeout.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to check that emissary leaves such a stream silent, which it does for minutes.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);
/// The I2CP port of a stream.
const STREAM_PORT: u16 = 4_480;

pub(crate) async fn check(pair: &SessionPair<'_>, report: &ConformanceReport) {
    let by_b32 = pair.far.destination().b32().to_string();
    let far = pair.far_destination();
    tokio::join!(
        report.check("a session's destination is that of its keys", own_destination(pair)),
        report.check("a stream by destination, with its peer named to the acceptor", by_keys(pair, &far)),
        report.check("a stream by base32 address", by_name(pair, &by_b32)),
        report.check("a stream by host name", by_host(pair)),
        report.check("the acceptor is told the ports of a stream", ports(pair, &far)),
        report.check("200 KB each way, unchanged", bulk(pair, &far)),
        report.check("several accepts wait at once", several(pair, &far)),
        report.check("an accept that is given up leaves its stream to the next", given_up(pair)),
        report.check("streams are forwarded to a port, with a line that names the peer", forward(pair)),
        report.check("a stream that nobody accepts", unaccepted(pair)),
    );
}

#[allow(clippy::unused_async, reason = "a check is a future")]
async fn own_destination(pair: &SessionPair<'_>) -> CheckResult {
    for session in [&pair.near, &pair.far] {
        let key = session.private_key();
        ensure(session.destination() == key.destination(), || {
            "promised: the destination of the keys; it is another".into()
        })?;
        let again = i2p_sam::PrivateKey::from_bytes(&key.to_bytes()).promised("keys in their binary form")?;
        ensure(again == *key, || "promised: the same keys in their binary form; they differ".into())?;
    }
    holds("")
}

async fn by_keys(pair: &SessionPair<'_>, far: &I2pName) -> CheckResult {
    let tried =
        until(pair.bridges.patience(), async || visit(&pair.near, far, 0).await.map(|(_, tag)| tag)).await?;
    let visit = pair.service.visit(tried.value)?;
    ensure(visit.peer == *pair.near.destination(), || {
        "promised: the near session; another was named".into()
    })?;
    holds(tried.seen())
}

async fn by_name(pair: &SessionPair<'_>, name: &str) -> CheckResult {
    let name = I2pName::parse(name).promised("a name")?;
    let tried =
        until(pair.bridges.patience(), async || visit(&pair.near, &name, 0).await.map(|(_, tag)| tag))
            .await?;
    pair.service.visit(tried.value)?;
    holds(tried.seen())
}

async fn by_host(pair: &SessionPair<'_>) -> CheckResult {
    let Some(host) = pair.host else {
        return Ok(CheckOutcome::NotApplicable("the near router's address book has no name for us".into()));
    };
    let name = I2pName::Host(host.name.clone());
    let tried =
        until(pair.bridges.patience(), async || visit(&pair.near, &name, 0).await.map(|(_, tag)| tag))
            .await?;
    if host.keys.is_some() {
        pair.service.visit(tried.value)?;
    }
    holds(tried.seen())
}

/// Checks whether the acceptor is told the ports. Whether they are carried is checked with subsessions.
async fn ports(pair: &SessionPair<'_>, far: &I2pName) -> CheckResult {
    let tried = until(pair.bridges.patience(), async || {
        visit(&pair.near, far, STREAM_PORT).await.map(|(_, tag)| tag)
    })
    .await?;
    let Ports { from, to } = pair.service.visit(tried.value)?.ports;
    let expected = if pair.bridges.expected.accept_reports_ports { STREAM_PORT } else { 0 };
    ensure(to == expected, || format!("promised: to port {expected}; the acceptor was told {from} to {to}"))?;
    match expected {
        0 => Ok(CheckOutcome::NotApplicable("this router does not tell acceptors the ports".into())),
        _ => holds(format!("to port {to}")),
    }
}

async fn bulk(pair: &SessionPair<'_>, far: &I2pName) -> CheckResult {
    let bytes = payload(BULK_BYTES, 1);
    let tried = until(pair.bridges.patience(), async || {
        let (mut stream, _) = visit(&pair.near, far, 0).await?;
        exchange(&mut stream, &bytes).await
    });
    holds(tried.await?.seen())
}

/// All streams are open before the first one ends.
async fn several(pair: &SessionPair<'_>, far: &I2pName) -> CheckResult {
    let visit = || visit(&pair.near, far, 0);
    let tried = until(pair.bridges.patience(), async || tokio::try_join!(visit(), visit(), visit())).await?;
    let (a, b, c) = &tried.value;
    for (_, tag) in [a, b, c] {
        pair.service.visit(*tag)?;
    }
    let refusals = pair.service.refusals();
    ensure(refusals.is_empty(), || format!("promised: any number of accepts; {}", refusals.join("; ")))?;
    holds(tried.seen())
}

/// Of two accepts, the first is given up before a stream comes.
async fn given_up(pair: &SessionPair<'_>) -> CheckResult {
    let patience = pair.bridges.patience();
    with_sessions(async || {
        let session = open(&pair.bridges.peer.far, &pair.bridges.published(), patience).await?;
        let first = session.listen().await.promised("an accept")?;
        let service = EchoService::of(session.listen().await.promised("a second accept")?);
        drop(first);
        let to = I2pName::Destination(Box::new(session.destination().clone()));
        let tried = until(patience, async || visit(&pair.near, &to, 0).await.map(|(_, tag)| tag)).await?;
        service.visit(tried.value)?;
        holds(tried.seen())
    })
    .await
}

async fn forward(pair: &SessionPair<'_>) -> CheckResult {
    let patience = pair.bridges.patience();
    with_sessions(async || {
        let session = open(&pair.bridges.peer.far, &pair.bridges.published(), patience).await?;
        let (service, address) = EchoService::forwarded().await?;
        let _forwarding = session.forward(address, PeerLine::Sent).await.promised("streams are forwarded")?;
        let to = I2pName::Destination(Box::new(session.destination().clone()));
        let tried = until(patience, async || {
            let (mut stream, tag) = visit(&pair.near, &to, 0).await?;
            exchange(&mut stream, &payload(10_000, 2)).await?;
            Ok(tag)
        });
        let tried = tried.await;
        let refusals = service.refusals();
        ensure(refusals.is_empty(), || refusals.join("; "))?;
        let tried = tried?;
        let same = service.visit(tried.value)?.peer == *pair.near.destination();
        ensure(same, || "promised: the near session in the first line; another was named".into())?;
        holds(tried.seen())
    })
    .await
}

/// A published session that has never accepted anything.
async fn unaccepted(pair: &SessionPair<'_>) -> CheckResult {
    let expected = &pair.bridges.expected.unaccepted;
    let patience = pair.bridges.patience();
    let (_session, tried) = with_sessions(async || {
        let session = open(&pair.bridges.peer.far, &pair.bridges.published(), patience).await?;
        let to = I2pName::Destination(Box::new(session.destination().clone()));
        let tried = until(patience, async || match (pair.near.connect(&to, 0).await, expected) {
            (Err(error), Unaccepted::Refused(refusal)) if refusal.is(&error) => Ok((None, error.to_string())),
            (Ok(stream), Unaccepted::ConnectedAndEnded | Unaccepted::ConnectedAndSilent) => {
                Ok((Some(stream), "connected".to_owned()))
            }
            // The session may not be found yet.
            (Err(error), _) => Err(CheckFailure::new(format!("promised: {expected:?}; {error}"))),
            (Ok(_), _) => Err(CheckFailure::new(format!("promised: {expected:?}; it was connected"))),
        });
        let tried = tried.await?;
        Ok((session, tried))
    })
    .await?;
    let (stream, seen) = tried.value;
    let Some(mut stream) = stream else { return holds(seen) };
    let mut byte = [0];
    let limit = if *expected == Unaccepted::ConnectedAndEnded { END_TIMEOUT } else { SILENCE_TIMEOUT };
    let end = within(limit, "the end of a stream that nobody accepts", stream.read(&mut byte)).await;
    match (expected, end) {
        (Unaccepted::ConnectedAndEnded, Ok(Ok(0) | Err(_))) => holds("connected, and ended by the router"),
        (Unaccepted::ConnectedAndSilent, Err(_)) => holds("connected, and silent"),
        (_, Ok(Ok(0) | Err(_))) => Err(CheckFailure::new("connected, and ended")),
        (_, Ok(Ok(_))) => Err(CheckFailure::new("connected, and it received bytes")),
        (_, Err(failure)) => Err(failure),
    }
}

//! STREAM CONNECT, ACCEPT and FORWARD.

use std::time::Duration;

use i2p_name::I2pName;
use i2p_sam::{PeerLine, Ports};

use crate::{
    expected::Unaccepted,
    lab::{Lab, open, with_sessions},
    report::{Failure, Outcome, Promised, Report, Verdict, ensure, holds},
    retry::{until, within},
    service::{Service, exchange, payload, visit},
};

/// Bytes each way.
const BULK: usize = 200_000;
/// i2pd ends a stream that nobody accepts after 10 s. A lost packet delays that by another 9 s or more, its first retransmission
/// timeout.
const ENDED: Duration = Duration::from_secs(60);
/// emissary leaves it as it is for minutes.
const SILENT: Duration = Duration::from_secs(3);
/// An I2CP port that says which stream it was.
const PORT: u16 = 4_480;

pub(crate) async fn check(lab: &Lab<'_>, report: &Report) {
    let by_b32 = lab.far.destination().b32().to_string();
    let far = lab.far_by_keys();
    tokio::join!(
        report.check("a session's destination is the one of its keys", own_destination(lab)),
        report.check("a stream by destination; the acceptor is told who comes", by_keys(lab, &far)),
        report.check("a stream by base32 address", by_name(lab, &by_b32)),
        report.check("a stream by host name", by_host(lab)),
        report.check("the ports of a stream are told to the acceptor", ports(lab, &far)),
        report.check("200 KB each way, unchanged", bulk(lab, &far)),
        report.check("several accepts wait at once", several(lab, &far)),
        report.check("streams are forwarded to a port, with a line that says who comes", forward(lab)),
        report.check("a stream that nobody accepts", unaccepted(lab)),
    );
}

#[allow(clippy::unused_async, reason = "a check is a future")]
async fn own_destination(lab: &Lab<'_>) -> Outcome {
    for session in [&lab.near, &lab.far] {
        let key = session.private_key();
        ensure(session.destination() == key.destination(), || "they differ".into())?;
        let again = i2p_sam::PrivateKey::from_bytes(&key.to_bytes()).promised("keys in their binary form")?;
        ensure(again == *key, || "the keys are others in their binary form".into())?;
    }
    holds("")
}

async fn by_keys(lab: &Lab<'_>, far: &I2pName) -> Outcome {
    let tried =
        until(lab.bridges.patience(), async || visit(&lab.near, far, 0).await.map(|(_, tag)| tag)).await?;
    let visit = lab.service.visit(tried.value)?;
    ensure(visit.peer == *lab.near.destination(), || "promised: the near session; another was told".into())?;
    holds(tried.seen())
}

async fn by_name(lab: &Lab<'_>, name: &str) -> Outcome {
    let name = I2pName::parse(name).promised("a name")?;
    let tried =
        until(lab.bridges.patience(), async || visit(&lab.near, &name, 0).await.map(|(_, tag)| tag)).await?;
    lab.service.visit(tried.value)?;
    holds(tried.seen())
}

async fn by_host(lab: &Lab<'_>) -> Outcome {
    let Some(host) = lab.host else {
        return Ok(Verdict::NotApplicable("the near router's address book has no name for us".into()));
    };
    let name = I2pName::Host(host.name.clone());
    let tried =
        until(lab.bridges.patience(), async || visit(&lab.near, &name, 0).await.map(|(_, tag)| tag)).await?;
    if host.keys.is_some() {
        lab.service.visit(tried.value)?;
    }
    holds(tried.seen())
}

/// Whether the far end hears of them is one thing; whether they are carried shows with subsessions.
async fn ports(lab: &Lab<'_>, far: &I2pName) -> Outcome {
    let tried =
        until(lab.bridges.patience(), async || visit(&lab.near, far, PORT).await.map(|(_, tag)| tag)).await?;
    let Ports { from, to } = lab.service.visit(tried.value)?.ports;
    let expected = if lab.bridges.expected.accept_says_ports { PORT } else { 0 };
    ensure(to == expected, || format!("promised: to port {expected}; the acceptor was told {from} to {to}"))?;
    match expected {
        0 => Ok(Verdict::NotApplicable("this router tells acceptors no ports".into())),
        _ => holds(format!("to port {to}")),
    }
}

async fn bulk(lab: &Lab<'_>, far: &I2pName) -> Outcome {
    let bytes = payload(BULK, 1);
    let tried = until(lab.bridges.patience(), async || {
        let (mut stream, _) = visit(&lab.near, far, 0).await?;
        exchange(&mut stream, &bytes).await
    });
    holds(tried.await?.seen())
}

/// All of them are open before any of them ends.
async fn several(lab: &Lab<'_>, far: &I2pName) -> Outcome {
    let visit = || visit(&lab.near, far, 0);
    let tried = until(lab.bridges.patience(), async || tokio::try_join!(visit(), visit(), visit())).await?;
    let (a, b, c) = &tried.value;
    for (_, tag) in [a, b, c] {
        lab.service.visit(*tag)?;
    }
    let refusals = lab.service.refusals();
    ensure(refusals.is_empty(), || format!("promised: any number of accepts; {}", refusals.join("; ")))?;
    holds(tried.seen())
}

async fn forward(lab: &Lab<'_>) -> Outcome {
    let patience = lab.bridges.patience();
    with_sessions(async || {
        let session = open(&lab.bridges.peer.far, &lab.bridges.published(), patience).await?;
        let (service, address) = Service::forwarded().await?;
        let _forwarding = session.forward(address, PeerLine::Sent).await.promised("streams are forwarded")?;
        let to = I2pName::Destination(Box::new(session.destination().clone()));
        let tried = until(patience, async || {
            let (mut stream, tag) = visit(&lab.near, &to, 0).await?;
            exchange(&mut stream, &payload(10_000, 2)).await?;
            Ok(tag)
        });
        let tried = tried.await;
        let said = service.refusals();
        ensure(said.is_empty(), || said.join("; "))?;
        let tried = tried?;
        let same = service.visit(tried.value)?.peer == *lab.near.destination();
        ensure(same, || "promised: the near session in the first line; another was told".into())?;
        holds(tried.seen())
    })
    .await
}

/// A published session that has never accepted anything.
async fn unaccepted(lab: &Lab<'_>) -> Outcome {
    let expected = &lab.bridges.expected.unaccepted;
    let patience = lab.bridges.patience();
    let (_session, tried) = with_sessions(async || {
        let session = open(&lab.bridges.peer.far, &lab.bridges.published(), patience).await?;
        let to = I2pName::Destination(Box::new(session.destination().clone()));
        let tried = until(patience, async || match (lab.near.connect(&to, 0).await, expected) {
            (Err(error), Unaccepted::Refused(refusal)) if refusal.is(&error) => Ok((None, error.to_string())),
            (Ok(stream), Unaccepted::GrantedAndEnded | Unaccepted::GrantedAndSilent) => {
                Ok((Some(stream), "granted".to_owned()))
            }
            // Not found yet, perhaps.
            (Err(error), _) => Err(Failure::new(format!("promised: {expected:?}; {error}"))),
            (Ok(_), _) => Err(Failure::new(format!("promised: {expected:?}; it was granted"))),
        });
        let tried = tried.await?;
        Ok((session, tried))
    })
    .await?;
    let (stream, said) = tried.value;
    let Some(stream) = stream else { return holds(said) };
    let mut byte = [0];
    let limit = if *expected == Unaccepted::GrantedAndEnded { ENDED } else { SILENT };
    let end = within(limit, "the end of a stream that nobody accepts", stream.peek(&mut byte)).await;
    match (expected, end) {
        (Unaccepted::GrantedAndEnded, Ok(Ok(0) | Err(_))) => holds("granted, and ended by the router"),
        (Unaccepted::GrantedAndSilent, Err(_)) => holds("granted, and silent"),
        (_, Ok(Ok(0) | Err(_))) => Err(Failure::new("granted and ended")),
        (_, Ok(Ok(_))) => Err(Failure::new("granted, and somebody speaks")),
        (_, Err(failure)) => Err(failure),
    }
}

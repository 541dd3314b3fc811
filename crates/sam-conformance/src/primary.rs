//! Sessions with subsessions.

use i2p_name::I2pName;
use i2p_sam::{DatagramStyle, Error, Ports, PrimarySession};

use crate::{
    datagrams::deliver,
    pair::{SessionPair, with_sessions},
    report::{CheckFailure, CheckOutcome, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::until_each,
    service::{EchoService, FIRST_STREAM_DIVISOR, visit},
};

/// The port of the second subsession.
const SECOND_PORT: u16 = 4_481;
/// The kind of datagrams that is tried beside streams.
const STYLE: DatagramStyle = DatagramStyle::Datagram;
const ANY_PORTS: Ports = Ports { from: 0, to: 0 };

pub(crate) async fn check(pair: &SessionPair<'_>, report: &ConformanceReport) {
    let Some(word) = pair.bridges.capabilities.primary() else {
        report
            .check("a session with subsessions", async {
                match pair.bridges.peer.near.create_primary(&pair.bridges.published()).await {
                    Err(error @ Error::Unsupported { .. }) => {
                        Ok(CheckOutcome::NotApplicable(error.to_string()))
                    }
                    Err(error) => Err(CheckFailure::new(format!("promised: Error::Unsupported; {error}"))),
                    Ok(_) => Err(CheckFailure::new("promised: Error::Unsupported; it was created")),
                }
            })
            .await;
        return;
    };
    let options = pair.bridges.published();
    let make = async |bridge: &i2p_sam::Bridge| {
        bridge.create_primary(&options).await.promised("a session with subsessions")
    };
    let mut primaries = None;
    report
        .check("a session with subsessions is created", async {
            let (near, far) = (&pair.bridges.peer.near, &pair.bridges.peer.far);
            primaries = Some(tokio::try_join!(make(near), make(far))?);
            holds(format!("with the word {word:?}"))
        })
        .await;
    let Some((near, far)) = primaries else { return };
    // Streams first: on i2pd a request for a subsession of another kind ends the whole session.
    let mut first = Some(&far);
    report
        .check(
            "subsessions carry streams, each to its port",
            with_sessions(async || match first.take() {
                Some(far) => streams(pair, far).await,
                None => streams(pair, &make(&pair.bridges.peer.far).await?).await,
            }),
        )
        .await;
    report.check("subsessions carry datagrams beside streams", datagrams(pair, &near, &far)).await;
}

async fn streams(pair: &SessionPair<'_>, far: &PrimarySession) -> CheckResult {
    let any = far.add_streams(0).await.promised("a subsession for streams")?;
    ensure(any.destination() == far.destination(), || {
        "promised: the same destination; the subsession has another".into()
    })?;
    let others = EchoService::accepting(&any, 1);
    let to = I2pName::Destination(Box::new(far.destination().clone()));
    let patience = pair.bridges.patience();
    let tried = until_each(patience, patience / FIRST_STREAM_DIVISOR, async || {
        visit(&pair.near, &to, 0).await.map(|(_, tag)| tag)
    });
    let tried = tried.await.map_err(|why| CheckFailure::new(format!("{why}{}", last_refusal(&others))))?;
    others.visit(tried.value)?;
    if !pair.bridges.capabilities.stream_ports() {
        return holds("one for all ports, since this router carries none");
    }
    let exact = far.add_streams(SECOND_PORT).await.promised("a subsession for streams to a port")?;
    let service = EchoService::accepting(&exact, 1);
    let tried = until_each(patience, patience / FIRST_STREAM_DIVISOR, async || {
        let (_, tag) = visit(&pair.near, &to, SECOND_PORT).await?;
        service.visit(tag).map(drop)
    });
    tried.await.map_err(|why| CheckFailure::new(format!("promised: stream ports are carried; {why}")))?;
    ensure(far.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds("two, by port")
}

async fn datagrams(pair: &SessionPair<'_>, near: &PrimarySession, far: &PrimarySession) -> CheckResult {
    if !pair.bridges.capabilities.datagrams_beside_streams(STYLE) {
        return match far.add_datagrams(STYLE, ANY_PORTS).await {
            Err(error @ Error::Unsupported { .. }) => {
                ensure(far.is_alive(), || "promised: the session stays; it is gone".into())?;
                Ok(CheckOutcome::NotApplicable(error.to_string()))
            }
            Err(error) => Err(CheckFailure::new(format!("promised: Error::Unsupported; {error}"))),
            Ok(_) => Err(CheckFailure::new("promised: Error::Unsupported; it was added")),
        };
    }
    let from = near.add_datagrams(STYLE, ANY_PORTS).await.promised("a subsession for datagrams")?;
    let to = far.add_datagrams(STYLE, ANY_PORTS).await.promised("a subsession for datagrams")?;
    let tried = deliver(&from, &to, ANY_PORTS, b"beside streams", pair.bridges.patience()).await?;
    let from_near = i2p_sam::Sender::Destination(near.destination().clone());
    ensure(tried.value.sender == from_near, || {
        "promised: the sender's destination; another was reported".into()
    })?;
    holds(tried.seen())
}

/// The router's last refusal to the acceptor, if there was one.
fn last_refusal(service: &EchoService) -> String {
    service.refusals().last().map_or_else(String::new, |refusal| format!("; to the acceptor: {refusal}"))
}

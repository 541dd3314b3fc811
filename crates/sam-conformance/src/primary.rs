//! Sessions with subsessions.

use i2p_name::I2pName;
use i2p_sam::{DatagramStyle, Error, Ports, PrimarySession};

use crate::{
    datagrams::deliver,
    lab::{Lab, with_sessions},
    report::{Failure, Outcome, Promised, Report, Verdict, ensure, holds},
    retry::until_each,
    service::{FIRST, Service, visit},
};

/// The port of the second subsession.
const PORT: u16 = 4_481;
/// The kind that is tried beside streams.
const STYLE: DatagramStyle = DatagramStyle::Datagram;
const ANY: Ports = Ports { from: 0, to: 0 };

pub(crate) async fn check(lab: &Lab<'_>, report: &Report) {
    let Some(word) = lab.bridges.capabilities.primary() else {
        report
            .check("a session with subsessions", async {
                match lab.bridges.peer.near.create_primary(&lab.bridges.published()).await {
                    Err(error @ Error::Unsupported { .. }) => Ok(Verdict::NotApplicable(error.to_string())),
                    Err(error) => Err(Failure::new(format!("promised: Error::Unsupported; {error}"))),
                    Ok(_) => Err(Failure::new("promised: Error::Unsupported; it was made")),
                }
            })
            .await;
        return;
    };
    let options = lab.bridges.published();
    let make = async |bridge: &i2p_sam::Bridge| {
        bridge.create_primary(&options).await.promised("a session with subsessions")
    };
    let mut primaries = None;
    report
        .check("a session with subsessions is made", async {
            let (near, far) = (&lab.bridges.peer.near, &lab.bridges.peer.far);
            primaries = Some(tokio::try_join!(make(near), make(far))?);
            holds(format!("called {word:?}"))
        })
        .await;
    let Some((near, far)) = primaries else { return };
    // Streams first: on i2pd a subsession of another kind ends the whole session, if it is asked for one.
    let mut given = Some(&far);
    report
        .check(
            "subsessions carry streams, each those to its port",
            with_sessions(async || match given.take() {
                Some(far) => streams(lab, far).await,
                None => streams(lab, &make(&lab.bridges.peer.far).await?).await,
            }),
        )
        .await;
    report.check("subsessions carry datagrams beside streams", datagrams(lab, &near, &far)).await;
}

async fn streams(lab: &Lab<'_>, far: &PrimarySession) -> Outcome {
    let any = far.add_streams(0).await.promised("a subsession for streams")?;
    ensure(any.destination() == far.destination(), || "a subsession has another destination".into())?;
    let others = Service::accepting(&any, 1);
    let to = I2pName::Destination(Box::new(far.destination().clone()));
    let patience = lab.bridges.patience();
    let tried =
        until_each(patience, patience / FIRST, async || visit(&lab.near, &to, 0).await.map(|(_, tag)| tag));
    let tried = tried.await.map_err(|why| Failure::new(format!("{why}{}", said(&others))))?;
    others.visit(tried.value)?;
    if !lab.bridges.capabilities.stream_ports() {
        return holds("one for all ports, since this router carries none");
    }
    let exact = far.add_streams(PORT).await.promised("a subsession for streams to a port")?;
    let service = Service::accepting(&exact, 1);
    let tried = until_each(patience, patience / FIRST, async || {
        let (_, tag) = visit(&lab.near, &to, PORT).await?;
        service.visit(tag).map(drop)
    });
    tried.await.map_err(|why| Failure::new(format!("promised: stream ports are carried; {why}")))?;
    ensure(far.is_alive(), || "promised: the session stays; it is gone".into())?;
    holds("two, by port")
}

async fn datagrams(lab: &Lab<'_>, near: &PrimarySession, far: &PrimarySession) -> Outcome {
    if !lab.bridges.capabilities.datagrams_beside_streams(STYLE) {
        return match far.add_datagrams(STYLE, ANY).await {
            Err(error @ Error::Unsupported { .. }) => {
                ensure(far.is_alive(), || "promised: no harm done; the session is gone".into())?;
                Ok(Verdict::NotApplicable(error.to_string()))
            }
            Err(error) => Err(Failure::new(format!("promised: Error::Unsupported; {error}"))),
            Ok(_) => Err(Failure::new("promised: Error::Unsupported; it was added")),
        };
    }
    let from = near.add_datagrams(STYLE, ANY).await.promised("a subsession for datagrams")?;
    let to = far.add_datagrams(STYLE, ANY).await.promised("a subsession for datagrams")?;
    let tried = deliver(&from, &to, ANY, b"beside streams", lab.bridges.patience()).await?;
    let from_near = i2p_sam::Sender::Destination(near.destination().clone());
    ensure(tried.value.sender == from_near, || {
        "promised: the sender's destination; another was told".into()
    })?;
    holds(tried.seen())
}

/// What the router said to a service, if it was anything.
fn said(service: &Service) -> String {
    service.refusals().last().map_or_else(String::new, |said| format!("; to the acceptor: {said}"))
}

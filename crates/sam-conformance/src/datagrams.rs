//! Sessions for datagrams of each kind.

use std::time::Duration;

use i2p_name::Destination;
use i2p_sam::{Bridge, DatagramPeer, DatagramSession, DatagramStyle, Error, MAX_PACKET_BYTES, Ports, Sender};

use crate::{
    expected::{Claim, claim},
    lab::{Bridges, TUNNELS, with_sessions},
    report::{Failure, Outcome, Promised, Report, Verdict, ensure, holds},
    retry::{Tried, until, until_each, within},
    service::payload,
};

/// Each kind, and what it is called.
const STYLES: [(DatagramStyle, &str); 4] = [
    (DatagramStyle::Datagram, "DATAGRAM"),
    (DatagramStyle::Datagram2, "DATAGRAM2"),
    (DatagramStyle::Datagram3, "DATAGRAM3"),
    (DatagramStyle::Raw { protocol: None }, "RAW"),
];
/// Bytes of payload, besides the least: what every router carries.
const SIZES: [usize; 2] = [1_000, 4_000];
/// How long one datagram may be on its way, before it counts as lost and is sent again.
const ARRIVAL: Duration = Duration::from_secs(2);
const ANY: Ports = Ports { from: 0, to: 0 };
const SOME: Ports = Ports { from: 7, to: 8 };

/// A datagram that came.
pub(crate) struct Datagram {
    pub(crate) sender: Sender,
    pub(crate) ports: Ports,
}

pub(crate) async fn check(bridges: &Bridges<'_>, report: &Report) {
    let [a, b, c, d] = STYLES.map(|(style, word)| Box::pin(style_of(bridges, report, style, word)));
    tokio::join!(a, b, c, d);
}

async fn style_of(bridges: &Bridges<'_>, report: &Report, style: DatagramStyle, word: &str) {
    match claim(bridges.capabilities, style) {
        Claim::Yes => carried(bridges, report, style, word).await,
        Claim::Perhaps => {
            let name = format!("{word}, which the version does not tell of, is there or refused");
            report.check(&name, perhaps(bridges, style)).await;
        }
        Claim::No => {
            report
                .check(&format!("{word} is refused before the router hears of it"), refused(bridges, style))
                .await;
        }
    }
}

async fn refused(bridges: &Bridges<'_>, style: DatagramStyle) -> Outcome {
    let near = &bridges.peer.near;
    match near.create_datagram_session(style, ANY, &bridges.unpublished()).await {
        Err(error @ Error::Unsupported { .. }) => {
            near.generate_keys().await.promised("a bridge that is as before")?;
            Ok(Verdict::NotApplicable(error.to_string()))
        }
        Err(error) => Err(Failure::new(format!("promised: Error::Unsupported; {error}"))),
        Ok(_) => Err(Failure::new("promised: Error::Unsupported; the router opened the session")),
    }
}

async fn perhaps(bridges: &Bridges<'_>, style: DatagramStyle) -> Outcome {
    let near = &bridges.peer.near;
    let options = bridges.unpublished();
    let result = near.create_datagram_session(style, ANY, &options).await;
    near.generate_keys().await.promised("a bridge that is as before")?;
    match result {
        Ok(_) => holds("it is there"),
        Err(error @ Error::Refused { .. }) => holds(error.to_string()),
        Err(error) => Err(Failure::new(format!("promised: a session or Error::Refused; {error}"))),
    }
}

/// Two sessions, and what goes between them.
struct Pair {
    near: DatagramSession,
    far: DatagramSession,
}

async fn carried(bridges: &Bridges<'_>, report: &Report, style: DatagramStyle, word: &str) {
    let mut pair = None;
    report
        .check(&format!("{word}: a datagram arrives"), async {
            let (found, seen) = find(bridges, style).await?;
            pair = Some(found);
            holds(seen)
        })
        .await;
    let Some(pair) = pair else { return };
    let patience = bridges.patience();
    report.check(&format!("{word}: it says who sent it"), sender(bridges, &pair, style)).await;
    report
        .check(&format!("{word}: payloads of 1 to 4,000 bytes, unchanged"), sizes(bridges, &pair, style))
        .await;
    report.check(&format!("{word}: an answer to the sender"), answer(&pair, patience)).await;
    report.check(&format!("{word}: its ports"), ports(bridges, &pair)).await;
    report.check(&format!("{word}: empty and too long ones are refused"), lengths(&pair)).await;
}

/// Opens two sessions until a datagram goes from one to the other.
async fn find(bridges: &Bridges<'_>, style: DatagramStyle) -> Result<(Pair, String), Failure> {
    let options = bridges.published();
    let open = async |bridge: &Bridge| {
        let create = async || {
            bridge.create_datagram_session(style, ANY, &options).await.promised("a session for datagrams")
        };
        until_each(bridges.patience(), TUNNELS, create).await.map(|tried| tried.value)
    };
    with_sessions(async || {
        let (near, far) = tokio::try_join!(open(&bridges.peer.near), open(&bridges.peer.far))?;
        let seen = deliver(&near, &far, ANY, b"is anybody there", bridges.patience()).await?.seen();
        Ok((Pair { near, far }, seen))
    })
    .await
}

/// Sends a datagram until it arrives. What arrives besides, earlier copies among it, is skipped.
pub(crate) async fn deliver(
    from: &DatagramSession,
    to: &DatagramSession,
    ports: Ports,
    payload: &[u8],
    patience: Duration,
) -> Result<Tried<Datagram>, Failure> {
    let peer = DatagramPeer::from(to.session().destination());
    deliver_to(from, &peer, to, ports, payload, patience).await
}

async fn deliver_to(
    from: &DatagramSession,
    peer: &DatagramPeer,
    to: &DatagramSession,
    ports: Ports,
    payload: &[u8],
    patience: Duration,
) -> Result<Tried<Datagram>, Failure> {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    until(patience, async || {
        from.send(peer, ports, payload).await.promised("a datagram is sent")?;
        let what = format!("a datagram of {} bytes", payload.len());
        within(ARRIVAL, what, async {
            loop {
                let received = to.receive(&mut buffer).await.promised("a datagram arrives")?;
                if received.payload == payload {
                    let sender = received.sender.decode().promised("a sender that can be read")?;
                    return Ok(Datagram { sender, ports: received.ports });
                }
            }
        })
        .await?
    })
    .await
}

async fn sender(bridges: &Bridges<'_>, pair: &Pair, style: DatagramStyle) -> Outcome {
    let own: &Destination = pair.near.session().destination();
    let (expected, seen) = match style {
        DatagramStyle::Datagram3 if !bridges.expected.datagram3_says_destination => {
            (Sender::Hash(own.b32()), "a hash")
        }
        DatagramStyle::Raw { .. } => (Sender::Unknown, "nobody"),
        _ => (Sender::Destination(own.clone()), "a destination"),
    };
    let tried = deliver(&pair.near, &pair.far, ANY, b"who am I", bridges.patience()).await?;
    ensure(tried.value.sender == expected, || format!("promised: {seen}, the sender's; another came"))?;
    holds(seen)
}

async fn sizes(bridges: &Bridges<'_>, pair: &Pair, style: DatagramStyle) -> Outcome {
    let least = match style {
        DatagramStyle::Raw { .. } => bridges.expected.smallest_raw,
        _ => 1,
    };
    for size in std::iter::once(least).chain(SIZES) {
        deliver(&pair.near, &pair.far, ANY, &payload(size, 3), bridges.patience()).await?;
    }
    holds(if least > 1 { format!("from {least} bytes on") } else { String::new() })
}

/// By what the far end was told of the sender; a raw datagram tells nothing, so that it has to be known.
async fn answer(pair: &Pair, patience: Duration) -> Outcome {
    let question = deliver(&pair.near, &pair.far, ANY, b"what time is it", patience).await?;
    let to = match question.value.sender {
        Sender::Destination(destination) => destination,
        Sender::Hash(_) | Sender::Unknown => pair.near.session().destination().clone(),
    };
    let peer = DatagramPeer::from(&to);
    let tried = deliver_to(&pair.far, &peer, &pair.near, ANY, b"noon", patience).await?;
    holds(tried.seen())
}

async fn ports(bridges: &Bridges<'_>, pair: &Pair) -> Outcome {
    let carried = bridges.capabilities.datagram_ports();
    let tried = deliver(&pair.near, &pair.far, SOME, b"to a port", bridges.patience()).await?;
    let expected = if carried { SOME } else { ANY };
    let got = tried.value.ports;
    ensure(got == expected, || format!("promised: {expected:?}; {got:?} came"))?;
    if carried {
        holds(format!("from {} to {}", got.from, got.to))
    } else {
        Ok(Verdict::NotApplicable("this router carries none; the datagram arrives all the same".into()))
    }
}

async fn lengths(pair: &Pair) -> Outcome {
    let peer = DatagramPeer::from(pair.far.session().destination());
    for length in [0, pair.near.max_payload() + 1] {
        match pair.near.send(&peer, ANY, &vec![0; length]).await {
            Err(Error::DatagramLength { .. }) => {}
            Err(error) => return Err(Failure::new(format!("promised: Error::DatagramLength; {error}"))),
            Ok(()) => {
                return Err(Failure::new(format!("promised: Error::DatagramLength; {length} were sent")));
            }
        }
    }
    holds("")
}

//! Sessions for datagrams of each kind.

use std::time::Duration;

use i2p_name::Destination;
use i2p_sam::{Bridge, DatagramPeer, DatagramSession, DatagramStyle, Error, MAX_PACKET_BYTES, Ports, Sender};

use crate::{
    expected::{StyleSupport, style_support},
    pair::{Bridges, TUNNEL_TIMEOUT, with_sessions},
    report::{CheckFailure, CheckOutcome, CheckResult, ConformanceReport, Promised, ensure, holds},
    retry::{Tried, until, until_each, within},
    service::payload,
};

/// Each kind and its name.
const STYLES: [(DatagramStyle, &str); 4] = [
    (DatagramStyle::Datagram, "DATAGRAM"),
    (DatagramStyle::Datagram2, "DATAGRAM2"),
    (DatagramStyle::Datagram3, "DATAGRAM3"),
    (DatagramStyle::Raw { protocol: None }, "RAW"),
];
/// Payload lengths in bytes, besides the shortest: every router carries them.
const PAYLOAD_BYTES: [usize; 2] = [1_000, 4_000];
/// After how long a datagram counts as lost and is sent again.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(2);
const ANY_PORTS: Ports = Ports { from: 0, to: 0 };
const SOME_PORTS: Ports = Ports { from: 7, to: 8 };

/// A datagram that has arrived.
pub(crate) struct Arrived {
    pub(crate) sender: Sender,
    pub(crate) ports: Ports,
}

pub(crate) async fn check(bridges: &Bridges<'_>, report: &ConformanceReport) {
    let [a, b, c, d] = STYLES.map(|(style, word)| Box::pin(style_of(bridges, report, style, word)));
    tokio::join!(a, b, c, d);
}

async fn style_of(bridges: &Bridges<'_>, report: &ConformanceReport, style: DatagramStyle, word: &str) {
    match style_support(bridges.capabilities, style) {
        StyleSupport::Yes => carried(bridges, report, style, word).await,
        StyleSupport::Perhaps => {
            let name = format!("{word}, which the version does not tell of, is supported or refused");
            report.check(&name, opened_or_refused(bridges, style)).await;
        }
        StyleSupport::No => {
            report
                .check(&format!("{word} is refused without asking the router"), refused(bridges, style))
                .await;
        }
    }
}

async fn refused(bridges: &Bridges<'_>, style: DatagramStyle) -> CheckResult {
    let near = &bridges.peer.near;
    match near.create_datagram_session(style, ANY_PORTS, &bridges.unpublished()).await {
        Err(error @ Error::Unsupported { .. }) => {
            near.generate_keys().await.promised("a bridge that still answers")?;
            Ok(CheckOutcome::NotApplicable(error.to_string()))
        }
        Err(error) => Err(CheckFailure::new(format!("promised: Error::Unsupported; {error}"))),
        Ok(_) => Err(CheckFailure::new("promised: Error::Unsupported; the router opened the session")),
    }
}

async fn opened_or_refused(bridges: &Bridges<'_>, style: DatagramStyle) -> CheckResult {
    let near = &bridges.peer.near;
    let options = bridges.unpublished();
    let result = near.create_datagram_session(style, ANY_PORTS, &options).await;
    near.generate_keys().await.promised("a bridge that still answers")?;
    match result {
        Ok(_) => holds("supported"),
        Err(error @ Error::Refused { .. }) => holds(error.to_string()),
        Err(error) => Err(CheckFailure::new(format!("promised: a session or Error::Refused; {error}"))),
    }
}

/// Two sessions that exchange datagrams.
struct DatagramPair {
    near: DatagramSession,
    far: DatagramSession,
}

async fn carried(bridges: &Bridges<'_>, report: &ConformanceReport, style: DatagramStyle, word: &str) {
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
    report.check(&format!("{word}: it names its sender"), sender(bridges, &pair, style)).await;
    report
        .check(&format!("{word}: payloads of 1 to 4,000 bytes, unchanged"), sizes(bridges, &pair, style))
        .await;
    report.check(&format!("{word}: an answer to the sender"), answer(&pair, patience)).await;
    report.check(&format!("{word}: its ports"), ports(bridges, &pair)).await;
    report.check(&format!("{word}: empty and too long datagrams are refused"), lengths(&pair)).await;
}

/// Opens two sessions, and new ones until a datagram arrives.
async fn find(bridges: &Bridges<'_>, style: DatagramStyle) -> Result<(DatagramPair, String), CheckFailure> {
    let options = bridges.published();
    let open = async |bridge: &Bridge| {
        let create = async || {
            bridge
                .create_datagram_session(style, ANY_PORTS, &options)
                .await
                .promised("a session for datagrams")
        };
        until_each(bridges.patience(), TUNNEL_TIMEOUT, create).await.map(|tried| tried.value)
    };
    with_sessions(async || {
        let (near, far) = tokio::try_join!(open(&bridges.peer.near), open(&bridges.peer.far))?;
        let seen = deliver(&near, &far, ANY_PORTS, b"is anybody there", bridges.patience()).await?.seen();
        Ok((DatagramPair { near, far }, seen))
    })
    .await
}

/// Sends a datagram until it arrives. Other datagrams, such as earlier copies, are skipped.
pub(crate) async fn deliver(
    from: &DatagramSession,
    to: &DatagramSession,
    ports: Ports,
    payload: &[u8],
    patience: Duration,
) -> Result<Tried<Arrived>, CheckFailure> {
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
) -> Result<Tried<Arrived>, CheckFailure> {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    until(patience, async || {
        from.send(peer, ports, payload).await.promised("a datagram is sent")?;
        let what = format!("a datagram of {} bytes", payload.len());
        within(ARRIVAL_TIMEOUT, what, async {
            loop {
                let received = to.receive(&mut buffer).await.promised("a datagram arrives")?;
                if received.payload == payload {
                    let sender = received.sender.decode().promised("a sender that can be read")?;
                    return Ok(Arrived { sender, ports: received.ports });
                }
            }
        })
        .await?
    })
    .await
}

async fn sender(bridges: &Bridges<'_>, pair: &DatagramPair, style: DatagramStyle) -> CheckResult {
    let own: &Destination = pair.near.session().destination();
    let (expected, seen) = match style {
        DatagramStyle::Datagram3 => (Sender::Hash(own.b32()), "a hash"),
        DatagramStyle::Raw { .. } => (Sender::Unknown, "nobody"),
        _ => (Sender::Destination(own.clone()), "a destination"),
    };
    let tried = deliver(&pair.near, &pair.far, ANY_PORTS, b"who am I", bridges.patience()).await?;
    ensure(tried.value.sender == expected, || format!("promised: {seen}, the sender's; another arrived"))?;
    holds(seen)
}

async fn sizes(bridges: &Bridges<'_>, pair: &DatagramPair, style: DatagramStyle) -> CheckResult {
    let min = match style {
        DatagramStyle::Raw { .. } => bridges.expected.min_raw_bytes,
        _ => 1,
    };
    for size in std::iter::once(min).chain(PAYLOAD_BYTES) {
        deliver(&pair.near, &pair.far, ANY_PORTS, &payload(size, 3), bridges.patience()).await?;
    }
    holds(if min > 1 { format!("from {min} bytes on") } else { String::new() })
}

/// Answers the sender that the datagram names. A raw datagram names none, so the sender's destination is used.
async fn answer(pair: &DatagramPair, patience: Duration) -> CheckResult {
    let question = deliver(&pair.near, &pair.far, ANY_PORTS, b"what time is it", patience).await?;
    let to = match question.value.sender {
        Sender::Destination(destination) => destination,
        Sender::Hash(_) | Sender::Unknown => pair.near.session().destination().clone(),
    };
    let peer = DatagramPeer::from(&to);
    let tried = deliver_to(&pair.far, &peer, &pair.near, ANY_PORTS, b"noon", patience).await?;
    holds(tried.seen())
}

async fn ports(bridges: &Bridges<'_>, pair: &DatagramPair) -> CheckResult {
    let carried = bridges.capabilities.datagram_ports();
    let tried = deliver(&pair.near, &pair.far, SOME_PORTS, b"to a port", bridges.patience()).await?;
    let expected = if carried { SOME_PORTS } else { ANY_PORTS };
    let got = tried.value.ports;
    ensure(got == expected, || format!("promised: {expected:?}; {got:?} arrived"))?;
    if carried {
        holds(format!("from {} to {}", got.from, got.to))
    } else {
        Ok(CheckOutcome::NotApplicable(
            "this router carries no ports; the datagram arrives without them".into(),
        ))
    }
}

async fn lengths(pair: &DatagramPair) -> CheckResult {
    let peer = DatagramPeer::from(pair.far.session().destination());
    for length in [0, pair.near.max_payload() + 1] {
        match pair.near.send(&peer, ANY_PORTS, &vec![0; length]).await {
            Err(Error::DatagramLength { .. }) => {}
            Err(error) => return Err(CheckFailure::new(format!("promised: Error::DatagramLength; {error}"))),
            Ok(()) => {
                return Err(CheckFailure::new(format!(
                    "promised: Error::DatagramLength; {length} were sent"
                )));
            }
        }
    }
    holds("")
}

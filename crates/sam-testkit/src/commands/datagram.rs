//! Datagrams: over UDP and over control connections, from session to session or to an echo and back.

use std::{io, sync::Arc};

use tokio::net::UdpSocket;

use super::naming::{Resolved, resolve};
use crate::{
    command::Command,
    connection::{BridgeState, Connection, NextStep},
    destination::KeyPair,
    dialect::Dialect,
    endpoint::Endpoint,
    recorder::lock,
    registry::{DestinationOwner, Session, SessionStyle},
    relay,
};

/// The longest payload of a repliable datagram, in bytes (SAM v3, "SAM repliable datagrams").
const MAX_REPLIABLE_BYTES: usize = 31_744;
/// The longest payload of a raw datagram, in bytes (SAM v3, "SAM anonymous datagrams").
const MAX_RAW_BYTES: usize = 32_768;
/// How many bytes of a packet, with its first line, emissary reads and passes on, as measured.
const EMISSARY_BUFFER_BYTES: usize = 8_192;
/// i2pd 2.45.1 loses raw datagrams of one and two bytes.
const MIN_I2PD_RAW_BYTES: usize = 3;
/// The longest first line of a datagram, in bytes.
const MAX_HEADER_BYTES: usize = 2_048;

/// A datagram that is being delivered.
struct Datagram<'a> {
    from: &'a Session,
    from_port: u16,
    to_port: u16,
    protocol: u8,
    payload: &'a [u8],
}

/// Receives datagrams of clients over UDP, for ever.
pub(crate) async fn serve(socket: Arc<UdpSocket>, shared: Arc<BridgeState>) {
    let mut bytes = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut bytes).await {
            Ok((length, _)) => {
                let datagram = bytes.get(..length).unwrap_or_default();
                shared.recorder.datagram(datagram);
                // A bad datagram is dropped without an answer.
                let _ = over_udp(datagram, &shared).await;
            }
            // An earlier datagram of ours had no receiver.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Delivers a packet: `3.x ID DESTINATION [options]`, a newline, the payload. `None` when it is dropped.
async fn over_udp(datagram: &[u8], shared: &BridgeState) -> Option<()> {
    let datagram = match shared.dialect {
        Dialect::Emissary => datagram.get(..EMISSARY_BUFFER_BYTES).unwrap_or(datagram),
        _ => datagram,
    };
    let end = datagram.iter().position(|&byte| byte == b'\n').filter(|end| *end <= MAX_HEADER_BYTES)?;
    let (header, payload) = (datagram.get(..end)?, datagram.get(end + 1..)?);
    let header = std::str::from_utf8(header).ok()?.trim_end_matches('\r');
    let mut words = header.splitn(4, ' ');
    words.next().filter(|version| version.starts_with("3."))?;
    let session = shared.registry.session(words.next()?)?;
    let to = words.next()?;
    // Parsed like a command, so that the dialect's own rules apply to the options.
    let options =
        Command::parse(&format!("- - {}", words.next().unwrap_or_default()), shared.dialect).ok()?;
    // i2pd before 2.58 and emissary accept no names here.
    let no_names = matches!(shared.dialect, Dialect::I2pd245 | Dialect::I2pd256 | Dialect::Emissary);
    if to.contains(".i2p") && no_names {
        return None;
    }
    deliver(shared, &session, to, &options, payload).await
}

/// `DATAGRAM SEND` and `RAW SEND` on a control connection: `SIZE` bytes follow the line.
pub(crate) async fn send(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    // emissary ignores the command.
    if connection.shared.dialect == Dialect::Emissary {
        return Ok(NextStep::Listen);
    }
    let size = command.number::<usize>("SIZE").ok().flatten().filter(|size| *size <= MAX_RAW_BYTES);
    let (Some(size), Some(to)) = (size, command.get("DESTINATION")) else { return Ok(NextStep::Close) };
    while connection.wire.buffer.len() < size {
        if relay::receive(&connection.wire.stream, &mut connection.wire.buffer).await? == 0 {
            return Ok(NextStep::Close);
        }
    }
    let rest = connection.wire.buffer.split_off(size);
    let payload = std::mem::replace(&mut connection.wire.buffer, rest);
    let raw = command.verb == "RAW";
    if let Some(session) = connection.held.session().filter(|session| {
        session.style.is_datagram() && (session.style == SessionStyle::Raw) == raw && session.parent.is_none()
    }) {
        let session = Arc::clone(session);
        let _ = deliver(&connection.shared, &session, to, command, &payload).await;
    }
    Ok(NextStep::Listen)
}

/// Delivers a datagram to its destination. `None` when it is dropped.
async fn deliver(
    shared: &BridgeState,
    from: &Session,
    to: &str,
    options: &Command,
    payload: &[u8],
) -> Option<()> {
    let max = match (shared.dialect, from.style) {
        (_, SessionStyle::Stream | SessionStyle::Primary) => return None,
        (_, SessionStyle::Raw) => MAX_RAW_BYTES,
        _ => MAX_REPLIABLE_BYTES,
    };
    let min = if (shared.dialect, from.style) == (Dialect::I2pd245, SessionStyle::Raw) {
        MIN_I2PD_RAW_BYTES
    } else {
        1
    };
    if payload.len() < min || payload.len() > max {
        return None;
    }
    let Resolved::Destination(destination) = resolve(shared, to) else { return None };
    // i2pd and emissary carry no ports.
    let has_ports = shared.dialect == Dialect::Java;
    let port = |key, own| match options.number::<u16>(key) {
        Ok(Some(port)) if has_ports => port,
        _ if has_ports => own,
        _ => 0,
    };
    let protocol = match from.style {
        SessionStyle::Raw => options.number("PROTOCOL").ok().flatten().unwrap_or(from.ports.protocol),
        style => style.protocol(),
    };
    let (from_port, to_port) = (port("FROM_PORT", from.ports.from), port("TO_PORT", from.ports.to));
    match shared.registry.owner(&destination) {
        DestinationOwner::Sessions(sessions) => {
            let datagram = Datagram { from, from_port, to_port, protocol, payload };
            let to = listener(&sessions, &datagram)?;
            hand_over(shared, to, &from.keys, &datagram).await
        }
        DestinationOwner::FarEnd(far_end) if matches!(far_end.endpoint, Endpoint::Echo) => {
            // Back to the sender, with the ports swapped.
            let datagram = Datagram { from, from_port: to_port, to_port: from_port, protocol, payload };
            hand_over(shared, from, &far_end.keys, &datagram).await
        }
        DestinationOwner::FarEnd(_) | DestinationOwner::Nobody => None,
    }
}

/// The session that listens to the datagram's protocol and port. 0 is "any"; an exact match comes first.
fn listener<'a>(sessions: &'a [Arc<Session>], datagram: &Datagram<'_>) -> Option<&'a Session> {
    let listens = |session: &&Arc<Session>| {
        let ports = session.ports;
        let style = (session.style == SessionStyle::Raw) == (datagram.from.style == SessionStyle::Raw);
        let protocol = ports.listen_protocol == datagram.protocol || ports.listen_protocol == 0;
        session.style.is_datagram()
            && style
            && protocol
            && (ports.listen == datagram.to_port || ports.listen == 0)
    };
    let any = |session: &&Arc<Session>| (session.ports.listen == 0, session.ports.listen_protocol == 0);
    sessions.iter().filter(listens).min_by_key(any).map(|session| &**session)
}

/// Sends a datagram to a session: to its UDP port, or else to its control connection.
async fn hand_over(
    shared: &BridgeState,
    to: &Session,
    source: &KeyPair,
    datagram: &Datagram<'_>,
) -> Option<()> {
    let Datagram { from_port, to_port, protocol, payload, .. } = datagram;
    let is_raw = to.style == SessionStyle::Raw;
    let source = match (shared.dialect, to.style) {
        (_, SessionStyle::Datagram3) => source.hash(),
        _ => source.public.clone(),
    };
    let ports = match shared.dialect {
        Dialect::Java => to.version >= (3, 2),
        Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => false,
        // emissary always sends the ports, except with raw datagrams.
        Dialect::Emissary => !is_raw,
    };
    let ports = if ports { format!(" FROM_PORT={from_port} TO_PORT={to_port}") } else { String::new() };
    let Some(address) = to.datagrams_to else {
        let size = payload.len();
        let head = match (is_raw, ports.is_empty()) {
            (false, _) => format!("DATAGRAM RECEIVED DESTINATION={source} SIZE={size}{ports}\n"),
            (true, false) => format!("RAW RECEIVED SIZE={size}{ports} PROTOCOL={protocol}\n"),
            (true, true) => format!("RAW RECEIVED SIZE={size}\n"),
        };
        return to.control.send([head.as_bytes(), payload].concat()).ok();
    };
    let head = match (is_raw, to.header && shared.dialect == Dialect::Java) {
        (false, _) => format!("{source}{ports}\n"),
        // This is the order that Java uses; the specification has another one.
        (true, true) => format!("PROTOCOL={protocol} FROM_PORT={from_port} TO_PORT={to_port}\n"),
        (true, false) => String::new(),
    };
    let socket = Arc::clone(&lock(&shared.udp));
    socket.send_to(&[head.as_bytes(), payload].concat(), address).await.ok().map(|_| ())
}

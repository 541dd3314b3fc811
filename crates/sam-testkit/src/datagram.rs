//! Datagrams: over UDP and over control connections, from session to session or to an echo and back.

use std::{io, sync::Arc};

use tokio::net::UdpSocket;

use crate::{
    Dialect,
    command::Command,
    connection::{Connection, Next, Shared},
    destination::Keys,
    endpoint::Endpoint,
    naming::{Resolved, resolve},
    recorder::lock,
    registry::{Reach, Session, Style},
    relay,
};

/// Bytes of payload that get through (SAM v3, "SAM repliable datagrams" and "SAM anonymous datagrams").
const LONGEST_REPLIABLE: usize = 31_744;
const LONGEST_RAW: usize = 32_768;
/// emissary reads so much of a packet, its first line included, and passes on what it has read, as measured.
const EMISSARY_BUFFER: usize = 8_192;
/// i2pd 2.45.1 loses raw datagrams of one and two bytes.
const SHORTEST_I2PD_RAW: usize = 3;
/// The first line of a datagram (J18).
const LONGEST_HEADER: usize = 2_048;

/// One datagram on its way.
struct Datagram<'a> {
    from: &'a Session,
    from_port: u16,
    to_port: u16,
    protocol: u8,
    payload: &'a [u8],
}

/// Takes datagrams of clients until the socket breaks.
pub(crate) async fn serve(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut bytes = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut bytes).await {
            Ok((length, _)) => {
                let datagram = bytes.get(..length).unwrap_or_default();
                shared.recorder.datagram(datagram);
                // Nothing is ever answered to a bad datagram.
                let _ = over_udp(datagram, &shared).await;
            }
            // An earlier datagram of ours had no receiver; that is no reason to stop.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// `3.x ID DESTINATION [options]`, a newline, the payload. `None` for what is dropped.
async fn over_udp(datagram: &[u8], shared: &Shared) -> Option<()> {
    let datagram = match shared.dialect {
        Dialect::Emissary => datagram.get(..EMISSARY_BUFFER).unwrap_or(datagram),
        _ => datagram,
    };
    let end = datagram.iter().position(|&byte| byte == b'\n').filter(|end| *end <= LONGEST_HEADER)?;
    let (header, payload) = (datagram.get(..end)?, datagram.get(end + 1..)?);
    let header = std::str::from_utf8(header).ok()?.trim_end_matches('\r');
    let mut words = header.splitn(4, ' ');
    words.next().filter(|version| version.starts_with("3."))?;
    let session = shared.registry.session(words.next()?)?;
    let to = words.next()?;
    // The words of a command, so that the dialect's own rules read the options.
    let options =
        Command::parse(&format!("- - {}", words.next().unwrap_or_default()), shared.dialect).ok()?;
    // D24: the older i2pd knows no names here; emissary neither, as recorded.
    if to.contains(".i2p") && matches!(shared.dialect, Dialect::I2pd | Dialect::Emissary) {
        return None;
    }
    deliver(shared, &session, to, &options, payload).await
}

/// `DATAGRAM SEND` and `RAW SEND` on a control connection: `SIZE` bytes follow the line.
pub(crate) async fn send(connection: &mut Connection, command: &Command) -> io::Result<Next> {
    // E5.
    if connection.shared.dialect == Dialect::Emissary {
        return Ok(Next::Listen);
    }
    let size = command.number::<usize>("SIZE").ok().flatten().filter(|size| *size <= LONGEST_RAW);
    let (Some(size), Some(to)) = (size, command.get("DESTINATION")) else { return Ok(Next::Close) };
    while connection.wire.buffer.len() < size {
        if relay::receive(&connection.wire.stream, &mut connection.wire.buffer).await? == 0 {
            return Ok(Next::Close);
        }
    }
    let rest = connection.wire.buffer.split_off(size);
    let payload = std::mem::replace(&mut connection.wire.buffer, rest);
    let raw = command.verb == "RAW";
    if let Some(session) = connection.held.session().filter(|session| {
        session.style.is_datagram() && (session.style == Style::Raw) == raw && session.parent.is_none()
    }) {
        let session = Arc::clone(session);
        let _ = deliver(&connection.shared, &session, to, command, &payload).await;
    }
    Ok(Next::Listen)
}

/// Brings a datagram to its destination; `None` where it is dropped.
async fn deliver(shared: &Shared, from: &Session, to: &str, options: &Command, payload: &[u8]) -> Option<()> {
    let longest = match (shared.dialect, from.style) {
        (_, Style::Stream | Style::Primary) => return None,
        (_, Style::Raw) => LONGEST_RAW,
        _ => LONGEST_REPLIABLE,
    };
    let least =
        if (shared.dialect, from.style) == (Dialect::I2pd, Style::Raw) { SHORTEST_I2PD_RAW } else { 1 };
    if payload.len() < least || payload.len() > longest {
        return None;
    }
    let Resolved::Destination(destination) = resolve(shared, to) else { return None };
    // D23; emissary, as recorded, hears of no ports either.
    let has_ports = shared.dialect == Dialect::Java;
    let port = |key, own| match options.number::<u16>(key) {
        Ok(Some(port)) if has_ports => port,
        _ if has_ports => own,
        _ => 0,
    };
    let protocol = match from.style {
        Style::Raw => options.number("PROTOCOL").ok().flatten().unwrap_or(from.ports.protocol),
        style => style.protocol(),
    };
    let (from_port, to_port) = (port("FROM_PORT", from.ports.from), port("TO_PORT", from.ports.to));
    match shared.registry.reach(&destination) {
        Reach::Sessions(sessions) => {
            let datagram = Datagram { from, from_port, to_port, protocol, payload };
            let to = listener(&sessions, &datagram)?;
            hand_over(shared, to, &from.keys, &datagram).await
        }
        Reach::Host(host) if matches!(host.endpoint, Endpoint::Echo) => {
            // Back to where it came from, the ports the other way round.
            let datagram = Datagram { from, from_port: to_port, to_port: from_port, protocol, payload };
            hand_over(shared, from, &host.keys, &datagram).await
        }
        Reach::Host(_) | Reach::Nobody => None,
    }
}

/// The session that listens to the datagram's protocol and port; 0 is "any", and what is exact goes first.
fn listener<'a>(sessions: &'a [Arc<Session>], datagram: &Datagram<'_>) -> Option<&'a Session> {
    let hears = |session: &&Arc<Session>| {
        let ports = session.ports;
        let style = (session.style == Style::Raw) == (datagram.from.style == Style::Raw);
        let protocol = ports.listen_protocol == datagram.protocol || ports.listen_protocol == 0;
        session.style.is_datagram()
            && style
            && protocol
            && (ports.listen == datagram.to_port || ports.listen == 0)
    };
    let any = |session: &&Arc<Session>| (session.ports.listen == 0, session.ports.listen_protocol == 0);
    sessions.iter().filter(hears).min_by_key(any).map(|session| &**session)
}

/// Gives a datagram to a session: to its UDP port, or to its control connection where it has none.
async fn hand_over(shared: &Shared, to: &Session, source: &Keys, datagram: &Datagram<'_>) -> Option<()> {
    let Datagram { from_port, to_port, protocol, payload, .. } = datagram;
    let is_raw = to.style == Style::Raw;
    let source = match (shared.dialect, to.style) {
        (Dialect::Java, Style::Datagram3) => source.hash(),
        // As recorded, i2pd's master says the destination whatever the kind.
        _ => source.public.clone(),
    };
    let ports = match shared.dialect {
        Dialect::Java => to.version >= (3, 2),
        Dialect::I2pd | Dialect::I2pdMaster => false,
        // E19: always.
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
        // J18: not in the order of the specification.
        (true, true) => format!("PROTOCOL={protocol} FROM_PORT={from_port} TO_PORT={to_port}\n"),
        (true, false) => String::new(),
    };
    let socket = Arc::clone(&lock(&shared.udp));
    socket.send_to(&[head.as_bytes(), payload].concat(), address).await.ok().map(|_| ())
}

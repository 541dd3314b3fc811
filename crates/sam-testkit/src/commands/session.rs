//! SESSION CREATE, ADD and REMOVE.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::{mpsc, watch};

use super::naming::signature_type;
use crate::{
    command::Command,
    connection::{Connection, NextStep},
    destination::{KeyPair, SignatureType},
    dialect::Dialect,
    registry::{Duplicate, Session, SessionPorts, SessionStyle, SharedDestination},
};

/// Why a session is not created. The messages are those of Java and i2pd; emissary sends none.
enum SessionRefusal {
    /// A result word, and a message if there is one.
    Result(&'static str, Option<String>),
    /// `I2P_ERROR` with a message and the ID of the subsession.
    OfSubsession(String),
    Duplicate(Duplicate),
    /// The router does not answer.
    Ignored,
}

impl SessionRefusal {
    fn message(text: impl Into<String>) -> Self {
        Self::Result("I2P_ERROR", Some(text.into()))
    }
}

pub(crate) async fn behave(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    let result = match (command.action.as_str(), dialect) {
        ("CREATE", Dialect::I2pd245 | Dialect::I2pd256) if crashes_i2pd(command) => {
            return Ok(NextStep::Close);
        }
        ("CREATE", _) => create(connection, command),
        ("ADD", _) => add(connection, command),
        ("REMOVE", Dialect::Java | Dialect::I2pd259) => remove(connection, command),
        // Java checks the ID before it checks the word.
        (_, Dialect::Java) => Err(match command.get("ID") {
            None => SessionRefusal::message("ID not specified"),
            Some(_) => {
                SessionRefusal::message(format!("Unrecognized SESSION message opcode: {}", command.action))
            }
        }),
        (_, Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259) => return Ok(NextStep::Close),
        (_, Dialect::Emissary) => Err(SessionRefusal::Ignored),
    };
    match result {
        Ok(text) => connection.answer(&format!("SESSION STATUS RESULT=OK {text}")).await,
        Err(refusal) => refuse(connection, command, refusal).await,
    }
}

/// Whether a command crashes i2pd 2.45 and 2.56: its lease set prefers an encryption type that came later. Here only the connection ends.
fn crashes_i2pd(command: &Command) -> bool {
    command.get("i2cp.leaseSetEncType").is_some_and(|types| types.starts_with(['5', '6', '7']))
}

async fn refuse(
    connection: &mut Connection,
    command: &Command,
    refusal: SessionRefusal,
) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    let is_add = command.action == "ADD";
    let text = match refusal {
        SessionRefusal::Ignored => return Ok(NextStep::Listen),
        SessionRefusal::Result(result, None) => format!("RESULT={result}"),
        SessionRefusal::Result(result, Some(message)) => format!("RESULT={result} MESSAGE=\"{message}\""),
        SessionRefusal::OfSubsession(message) => {
            let id = command.get("ID").unwrap_or_default();
            format!("RESULT=I2P_ERROR ID=\"{id}\" MESSAGE=\"{message}\"")
        }
        SessionRefusal::Duplicate(duplicate) => match (duplicate, dialect) {
            // The specification spells it DUPLICATED_ID.
            (Duplicate::Id, Dialect::Emissary) => "RESULT=DUPLICATE_ID".to_owned(),
            (_, Dialect::Emissary) => "RESULT=DUPLICATE_DEST".to_owned(),
            (Duplicate::Destination, _) => "RESULT=DUPLICATED_DEST".to_owned(),
            (_, _) => "RESULT=DUPLICATED_ID".to_owned(),
        },
    };
    let text = format!("SESSION STATUS {text}");
    match dialect {
        // Java keeps the connection open.
        Dialect::Java => connection.answer(&text).await,
        // i2pd closes the connection at every error of a session.
        Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => connection.refuse(&text).await,
        // As recorded: the connection ends when a session is refused, and not when a subsession is.
        Dialect::Emissary if is_add => connection.answer(&text).await,
        Dialect::Emissary => connection.refuse_without_newline(&text).await,
    }
}

/// Creates a session that lives as long as the connection. Returns what follows `RESULT=OK`.
fn create(connection: &mut Connection, command: &Command) -> Result<String, SessionRefusal> {
    let dialect = connection.shared.dialect;
    if connection.held.session().is_some() {
        return Err(match dialect {
            Dialect::Java => SessionRefusal::message("Session already exists"),
            Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => {
                SessionRefusal::message("Socket already in use")
            }
            Dialect::Emissary => SessionRefusal::Ignored,
        });
    }
    let id = id(command, dialect)?;
    let style = match dialect {
        Dialect::Java => java_style(connection, command)?,
        Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => i2pd_style(connection, command)?,
        Dialect::Emissary => emissary_style(command)?,
    };
    let keys = keys(command, dialect)?;
    let ports = ports(command, style, dialect)?;
    let (control, lines) = mpsc::unbounded_channel();
    // Without a valid number Java uses the default, which is to wait for the far end.
    let delay = command.number::<u32>("i2p.streaming.connectDelay").ok().flatten();
    let early_data = dialect == Dialect::Java && delay.is_some_and(|delay| delay > 0);
    let details = Details { style, keys: Arc::new(keys), parent: None, ports, early_data, control };
    let session = session(connection, command, id, details)?;
    // In i2pd, sessions with the same keys share a destination.
    let shared = if dialect.is_i2pd() { SharedDestination::Allowed } else { SharedDestination::Refused };
    match connection.shared.registry.add(Arc::clone(&session), shared) {
        Ok(()) => {}
        Err(duplicate) => {
            if duplicate == Duplicate::Id && dialect == Dialect::Java {
                connection.held.duplicate = Some(session.id.clone());
            }
            return Err(SessionRefusal::Duplicate(duplicate));
        }
    }
    let private = session.keys.private.clone();
    connection.held.hold(session, lines);
    Ok(format!("DESTINATION={private}"))
}

/// Adds a subsession to the connection's PRIMARY session. Returns what follows `RESULT=OK`.
fn add(connection: &Connection, command: &Command) -> Result<String, SessionRefusal> {
    let dialect = connection.shared.dialect;
    let primary = primary(connection)?;
    let id = id(command, dialect)?;
    let given = command.get("STYLE");
    let style = given.and_then(SessionStyle::parse).filter(|style| *style != SessionStyle::Primary);
    let style = style.filter(|style| dialect != Dialect::Java || java_supports(connection, *style));
    let style = match (dialect, style) {
        (Dialect::Java, _) => java_subsession(command, given, style)?,
        // As recorded: it stops reading when the port is missing.
        (Dialect::I2pd245 | Dialect::I2pd256, Some(SessionStyle::Stream))
            if command.get("FROM_PORT").is_none() =>
        {
            return Err(SessionRefusal::Ignored);
        }
        // i2pd supports subsessions for streams only.
        (Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259, Some(SessionStyle::Stream)) => {
            SessionStyle::Stream
        }
        (Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259, _) => {
            return Err(SessionRefusal::message("Unsupported STYLE"));
        }
        (Dialect::Emissary, Some(SessionStyle::Datagram3) | None) => return Err(SessionRefusal::Ignored),
        (Dialect::Emissary, Some(style)) if style.is_datagram() && command.get("PORT").is_none() => {
            return Err(SessionRefusal::Ignored);
        }
        (Dialect::Emissary, Some(style)) => style,
    };
    let mut ports = ports(command, style, dialect)?;
    let listen =
        command.number("LISTEN_PORT").map_err(|_| SessionRefusal::OfSubsession("bad port".to_owned()))?;
    ports.listen = listen.unwrap_or(ports.from);
    let (keys, control) = (Arc::clone(&primary.keys), primary.control.clone());
    let early_data = primary.early_data;
    let details = Details { style, keys, parent: Some(primary.id.clone()), ports, early_data, control };
    let session = session(connection, command, id, details)?;
    let registry = &connection.shared.registry;
    if dialect == Dialect::Emissary && registry.session(id).is_none() && registry.has_datagrams(&session) {
        return Err(SessionRefusal::message("invalid datagram configuration"));
    }
    match (registry.add(Arc::clone(&session), SharedDestination::Allowed), dialect) {
        (Ok(()), Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259) => {
            Ok(format!("DESTINATION={}", session.keys.private))
        }
        (Ok(()), _) => Ok(format!("ID=\"{0}\" MESSAGE=\"ADD {0}\"", session.id)),
        (Err(Duplicate::Id), Dialect::Java) => {
            Err(SessionRefusal::OfSubsession(format!("Duplicate ID {}", session.id)))
        }
        (Err(Duplicate::Listener), Dialect::Java) => {
            let SessionPorts { listen, listen_protocol, .. } = session.ports;
            let text = format!("Duplicate protocol {listen_protocol} and port {listen}");
            Err(SessionRefusal::OfSubsession(text))
        }
        (Err(duplicate), _) => Err(SessionRefusal::Duplicate(duplicate)),
    }
}

fn remove(connection: &Connection, command: &Command) -> Result<String, SessionRefusal> {
    let primary = primary(connection)?;
    let id = id(command, connection.shared.dialect)?;
    let registry = &connection.shared.registry;
    match registry.session(id) {
        Some(session) if session.parent.as_deref() == Some(primary.id.as_str()) => {
            registry.end(&session);
            Ok(format!("ID=\"{id}\" MESSAGE=\"REMOVE {id}\""))
        }
        _ => Err(SessionRefusal::OfSubsession(format!("ID {id} not found"))),
    }
}

fn primary(connection: &Connection) -> Result<&Arc<Session>, SessionRefusal> {
    let session = connection.held.session().filter(|session| session.style == SessionStyle::Primary);
    session.ok_or_else(|| match connection.shared.dialect {
        Dialect::Java => SessionRefusal::message("Not a PRIMARY session"),
        Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => {
            SessionRefusal::message("Wrong session type")
        }
        Dialect::Emissary => SessionRefusal::Ignored,
    })
}

struct Details {
    style: SessionStyle,
    keys: Arc<KeyPair>,
    parent: Option<String>,
    ports: SessionPorts,
    early_data: bool,
    control: mpsc::UnboundedSender<Vec<u8>>,
}

fn session(
    connection: &Connection,
    command: &Command,
    id: &str,
    details: Details,
) -> Result<Arc<Session>, SessionRefusal> {
    let Details { style, keys, parent, ports, early_data, control } = details;
    Ok(Arc::new(Session {
        id: id.to_owned(),
        style,
        keys,
        version: connection.version.unwrap_or_default(),
        parent,
        ports,
        datagrams_to: datagrams_to(command, style, connection.shared.dialect)?,
        header: command.is_true("HEADER"),
        control,
        closing: watch::Sender::new(false),
        ended: watch::Sender::new(false),
        acceptors: Mutex::default(),
        forwarding: Mutex::new(None),
        early_data,
        has_accepted: AtomicBool::new(false),
    }))
}

fn id(command: &Command, dialect: Dialect) -> Result<&str, SessionRefusal> {
    match (command.get("ID"), dialect) {
        // i2pd refuses these characters.
        (Some(id), Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259)
            if id.contains(['<', '>', '"', '\'', '/']) =>
        {
            Err(SessionRefusal::Result("INVALID_ID", None))
        }
        (Some(id), _) => Ok(id),
        (None, Dialect::Java) => Err(SessionRefusal::message("ID not specified")),
        // As recorded: its ID is empty.
        (None, Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259) => Ok(""),
        (None, Dialect::Emissary) => Err(SessionRefusal::Ignored),
    }
}

fn java_style(connection: &Connection, command: &Command) -> Result<SessionStyle, SessionRefusal> {
    if command.get("DESTINATION").is_none() {
        return Err(SessionRefusal::message("DESTINATION not specified"));
    }
    let given = command.get("STYLE").ok_or_else(|| SessionRefusal::message("No SESSION STYLE specified"))?;
    match SessionStyle::parse(given) {
        Some(style) if java_supports(connection, style) => Ok(style),
        _ => Err(SessionRefusal::message("Unrecognized SESSION STYLE")),
    }
}

/// Whether Java supports this style.
fn java_supports(connection: &Connection, style: SessionStyle) -> bool {
    let is_newer = matches!(style, SessionStyle::Datagram2 | SessionStyle::Datagram3);
    !is_newer || connection.shared.newer_datagrams.load(Relaxed)
}

fn i2pd_style(connection: &Connection, command: &Command) -> Result<SessionStyle, SessionRefusal> {
    let given = command.get("STYLE").unwrap_or_default();
    let is_newer = connection.shared.dialect == Dialect::I2pd259;
    match SessionStyle::parse(given) {
        // i2pd knows it by its old name only, and 2.59 only with version 3.3.
        Some(SessionStyle::Primary)
            if given == "MASTER" && (!is_newer || connection.version == Some((3, 3))) =>
        {
            Ok(SessionStyle::Primary)
        }
        None if given == "DATAGRAM1" && is_newer => Ok(SessionStyle::Datagram),
        Some(style @ (SessionStyle::Datagram2 | SessionStyle::Datagram3)) if is_newer => Ok(style),
        Some(style @ (SessionStyle::Stream | SessionStyle::Datagram | SessionStyle::Raw)) => Ok(style),
        _ => Err(SessionRefusal::message("Unknown STYLE")),
    }
}

fn emissary_style(command: &Command) -> Result<SessionStyle, SessionRefusal> {
    // emissary ignores a command with a number out of range.
    for (key, min, max) in [
        ("inbound.quantity", 1, 16),
        ("outbound.quantity", 1, 16),
        ("inbound.length", 1, 7),
        ("outbound.length", 1, 8),
    ] {
        let number: Option<u8> = command.number(key).map_err(|_| SessionRefusal::Ignored)?;
        if number.is_some_and(|number| !(min..=max).contains(&number)) {
            return Err(SessionRefusal::Ignored);
        }
    }
    let style = command.get("STYLE").and_then(SessionStyle::parse).ok_or(SessionRefusal::Ignored)?;
    // emissary sends datagrams to a UDP port only, and does not support DATAGRAM3.
    let served = !style.is_datagram() || (style != SessionStyle::Datagram3 && command.get("PORT").is_some());
    served.then_some(style).ok_or(SessionRefusal::Ignored)
}

fn java_subsession(
    command: &Command,
    given: Option<&str>,
    style: Option<SessionStyle>,
) -> Result<SessionStyle, SessionRefusal> {
    let given = given.ok_or_else(|| SessionRefusal::message("No SESSION STYLE specified"))?;
    if command.get("DESTINATION").is_some() {
        return Err(SessionRefusal::OfSubsession("SESSION ADD may not contain DESTINATION".to_owned()));
    }
    match style {
        // Java needs a UDP port for datagrams.
        Some(style) if style.is_datagram() && command.get("PORT").is_none() => {
            Err(SessionRefusal::OfSubsession(format!("{given} subsession must specify PORT")))
        }
        Some(style) => Ok(style),
        None => Err(SessionRefusal::OfSubsession(format!("Unrecognized SESSION STYLE {given}"))),
    }
}

fn keys(command: &Command, dialect: Dialect) -> Result<KeyPair, SessionRefusal> {
    let destination = command.get("DESTINATION").unwrap_or_default();
    if destination != "TRANSIENT" {
        return KeyPair::parse(destination).ok_or(match dialect {
            Dialect::Emissary => SessionRefusal::Ignored,
            _ => SessionRefusal::Result("INVALID_KEY", None),
        });
    }
    let given = command.get("SIGNATURE_TYPE");
    let signature = match (dialect, signature_type(given)) {
        // emissary ignores the signature type.
        (Dialect::Emissary, _) => SignatureType::Ed25519,
        (_, Some(signature)) => signature,
        (Dialect::Java, None) => {
            let given = given.unwrap_or_default();
            return Err(SessionRefusal::message(format!("SIGNATURE_TYPE {given} unsupported")));
        }
        (_, None) => SignatureType::Dsa,
    };
    Ok(KeyPair::generate(signature))
}

/// As recorded, Java accepts any FROM_PORT and PROTOCOL in SESSION CREATE, and ignores an invalid number.
fn ports(command: &Command, style: SessionStyle, dialect: Dialect) -> Result<SessionPorts, SessionRefusal> {
    let port = |key| command.number::<u16>(key).unwrap_or_default();
    let protocol = |key| command.number::<u8>(key).unwrap_or_default();
    let own = match style {
        SessionStyle::Raw => protocol("PROTOCOL").unwrap_or(style.protocol()),
        style => style.protocol(),
    };
    if dialect == Dialect::Emissary && command.number::<u16>("FROM_PORT").is_err() {
        return Err(SessionRefusal::Ignored);
    }
    let listen_protocol = match style {
        SessionStyle::Raw => protocol("LISTEN_PROTOCOL").unwrap_or(own),
        _ => own,
    };
    let from = port("FROM_PORT").unwrap_or(0);
    let to = port("TO_PORT").unwrap_or(0);
    Ok(SessionPorts { from, to, listen: 0, protocol: own, listen_protocol })
}

/// Where datagrams are sent, if not to the control connection.
fn datagrams_to(
    command: &Command,
    style: SessionStyle,
    dialect: Dialect,
) -> Result<Option<SocketAddr>, SessionRefusal> {
    if !style.is_datagram() {
        return Ok(None);
    }
    let Some(given) = command.get("PORT") else { return Ok(None) };
    let Ok(port) = given.parse() else {
        return Err(match dialect {
            Dialect::Emissary => SessionRefusal::Ignored,
            _ => SessionRefusal::message(format!("port out of range:{given}")),
        });
    };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let host = match (command.get("HOST"), dialect) {
        // emissary ignores HOST.
        (_, Dialect::Emissary) | (None | Some("localhost"), _) => loopback,
        // Like i2pd, the kit does not resolve names: a test must not ask a name server.
        (Some(host), _) => host.parse().map_err(|_| SessionRefusal::message("bad HOST"))?,
    };
    Ok(Some(SocketAddr::new(host, port)))
}

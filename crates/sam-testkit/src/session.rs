//! SESSION CREATE, ADD and REMOVE.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::{mpsc, watch};

use crate::{
    Dialect,
    command::Command,
    connection::{Connection, Next},
    destination::{Keys, SignatureType},
    naming::signature_type,
    registry::{Duplicate, Ports, Session, Style},
};

/// Why a session is not made. The texts are Java's and i2pd's; emissary has none.
enum Refusal {
    /// A result word and, where there is one, a message.
    Result(&'static str, Option<String>),
    /// As before, about this subsession.
    OfSubsession(String),
    Duplicate(Duplicate),
    /// Said by silence.
    Ignored,
}

impl Refusal {
    fn message(text: impl Into<String>) -> Self {
        Self::Result("I2P_ERROR", Some(text.into()))
    }
}

pub(crate) async fn behave(connection: &mut Connection, command: &Command) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    let result = match (command.action.as_str(), dialect) {
        ("CREATE", _) => create(connection, command),
        ("ADD", _) => add(connection, command),
        ("REMOVE", Dialect::Java | Dialect::I2pdMaster) => remove(connection, command),
        // Java looks for the ID before it looks at the word.
        (_, Dialect::Java) => Err(match command.get("ID") {
            None => Refusal::message("ID not specified"),
            Some(_) => Refusal::message(format!("Unrecognized SESSION message opcode: {}", command.action)),
        }),
        (_, Dialect::I2pd | Dialect::I2pdMaster) => return Ok(Next::Close),
        (_, Dialect::Emissary) => Err(Refusal::Ignored),
    };
    match result {
        Ok(text) => connection.answer(&format!("SESSION STATUS RESULT=OK {text}")).await,
        Err(refusal) => refuse(connection, command, refusal).await,
    }
}

async fn refuse(connection: &mut Connection, command: &Command, refusal: Refusal) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    let is_add = command.action == "ADD";
    let text = match refusal {
        Refusal::Ignored => return Ok(Next::Listen),
        Refusal::Result(result, None) => format!("RESULT={result}"),
        Refusal::Result(result, Some(message)) => format!("RESULT={result} MESSAGE=\"{message}\""),
        Refusal::OfSubsession(message) => {
            let id = command.get("ID").unwrap_or_default();
            format!("RESULT=I2P_ERROR ID=\"{id}\" MESSAGE=\"{message}\"")
        }
        Refusal::Duplicate(duplicate) => match (duplicate, dialect) {
            // E9: spelled otherwise than in the specification.
            (Duplicate::Id, Dialect::Emissary) => "RESULT=DUPLICATE_ID".to_owned(),
            (_, Dialect::Emissary) => "RESULT=DUPLICATE_DEST".to_owned(),
            (Duplicate::Destination, _) => "RESULT=DUPLICATED_DEST".to_owned(),
            (_, _) => "RESULT=DUPLICATED_ID".to_owned(),
        },
    };
    let text = format!("SESSION STATUS {text}");
    match dialect {
        // J26: the connection stays.
        Dialect::Java => connection.answer(&text).await,
        // D8.
        Dialect::I2pd | Dialect::I2pdMaster => connection.refuse(&text).await,
        // As recorded: a session's refusal is the end, a subsession's is not.
        Dialect::Emissary if is_add => connection.answer(&text).await,
        Dialect::Emissary => connection.last_words(&text).await,
    }
}

/// Makes a session that lives as long as the connection; gives what follows `RESULT=OK`.
fn create(connection: &mut Connection, command: &Command) -> Result<String, Refusal> {
    let dialect = connection.shared.dialect;
    if connection.held.session().is_some() {
        return Err(match dialect {
            Dialect::Java => Refusal::message("Session already exists"),
            Dialect::I2pd | Dialect::I2pdMaster => Refusal::message("Socket already in use"),
            Dialect::Emissary => Refusal::Ignored,
        });
    }
    let id = id(command, dialect)?;
    let style = match dialect {
        Dialect::Java => java_style(connection, command)?,
        Dialect::I2pd | Dialect::I2pdMaster => i2pd_style(connection, command)?,
        Dialect::Emissary => emissary_style(command)?,
    };
    let keys = keys(command, dialect)?;
    let ports = ports(command, style, dialect)?;
    let (control, lines) = mpsc::unbounded_channel();
    // J23. Not a number, or none: Java takes the default, which is to wait for the far end.
    let delay = command.number::<u32>("i2p.streaming.connectDelay").ok().flatten();
    let early_data = dialect == Dialect::Java && delay.is_some_and(|delay| delay > 0);
    let details = Details { style, keys: Arc::new(keys), parent: None, ports, early_data, control };
    let session = session(connection, command, id, details)?;
    match connection.shared.registry.add(Arc::clone(&session), dialect.is_i2pd()) {
        Ok(()) => {}
        Err(duplicate) => {
            if duplicate == Duplicate::Id && dialect == Dialect::Java {
                connection.held.duplicate = Some(session.id.clone());
            }
            return Err(Refusal::Duplicate(duplicate));
        }
    }
    let private = session.keys.private.clone();
    connection.held.hold(session, lines);
    Ok(format!("DESTINATION={private}"))
}

/// Adds a subsession to the connection's PRIMARY session; gives what follows `RESULT=OK`.
fn add(connection: &Connection, command: &Command) -> Result<String, Refusal> {
    let dialect = connection.shared.dialect;
    let primary = primary(connection)?;
    let id = id(command, dialect)?;
    let given = command.get("STYLE");
    let style = given.and_then(Style::parse).filter(|style| *style != Style::Primary);
    let style = style.filter(|style| dialect != Dialect::Java || java_knows(connection, *style));
    let has_port = command.get("PORT").is_some();
    let style = match (dialect, style) {
        (Dialect::Java, _) => java_subsession(command, given, style, has_port)?,
        // As seen in 2.45.1: its reading stops at a port that is not said.
        (Dialect::I2pd, Some(Style::Stream)) if command.get("FROM_PORT").is_none() => {
            return Err(Refusal::Ignored);
        }
        // D11.
        (Dialect::I2pd | Dialect::I2pdMaster, Some(Style::Stream)) => Style::Stream,
        (Dialect::I2pd | Dialect::I2pdMaster, _) => return Err(Refusal::message("Unsupported STYLE")),
        (Dialect::Emissary, Some(Style::Datagram3) | None) => return Err(Refusal::Ignored),
        (Dialect::Emissary, Some(style)) if style.is_datagram() && !has_port => return Err(Refusal::Ignored),
        (Dialect::Emissary, Some(style)) => style,
    };
    let mut ports = ports(command, style, dialect)?;
    let listen = command.number("LISTEN_PORT").map_err(|_| Refusal::OfSubsession("bad port".to_owned()))?;
    ports.listen = listen.unwrap_or(ports.from);
    let (keys, control) = (Arc::clone(&primary.keys), primary.control.clone());
    let early_data = primary.early_data;
    let details = Details { style, keys, parent: Some(primary.id.clone()), ports, early_data, control };
    let session = session(connection, command, id, details)?;
    let registry = &connection.shared.registry;
    if dialect == Dialect::Emissary && registry.session(id).is_none() && registry.has_datagrams(&session) {
        return Err(Refusal::message("invalid datagram configuration"));
    }
    match (registry.add(Arc::clone(&session), true), dialect) {
        (Ok(()), Dialect::I2pd | Dialect::I2pdMaster) => Ok(format!("DESTINATION={}", session.keys.private)),
        (Ok(()), _) => Ok(format!("ID=\"{0}\" MESSAGE=\"ADD {0}\"", session.id)),
        (Err(Duplicate::Id), Dialect::Java) => {
            Err(Refusal::OfSubsession(format!("Duplicate ID {}", session.id)))
        }
        (Err(Duplicate::Listener), Dialect::Java) => {
            let Ports { listen, listen_protocol, .. } = session.ports;
            let text = format!("Duplicate protocol {listen_protocol} and port {listen}");
            Err(Refusal::OfSubsession(text))
        }
        (Err(duplicate), _) => Err(Refusal::Duplicate(duplicate)),
    }
}

fn remove(connection: &Connection, command: &Command) -> Result<String, Refusal> {
    let primary = primary(connection)?;
    let id = id(command, connection.shared.dialect)?;
    let registry = &connection.shared.registry;
    match registry.session(id) {
        Some(session) if session.parent.as_deref() == Some(primary.id.as_str()) => {
            registry.end(&session);
            Ok(format!("ID=\"{id}\" MESSAGE=\"REMOVE {id}\""))
        }
        _ => Err(Refusal::OfSubsession(format!("ID {id} not found"))),
    }
}

fn primary(connection: &Connection) -> Result<&Arc<Session>, Refusal> {
    let session = connection.held.session().filter(|session| session.style == Style::Primary);
    session.ok_or_else(|| match connection.shared.dialect {
        Dialect::Java => Refusal::message("Not a PRIMARY session"),
        Dialect::I2pd | Dialect::I2pdMaster => Refusal::message("Wrong session type"),
        Dialect::Emissary => Refusal::Ignored,
    })
}

struct Details {
    style: Style,
    keys: Arc<Keys>,
    parent: Option<String>,
    ports: Ports,
    early_data: bool,
    control: mpsc::UnboundedSender<Vec<u8>>,
}

fn session(
    connection: &Connection,
    command: &Command,
    id: &str,
    details: Details,
) -> Result<Arc<Session>, Refusal> {
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
        acceptors: Mutex::new(VecDeque::new()),
        forwarding: Mutex::new(None),
        early_data,
        has_accepted: AtomicBool::new(false),
    }))
}

fn id(command: &Command, dialect: Dialect) -> Result<&str, Refusal> {
    match (command.get("ID"), dialect) {
        // D9.
        (Some(id), Dialect::I2pd | Dialect::I2pdMaster) if id.contains(['<', '>', '"', '\'', '/']) => {
            Err(Refusal::Result("INVALID_ID", None))
        }
        (Some(id), _) => Ok(id),
        (None, Dialect::Java) => Err(Refusal::message("ID not specified")),
        (None, Dialect::I2pd | Dialect::I2pdMaster) => Err(Refusal::Result("INVALID_ID", None)),
        (None, Dialect::Emissary) => Err(Refusal::Ignored),
    }
}

fn java_style(connection: &Connection, command: &Command) -> Result<Style, Refusal> {
    if command.get("DESTINATION").is_none() {
        return Err(Refusal::message("DESTINATION not specified"));
    }
    let given = command.get("STYLE").ok_or_else(|| Refusal::message("No SESSION STYLE specified"))?;
    match Style::parse(given) {
        Some(style) if java_knows(connection, style) => Ok(style),
        _ => Err(Refusal::message("Unrecognized SESSION STYLE")),
    }
}

/// J16, unless told otherwise.
fn java_knows(connection: &Connection, style: Style) -> bool {
    let newer = matches!(style, Style::Datagram2 | Style::Datagram3);
    !newer || connection.shared.newer_datagrams.load(Relaxed)
}

fn i2pd_style(connection: &Connection, command: &Command) -> Result<Style, Refusal> {
    let given = command.get("STYLE").unwrap_or_default();
    let is_master = connection.shared.dialect == Dialect::I2pdMaster;
    match Style::parse(given) {
        // D10: by its old name only, and in the newer one only where 3.3 was agreed on.
        Some(Style::Primary) if given == "MASTER" && (!is_master || connection.version == Some((3, 3))) => {
            Ok(Style::Primary)
        }
        Some(style @ (Style::Datagram2 | Style::Datagram3)) if is_master => Ok(style),
        Some(style @ (Style::Stream | Style::Datagram | Style::Raw)) => Ok(style),
        _ => Err(Refusal::message("Unknown STYLE")),
    }
}

fn emissary_style(command: &Command) -> Result<Style, Refusal> {
    // E8.
    for (key, least, most) in [
        ("inbound.quantity", 1, 16),
        ("outbound.quantity", 1, 16),
        ("inbound.length", 1, 7),
        ("outbound.length", 1, 8),
    ] {
        let number: Option<u8> = command.number(key).map_err(|_| Refusal::Ignored)?;
        if number.is_some_and(|number| !(least..=most).contains(&number)) {
            return Err(Refusal::Ignored);
        }
    }
    let style = command.get("STYLE").and_then(Style::parse).ok_or(Refusal::Ignored)?;
    // E19.
    let served = !style.is_datagram() || (style != Style::Datagram3 && command.get("PORT").is_some());
    served.then_some(style).ok_or(Refusal::Ignored)
}

fn java_subsession(
    command: &Command,
    given: Option<&str>,
    style: Option<Style>,
    has_port: bool,
) -> Result<Style, Refusal> {
    let given = given.ok_or_else(|| Refusal::message("No SESSION STYLE specified"))?;
    if command.get("DESTINATION").is_some() {
        return Err(Refusal::OfSubsession("SESSION ADD may not contain DESTINATION".to_owned()));
    }
    match style {
        // J15.
        Some(style) if style.is_datagram() && !has_port => {
            Err(Refusal::OfSubsession(format!("{given} subsession must specify PORT")))
        }
        Some(style) => Ok(style),
        None => Err(Refusal::OfSubsession(format!("Unrecognized SESSION STYLE {given}"))),
    }
}

fn keys(command: &Command, dialect: Dialect) -> Result<Keys, Refusal> {
    let destination = command.get("DESTINATION").unwrap_or_default();
    if destination != "TRANSIENT" {
        return Keys::parse(destination).ok_or(match dialect {
            Dialect::Emissary => Refusal::Ignored,
            _ => Refusal::Result("INVALID_KEY", None),
        });
    }
    let given = command.get("SIGNATURE_TYPE");
    let signature = match (dialect, signature_type(given)) {
        // E7.
        (Dialect::Emissary, _) => SignatureType::Ed25519,
        (_, Some(signature)) => signature,
        (Dialect::Java, None) => {
            let given = given.unwrap_or_default();
            return Err(Refusal::message(format!("SIGNATURE_TYPE {given} unsupported")));
        }
        (_, None) => SignatureType::Dsa,
    };
    Ok(Keys::generate(signature))
}

/// As recorded, Java takes any FROM_PORT and PROTOCOL in SESSION CREATE: what is no such number counts as none.
fn ports(command: &Command, style: Style, dialect: Dialect) -> Result<Ports, Refusal> {
    let port = |key| command.number::<u16>(key).unwrap_or_default();
    let protocol = |key| command.number::<u8>(key).unwrap_or_default();
    let own = match style {
        Style::Raw => protocol("PROTOCOL").unwrap_or(style.protocol()),
        style => style.protocol(),
    };
    if dialect == Dialect::Emissary && command.number::<u16>("FROM_PORT").is_err() {
        return Err(Refusal::Ignored);
    }
    let listen_protocol = match style {
        Style::Raw => protocol("LISTEN_PROTOCOL").unwrap_or(own),
        _ => own,
    };
    let from = port("FROM_PORT").unwrap_or(0);
    let to = port("TO_PORT").unwrap_or(0);
    Ok(Ports { from, to, listen: 0, protocol: own, listen_protocol })
}

/// Where datagrams go, if not to the control connection.
fn datagrams_to(command: &Command, style: Style, dialect: Dialect) -> Result<Option<SocketAddr>, Refusal> {
    if !style.is_datagram() {
        return Ok(None);
    }
    let Some(given) = command.get("PORT") else { return Ok(None) };
    let Ok(port) = given.parse() else {
        return Err(match dialect {
            Dialect::Emissary => Refusal::Ignored,
            _ => Refusal::message(format!("port out of range:{given}")),
        });
    };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let host = match (command.get("HOST"), dialect) {
        // E19: whatever is given.
        (_, Dialect::Emissary) | (None | Some("localhost"), _) => loopback,
        // Names are not resolved: D21, and a test kit asks no name server.
        (Some(host), _) => host.parse().map_err(|_| Refusal::message("bad HOST"))?,
    };
    Ok(Some(SocketAddr::new(host, port)))
}

//! STREAM CONNECT, ACCEPT and FORWARD.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::sync::oneshot;

use super::naming::{Resolved, resolve};
use crate::{
    command::Command,
    connection::{Connection, NextStep, PeerLine, Role},
    dialect::Dialect,
    recorder::{StreamRecord, lock},
    registry::{DestinationOwner, Forwarding, Session, SessionStyle, StreamPeer},
};

/// After how long i2pd closes a stream that nobody accepts, as recorded.
const I2PD_UNACCEPTED_CLOSE: Duration = Duration::from_secs(10);

pub(crate) async fn behave(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    if connection.held.session().is_some() {
        return match dialect {
            // Java closes the connection, and with it the session.
            Dialect::Java => {
                refuse(connection, "I2P_ERROR MESSAGE=\"v3 control socket cannot be used for STREAM\"").await
            }
            // i2pd answers with SESSION STATUS.
            Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => {
                let text = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Socket already in use\"";
                connection.refuse(text).await
            }
            Dialect::Emissary => Ok(NextStep::Listen),
        };
    }
    let session = command.get("ID").and_then(|id| connection.shared.registry.session(id));
    let Some(session) = session else { return no_session(connection, command).await };
    if !matches!(command.action.as_str(), "CONNECT" | "ACCEPT" | "FORWARD") {
        let text = format!("I2P_ERROR MESSAGE=\"Unrecognized STREAM message opcode: {}\"", command.action);
        return match dialect {
            Dialect::Java => refuse(connection, &text).await,
            Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => Ok(NextStep::Close),
            Dialect::Emissary => Ok(NextStep::Listen),
        };
    }
    match (session.style, dialect) {
        (SessionStyle::Stream, _) | (_, Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259) => {}
        (SessionStyle::Primary, Dialect::Java) => {
            return refuse(connection, "I2P_ERROR MESSAGE=\"primary session\"").await;
        }
        (_, Dialect::Java) => {
            return refuse(connection, "I2P_ERROR MESSAGE=\"v3 control socket cannot be used for STREAM\"")
                .await;
        }
        // emissary closes without a reply.
        (_, Dialect::Emissary) => return Ok(NextStep::Close),
    }
    match command.action.as_str() {
        "CONNECT" => connect(connection, command, session).await,
        "ACCEPT" => wait_for_peer(connection, command, session).await,
        _ => forward_peers(connection, command, session).await,
    }
}

async fn no_session(connection: &mut Connection, command: &Command) -> io::Result<NextStep> {
    match (connection.shared.dialect, command.get("ID")) {
        (Dialect::Java, None) => refuse(connection, "I2P_ERROR MESSAGE=\"ID not specified\"").await,
        (Dialect::Java, Some(id)) => {
            refuse(connection, &format!("INVALID_ID MESSAGE=\"STREAM SESSION ID {id} does not exist\"")).await
        }
        (Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259, _) => refuse(connection, "INVALID_ID").await,
        // emissary ignores a command without ID, and closes at an unknown one.
        (Dialect::Emissary, None) => Ok(NextStep::Listen),
        (Dialect::Emissary, Some(_)) => Ok(NextStep::Close),
    }
}

/// Answers `STREAM STATUS` with this result and closes.
async fn refuse(connection: &mut Connection, result: &str) -> io::Result<NextStep> {
    connection.refuse(&format!("STREAM STATUS RESULT={result}")).await
}

async fn connect(
    connection: &mut Connection,
    command: &Command,
    session: Arc<Session>,
) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    let silent = command.is_true("SILENT");
    let Some(to) = command.get("DESTINATION") else {
        return match (dialect, command.has_pairs()) {
            (Dialect::Java, _) => {
                let text = "I2P_ERROR MESSAGE=\"No parameters specified in STREAM CONNECT message\"";
                refuse(connection, text).await
            }
            (Dialect::Emissary, _) => Ok(NextStep::Listen),
            (_, _) => refuse(connection, "INVALID_KEY").await,
        };
    };
    let (Ok(from_port), Ok(to_port)) = (command.number::<u16>("FROM_PORT"), command.number::<u16>("TO_PORT"))
    else {
        return match dialect {
            Dialect::Java => connection.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"bad port\"").await,
            Dialect::Emissary => Ok(NextStep::Listen),
            _ => refuse(connection, "INVALID_KEY").await,
        };
    };
    let from = StreamPeer {
        destination: session.keys.public.clone(),
        from_port: from_port.unwrap_or(session.ports.from),
        to_port: to_port.unwrap_or(session.ports.to),
    };
    connection.shared.recorder.stream(StreamRecord {
        session: session.id.clone(),
        from: from.destination.clone(),
        to: to.to_owned(),
        from_port: from.from_port,
        to_port: from.to_port,
    });
    // emissary strips the prefix of a URL.
    let name = match dialect {
        Dialect::Emissary => to.trim_start_matches("http://").trim_start_matches("https://"),
        _ => to,
    };
    let role = match resolve(&connection.shared, name) {
        Resolved::Destination(destination) => {
            let is_self = destination == session.keys.destination;
            let refuses_itself = matches!(dialect, Dialect::I2pd256 | Dialect::I2pd259 | Dialect::Emissary);
            if is_self && refuses_itself {
                Err(Unreachable::Itself)
            } else {
                let owner = connection.shared.registry.owner(&destination);
                match role_towards(owner, Arc::clone(&session), from, connection) {
                    // Java reports the stream as connected before it has looked for the far end.
                    Err(_) if session.early_data => {
                        Ok(Role::ToNobody { session, close_after: Some(Duration::ZERO) })
                    }
                    role => role,
                }
            }
        }
        Resolved::NoLeaseSet => Err(Unreachable::NoLeaseSet),
        Resolved::UnknownName => Err(Unreachable::UnknownName),
        Resolved::Malformed => Err(Unreachable::Malformed),
    };
    match role {
        Ok(role) => {
            if !silent {
                // The far end gets the stream even if the client has gone: TCP does not tell at once.
                let _ = connection.answer("STREAM STATUS RESULT=OK").await;
            }
            Ok(NextStep::Become(role))
        }
        Err(_) if silent => Ok(NextStep::Close),
        Err(why) => unreachable(connection, why, name).await,
    }
}

/// Why a stream cannot be connected.
enum Unreachable {
    UnknownName,
    NoLeaseSet,
    Malformed,
    /// No session and no far end has the destination.
    Nobody,
    /// The session at the destination accepts no streams.
    NoAcceptor,
    Itself,
}

async fn unreachable(connection: &mut Connection, why: Unreachable, name: &str) -> io::Result<NextStep> {
    let result = match (connection.shared.dialect, why) {
        // Java answers INVALID_KEY in all three cases; only the message differs.
        (Dialect::Java, Unreachable::UnknownName) => {
            format!("INVALID_KEY MESSAGE=\"Host name not found: {name}\"")
        }
        (Dialect::Java, Unreachable::NoLeaseSet) => {
            format!("INVALID_KEY MESSAGE=\"Lease set not found: {name}\"")
        }
        (Dialect::Java, Unreachable::Malformed) => format!("INVALID_KEY MESSAGE=\"Bad Base64 dest: {name}\""),
        (Dialect::Java, Unreachable::Nobody) => "CANT_REACH_PEER MESSAGE=\"Connection failed\"".to_owned(),
        (Dialect::Java, Unreachable::NoAcceptor | Unreachable::Itself) => {
            "CANT_REACH_PEER MESSAGE=\"Connection reset\"".to_owned()
        }
        // i2pd does not tell an unknown name from a malformed destination.
        (
            Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259,
            Unreachable::UnknownName | Unreachable::Malformed,
        ) => "INVALID_KEY".to_owned(),
        (Dialect::I2pd256 | Dialect::I2pd259, Unreachable::Itself) => {
            "CANT_REACH_PEER MESSAGE=\"Can't connect to myself\"".to_owned()
        }
        (Dialect::I2pd256 | Dialect::I2pd259, _) => {
            "CANT_REACH_PEER MESSAGE=\"LeaseSet not found\"".to_owned()
        }
        (Dialect::I2pd245, _) => "CANT_REACH_PEER".to_owned(),
        // As recorded. Later versions answer I2P_ERROR.
        (Dialect::Emissary, Unreachable::UnknownName) => return Ok(NextStep::Close),
        (Dialect::Emissary, Unreachable::Malformed) => return Ok(NextStep::Listen),
        (Dialect::Emissary, Unreachable::Itself) => "CANT_REACH_PEER".to_owned(),
        // emissary leaves out the newline.
        (Dialect::Emissary, _) => {
            return connection.refuse_without_newline("STREAM STATUS RESULT=CANT_REACH_PEER").await;
        }
    };
    refuse(connection, &result).await
}

/// What a connection becomes whose stream goes to this destination.
fn role_towards(
    owner: DestinationOwner,
    session: Arc<Session>,
    from: StreamPeer,
    connection: &Connection,
) -> Result<Role, Unreachable> {
    let dialect = connection.shared.dialect;
    let mut sessions = match owner {
        DestinationOwner::FarEnd(far_end) => return Ok(Role::ToFarEnd { far_end, session }),
        DestinationOwner::Sessions(sessions) => sessions,
        DestinationOwner::Nobody => return Err(Unreachable::Nobody),
    };
    // A subsession that listens to this port comes before one that listens to all.
    sessions.retain(|other| other.ports.listen == from.to_port || other.ports.listen == 0);
    sessions.sort_by_key(|other| other.ports.listen == 0);
    for other in &sessions {
        if let Some(acceptor) = lock(&other.acceptors).next(dialect) {
            return Ok(Role::ToAcceptor { acceptor, session, from });
        }
        if let Some(forwarding) = *lock(&other.forwarding) {
            let peer_line = PeerLine::unless_silent(forwarding.silent, dialect, other.version);
            return Ok(Role::ToForward { forwarding, session, from, peer_line });
        }
    }
    match dialect {
        // As recorded: once the session has accepted, a peer gets a stream that is closed at once.
        Dialect::Java if sessions.iter().any(|other| other.has_accepted.load(Relaxed)) => {
            Ok(Role::ToNobody { session, close_after: Some(Duration::ZERO) })
        }
        Dialect::Java => Err(Unreachable::NoAcceptor),
        // i2pd reports the stream as connected before the peer has answered, and keeps it for a while.
        Dialect::I2pd245 | Dialect::I2pd256 | Dialect::I2pd259 => {
            let first = sessions.first().ok_or(Unreachable::NoAcceptor)?;
            let acceptor = lock(&first.acceptors).keep_stream();
            Ok(Role::Kept { acceptor, session, from, close_after: I2PD_UNACCEPTED_CLOSE })
        }
        Dialect::Emissary => Ok(Role::ToNobody { session, close_after: None }),
    }
}

async fn wait_for_peer(
    connection: &mut Connection,
    command: &Command,
    session: Arc<Session>,
) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    let silent = command.is_true("SILENT");
    if dialect == Dialect::Emissary && lock(&session.forwarding).is_some() {
        return refuse(connection, "I2P_ERROR").await;
    }
    let (acceptor, offer) = oneshot::channel();
    let is_forwarding = lock(&session.forwarding).is_some();
    lock(&session.acceptors).add(acceptor, dialect, is_forwarding);
    session.has_accepted.store(true, Relaxed);
    if !silent {
        connection.answer("STREAM STATUS RESULT=OK").await?;
    }
    let peer_line = PeerLine::unless_silent(silent, dialect, connection.version.unwrap_or_default());
    Ok(NextStep::Become(Role::Acceptor { session, offer, peer_line }))
}

async fn forward_peers(
    connection: &mut Connection,
    command: &Command,
    session: Arc<Session>,
) -> io::Result<NextStep> {
    let dialect = connection.shared.dialect;
    let Some(port) = command.get("PORT") else {
        return match dialect {
            Dialect::Java => {
                refuse(connection, "I2P_ERROR MESSAGE=\"Forwarding failed : receiver port not specified\"")
                    .await
            }
            Dialect::Emissary => Ok(NextStep::Listen),
            _ => connection.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"PORT is missing\"").await,
        };
    };
    // As recorded, Java accepts any number as a port; nothing can be forwarded there.
    let port = port.parse().unwrap_or(0);
    let host = match command.get("HOST") {
        None | Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(host) => match host.parse() {
            Ok(host) => host,
            Err(_) => {
                return connection.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Invalid HOST\"").await;
            }
        },
    };
    let forwarding = Forwarding { address: SocketAddr::new(host, port), silent: command.is_true("SILENT") };
    if dialect == Dialect::Java {
        let is_accepting = lock(&session.acceptors).is_accepting();
        let is_forwarding = lock(&session.forwarding).is_some();
        if is_accepting || is_forwarding {
            let what = if is_forwarding { "a forwarding" } else { "an accepting" };
            let text = format!(
                "I2P_ERROR MESSAGE=\"Forwarding failed : {what} server is already defined for this destination\""
            );
            return refuse(connection, &text).await;
        }
    }
    if dialect.is_i2pd() && (lock(&session.acceptors).is_accepting() || lock(&session.forwarding).is_some()) {
        return connection.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Already accepting\"").await;
    }
    *lock(&session.forwarding) = Some(forwarding);
    connection.answer("STREAM STATUS RESULT=OK").await?;
    Ok(NextStep::Become(Role::Forwarder { session }))
}

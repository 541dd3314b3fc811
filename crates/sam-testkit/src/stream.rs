//! STREAM CONNECT, ACCEPT and FORWARD.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    Dialect,
    command::Command,
    connection::{Connection, Next, Wire},
    dial,
    endpoint::Endpoint,
    naming::{Resolved, resolve},
    recorder::{StreamRecord, lock},
    registry::{Forwarding, Host, Offer, Peer, Reach, Session, Style, over},
    relay,
};

/// How long a FORWARD's own server may take to answer (SAM v3, "SAM virtual streams: FORWARD").
const FORWARD_LIMIT: Duration = Duration::from_secs(3);
/// How long i2pd's STREAM CONNECT stays open that nobody accepts, as recorded.
const I2PD_UNACCEPTED: Duration = Duration::from_secs(10);

/// What a connection is from now on.
pub(crate) enum Role {
    /// A stream to a far end that the script wants.
    Scripted { endpoint: Endpoint, session: Option<Arc<Session>> },
    /// A stream to a server on this machine.
    ToServer { server: TcpStream, session: Option<Arc<Session>> },
    /// A stream to a far end.
    ToHost { host: Arc<Host>, session: Arc<Session> },
    /// A stream to another session's STREAM ACCEPT.
    ToAcceptor { acceptor: oneshot::Sender<Offer>, session: Arc<Session>, from: Peer },
    /// A stream to another session's STREAM FORWARD.
    ToForward { forwarding: Forwarding, session: Arc<Session>, from: Peer, ports: bool },
    /// A stream that the router has said yes to and nobody takes.
    ToNobody { session: Arc<Session>, closes: Option<Duration> },
    /// A STREAM ACCEPT that waits for a peer.
    Acceptor { session: Arc<Session>, offer: oneshot::Receiver<Offer>, silent: bool },
    /// A STREAM FORWARD, for as long as the connection is open.
    Forwarder { session: Arc<Session> },
}

impl Role {
    /// Plays the role to the end of the connection. A stream counts as open until then.
    pub(crate) async fn play(self, connection: Connection) -> io::Result<()> {
        let open = connection.open_stream();
        let Connection { wire: Wire { stream, buffer }, shared, version, .. } = connection;
        match self {
            Self::Scripted { endpoint, session } => {
                let peer = session.as_ref().map(|session| session.keys.public.clone()).unwrap_or_default();
                let serve = endpoint.serve(stream, buffer, &peer);
                match session {
                    Some(session) => while_open(&session, serve).await,
                    None => serve.await,
                }
            }
            Self::ToServer { server, session } => {
                let relay = dial::relay(&stream, &buffer, &server);
                match session {
                    Some(session) => while_open(&session, relay).await,
                    None => relay.await,
                }
            }
            Self::ToHost { host, session } => {
                let serve = host.endpoint.serve(stream, buffer, &session.keys.public);
                while_open(&session, serve).await
            }
            Self::ToAcceptor { acceptor, session, from } => {
                let ended = session.ended.subscribe();
                // An acceptor that has gone just now: the stream closes, as a router's would.
                let _ = acceptor.send(Offer { stream, early: buffer, from, ended, open });
                Ok(())
            }
            Self::ToForward { forwarding, session, from, ports } => {
                while_open(&session, forward(stream, buffer, forwarding, from, ports)).await
            }
            Self::ToNobody { session, closes } => {
                let wait = async {
                    match closes {
                        Some(after) => sleep(after).await,
                        None => relay::discard(&stream).await?,
                    }
                    Ok(())
                };
                while_open(&session, wait).await
            }
            // These two are no streams: whoever connects to them is.
            Self::Acceptor { session, offer, silent } => {
                drop(open);
                let ports = sends_ports(shared.dialect, version.unwrap_or_default());
                while_open(&session, accept(stream, buffer, offer, silent, ports)).await
            }
            Self::Forwarder { session } => {
                drop(open);
                let result = while_open(&session, relay::discard(&stream)).await;
                *lock(&session.forwarding) = None;
                result
            }
        }
    }
}

/// Works until the session is over.
async fn while_open(session: &Session, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut ended = session.ended.subscribe();
    tokio::select! {
        result = work => result,
        () = over(&mut ended) => Ok(()),
    }
}

/// Waits for a peer, says who it is, and moves bytes between the two.
async fn accept(
    stream: TcpStream,
    early: Vec<u8>,
    mut offer: oneshot::Receiver<Offer>,
    silent: bool,
    ports: bool,
) -> io::Result<()> {
    let offer = tokio::select! {
        offer = &mut offer => offer,
        () = gone(&stream) => return Ok(()),
    };
    let Ok(Offer { stream: peer, early: from_peer, from, mut ended, open }) = offer else { return Ok(()) };
    let talk = async {
        if !silent {
            relay::send(&stream, peer_line(&from, ports).as_bytes()).await?;
        }
        relay::send(&stream, &from_peer).await?;
        relay::send(&peer, &early).await?;
        relay::both_ways(&stream, &peer).await
    };
    let result = tokio::select! {
        result = talk => result,
        () = over(&mut ended) => Ok(()),
    };
    drop(open);
    result
}

/// Comes back when the client has closed; never once it has sent something.
async fn gone(stream: &TcpStream) {
    if matches!(stream.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

async fn forward(
    stream: TcpStream,
    early: Vec<u8>,
    forwarding: Forwarding,
    from: Peer,
    ports: bool,
) -> io::Result<()> {
    let server = timeout(FORWARD_LIMIT, TcpStream::connect(forwarding.address)).await??;
    server.set_nodelay(true)?;
    if !forwarding.silent {
        relay::send(&server, peer_line(&from, ports).as_bytes()).await?;
    }
    relay::send(&server, &early).await?;
    relay::both_ways(&stream, &server).await
}

/// Java sends the ports from 3.2 on; i2pd (D20) and emissary, as recorded, never do.
fn sends_ports(dialect: Dialect, version: (u8, u8)) -> bool {
    dialect == Dialect::Java && version >= (3, 2)
}

fn peer_line(peer: &Peer, ports: bool) -> String {
    let Peer { destination, from_port, to_port } = peer;
    if ports {
        format!("{destination} FROM_PORT={from_port} TO_PORT={to_port}\n")
    } else {
        format!("{destination}\n")
    }
}

pub(crate) async fn behave(connection: &mut Connection, command: &Command) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    if connection.held.session().is_some() {
        return match dialect {
            // J8.
            Dialect::Java => {
                failed(connection, "I2P_ERROR MESSAGE=\"v3 control socket cannot be used for STREAM\"").await
            }
            // D19.
            Dialect::I2pd | Dialect::I2pdMaster => {
                let text = "SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"Socket already in use\"";
                connection.refuse(text).await
            }
            Dialect::Emissary => Ok(Next::Listen),
        };
    }
    let session = command.get("ID").and_then(|id| connection.shared.registry.session(id));
    let Some(session) = session else { return no_session(connection, command).await };
    if !matches!(command.action.as_str(), "CONNECT" | "ACCEPT" | "FORWARD") {
        let text = format!("I2P_ERROR MESSAGE=\"Unrecognized STREAM message opcode: {}\"", command.action);
        return match dialect {
            Dialect::Java => failed(connection, &text).await,
            Dialect::I2pd | Dialect::I2pdMaster => Ok(Next::Close),
            Dialect::Emissary => Ok(Next::Listen),
        };
    }
    match (session.style, dialect) {
        (Style::Stream, _) | (_, Dialect::I2pd | Dialect::I2pdMaster) => {}
        (Style::Primary, Dialect::Java) => {
            return failed(connection, "I2P_ERROR MESSAGE=\"primary session\"").await;
        }
        (_, Dialect::Java) => {
            return failed(connection, "I2P_ERROR MESSAGE=\"v3 control socket cannot be used for STREAM\"")
                .await;
        }
        // E10.
        (_, Dialect::Emissary) => return Ok(Next::Close),
    }
    match command.action.as_str() {
        "CONNECT" => connect(connection, command, session).await,
        "ACCEPT" => wait_for_peer(connection, command, session).await,
        _ => forward_peers(connection, command, session).await,
    }
}

async fn no_session(connection: &mut Connection, command: &Command) -> io::Result<Next> {
    let is_forward = command.action == "FORWARD";
    match (connection.shared.dialect, command.get("ID")) {
        (Dialect::Java, None) => failed(connection, "I2P_ERROR MESSAGE=\"ID not specified\"").await,
        (Dialect::Java, Some(id)) => {
            failed(connection, &format!("INVALID_ID MESSAGE=\"STREAM SESSION ID {id} does not exist\"")).await
        }
        // D19.
        (Dialect::I2pd | Dialect::I2pdMaster, _) if is_forward => {
            connection.refuse("SESSION STATUS RESULT=INVALID_ID").await
        }
        (Dialect::I2pd | Dialect::I2pdMaster, _) => failed(connection, "INVALID_ID").await,
        // E5, E10.
        (Dialect::Emissary, None) => Ok(Next::Listen),
        (Dialect::Emissary, Some(_)) => Ok(Next::Close),
    }
}

/// `STREAM STATUS` with this result, then the end.
async fn failed(connection: &mut Connection, result: &str) -> io::Result<Next> {
    connection.refuse(&format!("STREAM STATUS RESULT={result}")).await
}

async fn connect(connection: &mut Connection, command: &Command, session: Arc<Session>) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    let silent = command.is_true("SILENT");
    let Some(to) = command.get("DESTINATION") else {
        return match (dialect, command.has_pairs()) {
            (Dialect::Java, _) => {
                let text = "I2P_ERROR MESSAGE=\"No parameters specified in STREAM CONNECT message\"";
                failed(connection, text).await
            }
            (Dialect::Emissary, _) => Ok(Next::Listen),
            (_, _) => failed(connection, "INVALID_KEY").await,
        };
    };
    let (Ok(from_port), Ok(to_port)) = (command.number::<u16>("FROM_PORT"), command.number::<u16>("TO_PORT"))
    else {
        return match dialect {
            Dialect::Java => connection.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"bad port\"").await,
            Dialect::Emissary => Ok(Next::Listen),
            _ => failed(connection, "INVALID_KEY").await,
        };
    };
    let from = Peer {
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
    // E18.
    let name = match dialect {
        Dialect::Emissary => to.trim_start_matches("http://").trim_start_matches("https://"),
        _ => to,
    };
    let role = match resolve(&connection.shared, name) {
        Resolved::Destination(destination) => {
            let is_self = destination == session.keys.destination;
            let refuses_itself = matches!(dialect, Dialect::I2pdMaster | Dialect::Emissary);
            if is_self && refuses_itself {
                Err(Unreachable::Itself)
            } else {
                let reach = connection.shared.registry.reach(&destination);
                match role_towards(reach, Arc::clone(&session), from, connection) {
                    // J23: granted before anybody has looked whether there is a far end.
                    Err(_) if session.early_data => {
                        Ok(Role::ToNobody { session, closes: Some(Duration::ZERO) })
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
                connection.answer("STREAM STATUS RESULT=OK").await?;
            }
            Ok(Next::Become(role))
        }
        Err(_) if silent => Ok(Next::Close),
        Err(why) => unreachable(connection, why, name).await,
    }
}

/// Why a stream cannot be.
enum Unreachable {
    UnknownName,
    NoLeaseSet,
    Malformed,
    /// A destination, and no session or far end that has it.
    Nobody,
    /// A session that accepts no streams.
    NoAcceptor,
    Itself,
}

async fn unreachable(connection: &mut Connection, why: Unreachable, name: &str) -> io::Result<Next> {
    let result = match (connection.shared.dialect, why) {
        // J7, and the transcript of 2.7.0.
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
        // D16, D17.
        (Dialect::I2pd | Dialect::I2pdMaster, Unreachable::UnknownName | Unreachable::Malformed) => {
            "INVALID_KEY".to_owned()
        }
        (Dialect::I2pdMaster, Unreachable::Itself) => {
            "CANT_REACH_PEER MESSAGE=\"Can't connect to myself\"".to_owned()
        }
        (Dialect::I2pdMaster, _) => "CANT_REACH_PEER MESSAGE=\"LeaseSet not found\"".to_owned(),
        (Dialect::I2pd, _) => "CANT_REACH_PEER".to_owned(),
        // As recorded; E11 has it otherwise in later versions.
        (Dialect::Emissary, Unreachable::UnknownName) => return Ok(Next::Close),
        (Dialect::Emissary, Unreachable::Malformed) => return Ok(Next::Listen),
        (Dialect::Emissary, Unreachable::Itself) => "CANT_REACH_PEER".to_owned(),
        // E12.
        (Dialect::Emissary, _) => {
            return connection.last_words("STREAM STATUS RESULT=CANT_REACH_PEER").await;
        }
    };
    failed(connection, &result).await
}

/// Whom a stream gets to.
fn role_towards(
    reach: Reach,
    session: Arc<Session>,
    from: Peer,
    connection: &Connection,
) -> Result<Role, Unreachable> {
    let dialect = connection.shared.dialect;
    let mut sessions = match reach {
        Reach::Host(host) => return Ok(Role::ToHost { host, session }),
        Reach::Sessions(sessions) => sessions,
        Reach::Nobody => return Err(Unreachable::Nobody),
    };
    // A subsession that listens to this very port goes before one that listens to all.
    sessions.retain(|other| other.ports.listen == from.to_port || other.ports.listen == 0);
    sessions.sort_by_key(|other| other.ports.listen == 0);
    for other in &sessions {
        while let Some(acceptor) = { lock(&other.acceptors).pop_front() } {
            if !acceptor.is_closed() {
                return Ok(Role::ToAcceptor { acceptor, session, from });
            }
        }
        if let Some(forwarding) = *lock(&other.forwarding) {
            let ports = sends_ports(dialect, other.version);
            return Ok(Role::ToForward { forwarding, session, from, ports });
        }
    }
    match dialect {
        // As recorded: once there was an acceptor, a peer gets a stream that closes at once.
        Dialect::Java if sessions.iter().any(|other| other.has_accepted.load(Relaxed)) => {
            Ok(Role::ToNobody { session, closes: Some(Duration::ZERO) })
        }
        Dialect::Java => Err(Unreachable::NoAcceptor),
        // D18, and as recorded.
        Dialect::I2pd | Dialect::I2pdMaster => Ok(Role::ToNobody { session, closes: Some(I2PD_UNACCEPTED) }),
        Dialect::Emissary => Ok(Role::ToNobody { session, closes: None }),
    }
}

async fn wait_for_peer(
    connection: &mut Connection,
    command: &Command,
    session: Arc<Session>,
) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    let silent = command.is_true("SILENT");
    // As recorded.
    if silent && dialect.is_i2pd() {
        return Ok(Next::Close);
    }
    if dialect == Dialect::Emissary && lock(&session.forwarding).is_some() {
        return failed(connection, "I2P_ERROR").await;
    }
    let (acceptor, offer) = oneshot::channel();
    {
        let mut acceptors = lock(&session.acceptors);
        acceptors.retain(|other| !other.is_closed());
        acceptors.push_back(acceptor);
    }
    session.has_accepted.store(true, Relaxed);
    if !silent {
        connection.answer("STREAM STATUS RESULT=OK").await?;
    }
    Ok(Next::Become(Role::Acceptor { session, offer, silent }))
}

async fn forward_peers(
    connection: &mut Connection,
    command: &Command,
    session: Arc<Session>,
) -> io::Result<Next> {
    let dialect = connection.shared.dialect;
    let Some(port) = command.get("PORT") else {
        return match dialect {
            Dialect::Java => {
                failed(connection, "I2P_ERROR MESSAGE=\"Forwarding failed : receiver port not specified\"")
                    .await
            }
            Dialect::Emissary => Ok(Next::Listen),
            _ => connection.refuse("SESSION STATUS RESULT=I2P_ERROR MESSAGE=\"PORT is missing\"").await,
        };
    };
    // As recorded, Java takes any number for a port; nothing can be forwarded there.
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
        let is_accepting = lock(&session.acceptors).iter().any(|acceptor| !acceptor.is_closed());
        let is_forwarding = lock(&session.forwarding).is_some();
        if is_accepting || is_forwarding {
            let what = if is_forwarding { "a forwarding" } else { "an accepting" };
            let text = format!(
                "I2P_ERROR MESSAGE=\"Forwarding failed : {what} server is already defined for this destination\""
            );
            return failed(connection, &text).await;
        }
    }
    *lock(&session.forwarding) = Some(forwarding);
    connection.answer("STREAM STATUS RESULT=OK").await?;
    Ok(Next::Become(Role::Forwarder { session }))
}

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use crate::{
    Error, Phase, Session,
    connection::{Connection, Line},
    wire::{Hello, Malformed, Reply, ResultWord, SessionId, SessionOptions, Version},
};

/// How long the client waits for a router. The specification asks for patience: a router that gives up says so
/// itself, and a session or stream that was abandoned too early costs the network as much as one that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connection and HELLO.
    pub hello: Duration,
    /// SESSION CREATE, until tunnels are built.
    pub session_create: Duration,
    /// NAMING LOOKUP of a host name. Short: a router has its address book at hand, and the lookups of a session wait for
    /// each other.
    pub naming_lookup: Duration,
    /// STREAM CONNECT; routers themselves give up after about 60 s.
    pub stream_connect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            session_create: Duration::from_secs(300),
            naming_lookup: Duration::from_secs(15),
            stream_connect: Duration::from_secs(90),
        }
    }
}

/// A router's SAM bridge: where it is and how patient to be with it. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Bridge {
    address: Arc<str>,
    timeouts: Timeouts,
}

impl Bridge {
    /// The bridge at `host:port`. The host may be a name: it is the router's own, not a client's target, and is
    /// resolved by the operating system at each connection.
    #[must_use]
    pub fn new(address: impl AsRef<str>) -> Self {
        Self { address: Arc::from(address.as_ref()), timeouts: Timeouts::default() }
    }

    /// With other limits than the default ones.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Where the bridge is, as given to [`Bridge::new`].
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The limits in force.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Asks whether a bridge answers, and which version it speaks.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotSam`], [`Error::Timeout`], [`Error::Refused`].
    pub async fn probe(&self) -> Result<Version, Error> {
        self.connect().await.map(|(_, version)| version)
    }

    /// Opens a session: a destination with tunnels of its own. Returns when the tunnels are built.
    ///
    /// # Errors
    /// What [`Bridge::probe`] can say, and [`Error::Refused`] with the router's reason.
    pub async fn create_session(&self, options: &SessionOptions) -> Result<Session, Error> {
        let id = SessionId::random().map_err(Error::Random)?;
        Session::create(self.clone(), id, options).await
    }

    /// A connection that has said HELLO.
    pub(crate) async fn connect(&self) -> Result<(Connection, Version), Error> {
        let limit = self.timeouts.hello;
        within(limit, Phase::Hello, self.connect_and_hello()).await
    }

    async fn connect_and_hello(&self) -> Result<(Connection, Version), Error> {
        let unreachable = |source| Error::Unreachable { address: self.address.to_string(), source };
        let stream = TcpStream::connect(&*self.address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut connection = Connection::new(stream);
        connection.send(Hello).await.map_err(unreachable)?;
        let not_sam = || Error::NotSam { address: self.address.to_string() };
        let Ok(Line::Complete(line)) = connection.line().await else { return Err(not_sam()) };
        match Reply::parse(&line) {
            Ok(Reply::Hello { status, version: Some(version) }) if status.result == ResultWord::Ok => {
                Ok((connection, version))
            }
            Ok(Reply::Hello { status, .. }) if status.result != ResultWord::Ok => {
                Err(Error::refused(Phase::Hello, status))
            }
            _ => Err(not_sam()),
        }
    }
}

/// The next line as an error where there is none.
pub(crate) async fn answer(connection: &mut Connection, phase: Phase) -> Result<bytes::BytesMut, Error> {
    match connection.line().await {
        Ok(Line::Complete(line)) => Ok(line),
        Ok(Line::End) => Err(Error::Closed { phase }),
        Err(error) => Err(broken(&error, phase)),
    }
}

/// A connection that broke while something was being done.
pub(crate) fn broken(error: &io::Error, phase: Phase) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => Error::Unexpected { phase },
        _ => Error::Closed { phase },
    }
}

/// A line that is no SAM at all.
pub(crate) fn unexpected(phase: Phase) -> impl FnOnce(Malformed) -> Error {
    move |Malformed| Error::Unexpected { phase }
}

pub(crate) async fn within<T>(
    limit: Duration,
    phase: Phase,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or(Err(Error::Timeout { phase, limit }))
}

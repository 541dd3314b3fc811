//! Name lookup on a session.

use std::{pin::Pin, sync::Arc};

use i2p_name::{B32, Destination, HostName, I2pName, ImportRefusal};
use i2p_sam::{Error, Session};

use super::{attempt_error::AttemptError, pool::SessionLease};
use crate::{
    failure::Failure,
    log_throttle::LogThrottle,
    names::{LookupIdentity, NameCache, OpenStreams, Resolver},
    stream::{ClientFin, OpenStream},
};

/// Warns of answers with a destination that was not asked for. Clients choose how often that is noticed.
static WRONG_DESTINATION: LogThrottle<()> = LogThrottle::new();

/// An identity at the router: its session, and the names that it has looked up. Clones are the same identity.
#[derive(Clone)]
pub(crate) struct SessionIdentity {
    pub(crate) session: Session,
    names: NameCache,
}

impl SessionIdentity {
    /// The identity of `session`, the current session of this lease.
    pub(crate) fn of(lease: &SessionLease, session: Session) -> Self {
        let names = lease.names(&session);
        Self { session, names }
    }

    /// Asks the router for a name. Returns `Ok(None)` if it is in no address book.
    async fn ask_router(&self, host: &HostName) -> Result<Option<I2pName>, AttemptError> {
        match self.session.lookup(host).await.map(I2pName::from) {
            Ok(found) => Ok(Some(found)),
            Err(error) => match AttemptError::of(&error) {
                AttemptError::Failed(Failure::NameUnknown) => Ok(None),
                error => Err(error),
            },
        }
    }
}

/// The streams of an identity, for a resolver's last resort.
struct IdentityStreams<'a> {
    identity: &'a SessionIdentity,
    resolver: &'a Resolver,
}

impl OpenStreams for IdentityStreams<'_> {
    fn open<'a>(
        &'a self,
        name: &'a I2pName,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = Result<OpenStream, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let Self { identity, resolver } = self;
            let found = match name {
                I2pName::Host(host) => {
                    let found = resolver.resolve_once(host, identity.ask_router(host)).await;
                    Some(found.map_err(AttemptError::failure)?.ok_or(Failure::NameUnknown)?)
                }
                _ => None,
            };
            let opened = identity.session.connect(found.as_ref().unwrap_or(name), port).await;
            let opened = opened.map_err(|error| AttemptError::of(&error).failure())?;
            // The lookup keeps the session open.
            Ok(OpenStream {
                socket: opened.into(),
                first_data: Vec::new(),
                client_fin: ClientFin::Held,
                hold: None,
            })
        })
    }

    fn are_lost(&self) -> bool {
        !self.identity.session.is_alive()
    }
}

impl Resolver {
    /// Returns the full destination of a name, which sending datagrams requires.
    pub(crate) async fn destination(
        &self,
        identity: &SessionIdentity,
        name: &I2pName,
    ) -> Result<Destination, Failure> {
        let found = match name {
            I2pName::Host(host) => Some(self.look_up(identity, host).await.map_err(AttemptError::failure)?),
            _ => None,
        };
        let name = found.as_deref().unwrap_or(name);
        identity.session.destination_of(name).await.map_err(|error| {
            if matches!(error, Error::WrongDestination { .. }) {
                WRONG_DESTINATION.warn(
                    (),
                    format_args!("{error}: is it the router that answers at the address of the SAM bridge?"),
                );
            }
            AttemptError::of(&error).failure()
        })
    }

    /// Returns the hash of a name's destination. A base32 address contains it, so it needs no lookup.
    pub(crate) async fn hash_of(&self, identity: &SessionIdentity, name: &I2pName) -> Result<B32, Failure> {
        match name {
            I2pName::B32(b32) => Ok(*b32),
            name => self.destination(identity, name).await.map(|destination| destination.b32()),
        }
    }

    /// Resolves a host name: from the resolver's sources, by what the identity has looked up before, by asking the router, or by
    /// the last resort on the identity's own streams.
    pub(crate) async fn look_up(
        &self,
        identity: &SessionIdentity,
        host: &HostName,
    ) -> Result<Arc<I2pName>, AttemptError> {
        let streams = IdentityStreams { identity, resolver: self };
        let lookup = LookupIdentity { cache: &identity.names, streams: &streams };
        let found = self.resolve(lookup, host, identity.ask_router(host)).await;
        match found.map_err(|error| if streams.are_lost() { AttemptError::SessionLost } else { error })? {
            Some(found) => Ok(found),
            None => Err(AttemptError::Failed(failure_of_unknown(host))),
        }
    }
}

/// What a name is that no source knows. Names that no address book may have must not be advised to be added to one.
fn failure_of_unknown(host: &HostName) -> Failure {
    match host.check_importable() {
        Ok(()) => Failure::NameUnknown,
        // The `.b32` is missing.
        Err(ImportRefusal::LooksLikeBase32) => Failure::MalformedName,
        Err(_) => Failure::NameReserved,
    }
}

//! NAMING LOOKUP on a connection of its own, for routers that answer there.

use i2p_name::{Destination, I2pName};

use super::{
    Bridge,
    capabilities::LookupChannel,
    connection::{Connection, within},
    router::Router,
};
use crate::{
    error::{Error, Phase},
    wire::{LookupName, NamingLookup, Reply, ResultWord, Status},
};

const PHASE: Phase = Phase::NamingLookup;

impl Bridge {
    /// Asks the router's address book for a destination, as [`Router::lookup`].
    ///
    /// # Errors
    /// What [`Bridge::probe`] returns, and as [`Router::lookup`].
    pub async fn lookup(&self, name: &I2pName) -> Result<Destination, Error> {
        self.router().await?.lookup(name).await
    }

    /// Asks the router for the options of a name's lease set, as [`Router::lookup_options`].
    ///
    /// # Errors
    /// What [`Bridge::probe`] returns, and as [`Router::lookup_options`].
    pub async fn lookup_options(&self, name: &I2pName) -> Result<Vec<(String, String)>, Error> {
        self.router().await?.lookup_options(name).await
    }
}

impl Router {
    /// Asks the router's address book for a destination, without a session. The lookup has a connection of its own.
    ///
    /// # Errors
    /// As [`Session::lookup`](crate::Session::lookup), and [`Error::Unsupported`] on emissary, which looks up names for
    /// sessions only.
    pub async fn lookup(&self, name: &I2pName) -> Result<Destination, Error> {
        self.ask_for_name(name, LeaseSetOptions::NotWanted, |reply| destination_in(reply, name)).await
    }

    /// Asks the router for the options of a name's lease set, where the destination publishes any: service records among them
    /// (proposal 167, API 0.9.66). A router that does not know the proposal returns none; in 2025 that was every router.
    ///
    /// # Errors
    /// As [`Router::lookup`].
    pub async fn lookup_options(&self, name: &I2pName) -> Result<Vec<(String, String)>, Error> {
        self.ask_for_name(name, LeaseSetOptions::Wanted, |reply| {
            let options = match &reply {
                Reply::Naming { options, .. } => {
                    options.iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect()
                }
                _ => Vec::new(),
            };
            // The destination is checked, so that the options of another one are not taken for those of this name.
            destination_in(reply, name).map(|found| found.map(|_| options))
        })
        .await
    }

    /// Asks for a name on a connection of its own, and returns what `read` finds in the answer.
    async fn ask_for_name<T>(
        &self,
        name: &I2pName,
        options: LeaseSetOptions,
        read: impl Fn(Reply<'_>) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let capabilities = self.capabilities();
        if capabilities.lookup_channel() == LookupChannel::Session {
            let what = "lookups of names outside a session";
            return Err(Error::Unsupported { what, dialect: capabilities.dialect() });
        }
        let read = &read;
        let options = options == LeaseSetOptions::Wanted;
        let ask = |mut connection: Connection| async move {
            connection.send(&NamingLookup { name: LookupName::Name(name), options }, PHASE).await?;
            loop {
                let line = connection.answer(PHASE).await?;
                match Reply::parse(&line).map_err(|_| Error::Unexpected { phase: PHASE })? {
                    Reply::Ping(text) => {
                        connection.pong(text).await.map_err(|_| Error::Closed { phase: PHASE })?;
                    }
                    reply => return read(reply).unwrap_or(Err(Error::Unexpected { phase: PHASE })),
                }
            }
        };
        let limit = self.bridge().timeouts().naming_lookup;
        // In an allocation of its own: answers are cached, so most requests make no lookup.
        Box::pin(self.request(|connection| within(limit, PHASE, ask(connection)))).await
    }
}

/// Whether a lookup asks for the options of the lease set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LeaseSetOptions {
    Wanted,
    NotWanted,
}

/// Sends a lookup on the control connection of a session.
pub(crate) async fn send(connection: &mut Connection, name: &I2pName) -> Result<(), Error> {
    connection.send(&NamingLookup { name: LookupName::Name(name), options: false }, PHASE).await
}

/// The destination in a reply, or the reason why there is none. `None` when the reply is about something else.
///
/// The answer may be a lie, since any program on this machine can open the port of a router that is not running. What the name
/// says about its destination is checked.
pub(crate) fn destination_in(reply: Reply<'_>, asked: &I2pName) -> Option<Result<Destination, Error>> {
    match reply {
        // Another name: the late answer to a lookup that was given up.
        Reply::Naming { name, .. } if !name.is_empty() && name != asked.to_string() => None,
        Reply::Naming { status: Status { result: ResultWord::Ok, .. }, value, .. } => {
            let found = value.and_then(|value| value.parse().ok()).ok_or(Error::Unexpected { phase: PHASE });
            Some(found.and_then(|found| match asked.allows(&found) {
                true => Ok(found),
                false => Err(Error::WrongDestination { phase: PHASE }),
            }))
        }
        Reply::Naming { status, .. } => Some(Err(Error::refused(PHASE, status))),
        _ => None,
    }
}

//! NAMING LOOKUP on a connection of its own, for routers that answer there.

use i2p_name::{Destination, I2pName};

use super::{
    Bridge,
    capabilities::Lookups,
    connection::{Connection, within},
};
use crate::{
    error::{Error, Phase},
    wire::{LookupName, NamingLookup, Reply, ResultWord, Status},
};

const PHASE: Phase = Phase::NamingLookup;

impl Bridge {
    /// Asks the router's address book for a destination, without a session. The lookup has a connection of its own.
    ///
    /// # Errors
    /// As [`Session::lookup`], and [`Error::Unsupported`] by emissary, which looks up names for sessions only.
    pub async fn lookup(&self, name: &I2pName) -> Result<Destination, Error> {
        anywhere(self, name).await
    }

    /// Asks the router for the options of a name's lease set, where it publishes any: service records among them (proposal 167,
    /// API 0.9.66). Routers that know nothing of it, as all did in 2025, give none.
    ///
    /// # Errors
    /// As [`Bridge::lookup`].
    pub async fn lookup_options(&self, name: &I2pName) -> Result<Vec<(String, String)>, Error> {
        options(self, name).await
    }
}

/// Looks a name up without a session.
pub(crate) async fn anywhere(bridge: &Bridge, name: &I2pName) -> Result<Destination, Error> {
    ask(bridge, name, false, result).await
}

/// The options of the lease set of a name.
pub(crate) async fn options(bridge: &Bridge, name: &I2pName) -> Result<Vec<(String, String)>, Error> {
    ask(bridge, name, true, |reply, asked| match reply {
        Reply::Naming { name, .. } if !name.is_empty() && name != asked => None,
        Reply::Naming { status: Status { result: ResultWord::Ok, .. }, options, .. } => {
            Some(Ok(options.iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect()))
        }
        reply => result(reply, asked).map(|other| other.map(|_| Vec::new())),
    })
    .await
}

/// Asks on a connection of its own, and gives what `read` makes of the answer.
async fn ask<T>(
    bridge: &Bridge,
    name: &I2pName,
    options: bool,
    read: impl Fn(Reply<'_>, &str) -> Option<Result<T, Error>>,
) -> Result<T, Error> {
    let capabilities = bridge.capabilities().await?;
    if capabilities.lookups() == Lookups::OnSession {
        return Err(Error::Unsupported {
            what: "lookup of names outside of a session",
            dialect: capabilities.dialect(),
        });
    }
    let asked = name.to_string();
    let (asked, read) = (asked.as_str(), &read);
    let ask = |mut connection: Connection| async move {
        connection.send(&NamingLookup { name: LookupName::Name(name), options }, PHASE).await?;
        loop {
            let line = connection.answer(PHASE).await?;
            match Reply::parse(&line).map_err(|_| Error::Unexpected { phase: PHASE })? {
                Reply::Ping(text) => {
                    connection.pong(text).await.map_err(|_| Error::Closed { phase: PHASE })?;
                }
                reply => return read(reply, asked).unwrap_or(Err(Error::Unexpected { phase: PHASE })),
            }
        }
    };
    // In a place of its own: names are remembered, and so most requests do not come here.
    Box::pin(bridge.ask(|connection| within(bridge.timeouts().naming_lookup, PHASE, ask(connection)))).await
}

pub(crate) async fn send(connection: &mut Connection, name: &I2pName) -> Result<(), Error> {
    connection.send(&NamingLookup { name: LookupName::Name(name), options: false }, PHASE).await
}

/// What a reply says of this name; nothing, if it is about something else.
pub(crate) fn result(reply: Reply<'_>, asked: &str) -> Option<Result<Destination, Error>> {
    match reply {
        // Another name: the late answer to a lookup that was given up.
        Reply::Naming { name, .. } if !name.is_empty() && name != asked => None,
        Reply::Naming { status: Status { result: ResultWord::Ok, .. }, value, .. } => {
            let value = value.and_then(|value| value.parse().ok());
            Some(value.ok_or(Error::Unexpected { phase: PHASE }))
        }
        Reply::Naming { status, .. } => Some(Err(Error::refused(PHASE, status))),
        _ => None,
    }
}

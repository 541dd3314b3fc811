//! What each source of names says about a host name, for `resolve`: in the proxy, or in this process if no proxy is running.

use std::collections::BTreeMap;

use i2p_name::{Destination, HostName, I2pName, ServiceRecord, is_service};
use i2p_sam::{Bridge, Error, Phase, ResultWord};
use serde::{Deserialize, Serialize};

use crate::config::names::NamesConfig;

/// What the sources of names say about a host name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct HostLookup {
    /// The sources that were asked, with their answers.
    pub(crate) steps: Vec<Step>,
    /// The base32 address that the name leads to, if it is known.
    pub(crate) b32: Option<String>,
    /// The destination, if it is known.
    pub(crate) destination: Option<String>,
    /// The services in the options of its lease set, if the router returns them.
    pub(crate) services: BTreeMap<String, Vec<String>>,
    /// Whether a source was asked and did not answer.
    pub(crate) incomplete: bool,
}

/// One source that was asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The source.
    pub(crate) step: String,
    /// Its answer, for people.
    pub(crate) answer: String,
}

impl HostLookup {
    /// Asks every source that the configuration has, in the order of the proxy. The first one that knows the name decides. `book` and
    /// `bridge` are errors, for people, if there is no address book or no router.
    pub(crate) async fn of(
        host: &HostName,
        names: &NamesConfig,
        book: impl Future<Output = Result<Option<Destination>, String>>,
        bridge: Result<&Bridge, String>,
    ) -> Self {
        let mut lookup = Self::default();
        lookup.note("the configuration's names", names.fixed.get(host));
        if names.book {
            match book.await {
                Ok(found) => lookup.note("the address book", found.map(I2pName::from).as_ref()),
                Err(why) => {
                    lookup.incomplete = true;
                    lookup.add("the address book", why);
                }
            }
        }
        if names.router {
            lookup.ask_router(host, bridge).await;
        }
        if lookup.b32.is_none() && !names.jump.is_empty() {
            let answer = "not asked; the proxy asks them when a client requests the name";
            lookup.add("the jump services", answer.to_owned());
        }
        lookup
    }

    async fn ask_router(&mut self, host: &HostName, bridge: Result<&Bridge, String>) {
        const STEP: &str = "the router's address book";
        let answer = match bridge {
            Ok(bridge) => match ask(bridge, host).await {
                Ok(Some(found)) => Ok(Some((found, services(bridge, host).await))),
                Ok(None) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            Err(why) => Err(why),
        };
        match answer {
            Ok(Some((found, services))) => {
                self.note(STEP, Some(&found.into()));
                self.services = services;
            }
            Ok(None) => self.note(STEP, None),
            Err(why) => {
                self.incomplete = true;
                self.add(STEP, why);
            }
        }
    }

    fn note(&mut self, step: &str, found: Option<&I2pName>) {
        let (b32, destination) = match found {
            Some(I2pName::Destination(destination)) => {
                (Some(destination.b32().to_string()), Some(destination.to_base64()))
            }
            Some(other) => (Some(other.to_string()), None),
            None => (None, None),
        };
        self.add(step, b32.clone().unwrap_or_else(|| "not there".to_owned()));
        if self.b32.is_none() {
            (self.b32, self.destination) = (b32, destination);
        }
    }

    fn add(&mut self, step: &str, answer: String) {
        self.steps.push(Step { step: step.to_owned(), answer });
    }
}

/// The services in the options of the lease set. Empty if the router does not support the lookup or does not find the lease set.
async fn services(bridge: &Bridge, host: &HostName) -> BTreeMap<String, Vec<String>> {
    let options = bridge.lookup_options(&host.clone().into()).await.unwrap_or_default();
    let services = options.into_iter().filter(|(option, _)| is_service(option));
    services
        .filter_map(|(option, value)| {
            let records = ServiceRecord::parse_all(&value).ok()?;
            Some((option, records.iter().map(place).collect()))
        })
        .collect()
}

fn place(record: &ServiceRecord) -> String {
    let app = record.app.as_ref().map(|app| format!(", for {app}")).unwrap_or_default();
    match &record.at {
        None => format!("port {}{app}", record.port),
        Some(at) => format!(
            "port {} of {} (priority {}, weight {}){app}",
            record.port, at.name, at.priority, at.weight
        ),
    }
}

/// Why the destination of an address is not known, for people. Routers answer with different words if they do not find it.
pub(crate) fn why_unknown(error: &Error) -> String {
    match error {
        Error::Refused {
            phase: Phase::NamingLookup,
            result: ResultWord::KeyNotFound | ResultWord::InvalidKey | ResultWord::CantReachPeer,
            ..
        } => "the router does not find it. Its service may be offline, or the router may have no tunnels yet"
            .to_owned(),
        error => error.to_string(),
    }
}

/// The answer of the router's address book; `None` if it does not have the name.
async fn ask(bridge: &Bridge, host: &HostName) -> Result<Option<Destination>, Error> {
    match bridge.lookup(&host.clone().into()).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::Refused {
            phase: Phase::NamingLookup,
            result: ResultWord::KeyNotFound | ResultWord::InvalidKey,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_book_that_cannot_be_read_leaves_a_name_undecided() {
        let host = "a.i2p".parse().unwrap();
        let names = NamesConfig { router: false, ..NamesConfig::default() };
        let no_router = || Err("not asked".to_owned());
        let unread = async { Err("it is locked".to_owned()) };
        assert!(HostLookup::of(&host, &names, unread, no_router()).await.incomplete);
        let read = async { Ok(None) };
        assert!(!HostLookup::of(&host, &names, read, no_router()).await.incomplete);
    }

    #[test]
    fn an_address_that_is_not_found_is_told_without_the_words_of_routers() {
        let refused = |result| Error::Refused { phase: Phase::NamingLookup, result, message: None };
        for result in [ResultWord::InvalidKey, ResultWord::KeyNotFound, ResultWord::CantReachPeer] {
            assert!(why_unknown(&refused(result)).starts_with("the router does not find it. "));
        }
        assert!(why_unknown(&refused(ResultWord::I2pError)).contains("I2P_ERROR"));
    }
}

//! A link with an address helper, and what its name leads to without it.

use hyper::http::uri::PathAndQuery;
use i2p_name::{HostName, I2pName, Target};

use super::{
    super::super::service::Service,
    url::{AddressHelper, BadHelper, is_same},
};
use crate::{
    client::{Client, IsolationKey},
    dial::Dial,
    http_message::{self, HTTP_PORT},
    names::{KnownName, NameBook, NameOrigin},
};

/// A URL with an address helper for a host name.
pub(super) struct HelperLink {
    pub(super) name: HostName,
    pub(super) port: u16,
    pub(super) destination: I2pName,
    /// The path and the query without the address helper.
    pub(super) rest: PathAndQuery,
}

impl HelperLink {
    pub(super) fn new(name: HostName, port: u16, helper: AddressHelper) -> Self {
        Self { name, port, destination: helper.destination, rest: helper.rest }
    }

    /// Parses a whole URL.
    pub(super) fn parse(url: &str) -> Option<Result<Self, BadHelper>> {
        let (host, port, path) = http_message::parse_url(url.as_bytes())?;
        let Ok(Target::I2p(I2pName::Host(name))) = Target::parse(host) else { return None };
        Some(AddressHelper::of(&path)?.map(|helper| Self::new(name, port, helper)))
    }

    /// The scheme, the host and the port.
    pub(super) fn origin(&self) -> String {
        match self.port {
            HTTP_PORT => format!("http://{}", self.name.as_str()),
            port => format!("http://{}:{port}", self.name.as_str()),
        }
    }

    /// The URL without the address helper.
    pub(super) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.rest)
    }

    /// The URL with the address helper.
    pub(super) fn url_with_helper(&self) -> String {
        let mark = if self.rest.query().is_some() { '&' } else { '?' };
        format!("{}{mark}i2paddresshelper={}", self.url(), self.destination)
    }

    /// The identity by which a client visits the site.
    pub(super) fn identity<D>(&self, service: &Service<D>, client: &Client) -> IsolationKey {
        service.sessions.key(client, &Target::I2p(self.name.clone().into()), self.port)
    }

    /// Whether the address book can have the name, and would then decide. It holds destinations, and nobody can tell that of an
    /// encrypted lease set.
    pub(super) fn can_be_kept(&self, book: &dyn NameBook, known: Option<&Known>) -> bool {
        let is_fixed = known.is_some_and(|known| known.by == Says::Source(NameOrigin::Configuration));
        book.keeps_names() && !is_fixed && !matches!(self.destination, I2pName::Blinded(_))
    }

    /// What the name of the link leads to now.
    pub(super) async fn known<D: Dial>(&self, service: &Service<D>, key: &IsolationKey) -> Option<Known> {
        let session = || service.dialler.session_now(key);
        if let Some(destination) = service.chosen_names.find(key, session, &self.name) {
            return Some(Known { destination, by: Says::Choice });
        }
        let KnownName { destination, origin } = service.name_book.as_ref()?.known(&self.name).await?;
        Some(Known { destination, by: Says::Source(origin) })
    }
}

/// What a name leads to now.
pub(super) struct Known {
    pub(super) destination: I2pName,
    pub(super) by: Says,
}

/// Who says what a name leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// The person, when they followed another link.
    Choice,
    Source(NameOrigin),
}

impl Known {
    pub(super) fn is(&self, destination: &I2pName) -> bool {
        is_same(&self.destination, destination)
    }

    /// Who says so, for people.
    pub(super) fn by(&self) -> &'static str {
        match self.by {
            Says::Choice => "As you have chosen for now",
            Says::Source(NameOrigin::Configuration) => "In the proxy's configuration",
            Says::Source(NameOrigin::AddressBook) => "In your address book",
            Says::Source(NameOrigin::Router) => "In the router's address book",
        }
    }
}

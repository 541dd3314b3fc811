//! The page about the identity of a client: the address that sites know it by, and new ones.

use std::time::Duration;

use hyper::{Response, StatusCode};
use i2p_name::Target;
use tokio::time::timeout;

use super::super::{
    answer::{Reader, of_page},
    body::ClientBody,
    form::value,
    page::{Block, Form, Page},
    token::Token,
    visit::Visit,
};
use crate::{
    client::IsolationKey,
    dial::Dial,
    failure::Failure,
    http_message::{self, HTTP_PORT},
    names,
};

/// The path of the page.
pub(super) const PATH: &str = "/identity";

const SHOW: &str = "show";
const RENEW: &str = "renew";
const RENEW_ALL: &str = "renew-all";

/// How long a person waits for tunnels.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// Answers a request for the page. It builds no session.
pub(super) fn show<D: Dial>(visit: &Visit<'_, D>, query: &str) -> Response<ClientBody> {
    let Some(identity) = Identity::of(visit, query) else { return visit.malformed() };
    let what = if identity.is_by_site {
        "each site knows you by an I2P address of its own"
    } else {
        "all sites know you by one I2P address"
    };
    let hint = match visit.reader {
        Reader::Person => {
            "To show it, the proxy builds I2P tunnels if you have none yet. A new identity does not interrupt open downloads."
        }
        Reader::Program => {
            "To see or change it, open this page in a browser, or use i2p-socks status and i2p-socks new-identity."
        }
    };
    identity.page(visit, ("Your identity in I2P", what, hint), Vec::new())
}

/// Answers a form that was sent from the page.
pub(super) async fn act<D: Dial>(visit: &Visit<'_, D>, form: &str) -> Response<ClientBody> {
    let Some(identity) = Identity::of(visit, form) else { return visit.malformed() };
    let Some(key) = &identity.key else { return visit.malformed() };
    if !identity.token(key).is_valid(&value(form, "token").unwrap_or_default()) {
        return visit.forgotten();
    }
    match value(form, "choice").as_deref() {
        Some(SHOW) => identity.show_address(visit, key).await,
        Some(RENEW | RENEW_ALL) if !visit.owns(key) => visit.shared(),
        Some(RENEW) => identity.renew(visit, &|other| other == key),
        Some(RENEW_ALL) => identity.renew(visit, &|other| other.is_of_client_of(key)),
        _ => visit.malformed(),
    }
}

/// The identity that a page is about.
struct Identity {
    /// The site as the person typed it.
    site: String,
    /// `None` if each site has its own identity, and none is named.
    key: Option<IsolationKey>,
    /// Whether sites have identities of their own.
    is_by_site: bool,
}

impl Identity {
    /// Returns `None` if the site that the parameters name is no host.
    fn of<D>(visit: &Visit<'_, D>, parameters: &str) -> Option<Self> {
        let sessions = &visit.service.sessions;
        let site = value(parameters, "site").unwrap_or_default().trim().to_owned();
        if let Some(key) = sessions.client_key(visit.client) {
            return Some(Self { site: String::new(), key: Some(key), is_by_site: false });
        }
        let (host, port) = match http_message::parse_url(site.as_bytes()) {
            Some((host, port, _)) => (host, port),
            None => (site.as_bytes(), HTTP_PORT),
        };
        let key = match host {
            [] => None,
            host if names::is_own_host(host) => return None,
            host => Some(sessions.key(visit.client, &Target::parse(host).ok()?, port)),
        };
        Some(Self { site, key, is_by_site: true })
    }

    fn token<'a>(&self, key: &'a IsolationKey) -> Token<'a> {
        Token::new("identity", key, vec![self.site.clone()])
    }

    async fn show_address<D: Dial>(&self, visit: &Visit<'_, D>, key: &IsolationKey) -> Response<ClientBody> {
        let dialler = &visit.service.dialler;
        let prepared = timeout(MAX_WAIT, dialler.prepare(key)).await;
        let title = "Your identity in I2P";
        match (dialler.address_now(key), prepared) {
            (Some(address), _) => {
                let facts = vec![Block::Facts(vec![("Your address", address.to_string())])];
                let what = "this is the I2P address by which sites know you now";
                let hint = match visit.service.sessions.incoming {
                    true => "It is published, so that others can connect to your programs.",
                    false => "It is not published: only the sites that you visit know it.",
                };
                self.page(visit, (title, what, hint), facts)
            }
            (None, Ok(Err(failure))) => {
                self.page(visit, (title, failure.row().log, failure.client_hint()), Vec::new())
            }
            (None, _) if dialler.router().await.is_none() => {
                let failure = Failure::RouterUnavailable;
                self.page(visit, (title, failure.row().log, failure.client_hint()), Vec::new())
            }
            (None, _) => {
                let hint = "Ask again in a moment.";
                self.page(visit, (title, "I2P tunnels for you are being built", hint), Vec::new())
            }
        }
    }

    fn renew<D: Dial>(
        &self,
        visit: &Visit<'_, D>,
        is_renewed: &(dyn Fn(&IsolationKey) -> bool + Sync),
    ) -> Response<ClientBody> {
        let service = visit.service;
        let renewed = service.dialler.renew(is_renewed);
        service.routing.outproxies().renew_if(is_renewed);
        service.chosen_names.forget_if(is_renewed);
        let (what, hint) = match renewed {
            0 => (
                "no identity of yours was in use",
                "Your next request gets a new one, unless this tunnel keeps its identity for good.",
            ),
            _ => (
                "your next request gets a new identity",
                "Downloads that are open go on with the old one. Sites may still know you by cookies: delete them too.",
            ),
        };
        self.page(visit, ("New identity", what, hint), Vec::new())
    }

    fn page<D>(
        &self,
        visit: &Visit<'_, D>,
        (title, what, hint): (&str, &str, &str),
        mut more: Vec<Block>,
    ) -> Response<ClientBody> {
        if self.is_by_site {
            let field = Some(("site", "Site", self.site.clone()));
            let (asks, hidden, buttons) = (true, Vec::new(), vec![("choose", "Choose")]);
            more.push(Block::Form(Form { action: PATH, asks, field, hidden, buttons }));
        }
        if let Some(key) = &self.key
            && let Some(token) = self.token(key).issue()
        {
            let hidden = vec![("site", self.site.clone()), ("token", token)];
            let mut buttons = vec![(SHOW, "Show the address")];
            match (visit.owns(key), self.is_by_site) {
                (false, _) => {}
                (true, false) => buttons.push((RENEW, "New identity")),
                (true, true) => buttons.extend([
                    (RENEW, "New identity for this site"),
                    (RENEW_ALL, "New identities for all sites"),
                ]),
            }
            more.push(Block::Form(Form { action: PATH, asks: false, field: None, hidden, buttons }));
        }
        let page = Page { title, what, hint, more: &more, forms: Some("'self'"), ..Page::default() };
        of_page(StatusCode::OK, &page, visit.reader)
    }
}

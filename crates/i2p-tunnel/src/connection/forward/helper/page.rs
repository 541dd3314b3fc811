//! The page that asks what to do with a link, and the choice. They are on the proxy's own host: a page in I2P can neither read the
//! token in the form nor show the page in a frame, not even the site that the link leads to.

use hyper::{Response, StatusCode};
use i2p_name::{HostName, I2pName};

use super::{
    super::{
        answer::{of_page, redirect},
        body::ClientBody,
        form::value,
        page::{Block, Form, Link, Page},
        token::Token,
        visit::Visit,
    },
    link::{HelperLink, Known, Says},
    request::{PATH, may_be_given, reserved},
    url::address_of,
};
use crate::{
    client::IsolationKey,
    dial::Dial,
    names::{NameBook, NameOrigin},
};

const ONCE: &str = "once";
const KEEP: &str = "keep";

/// Other names of the destination that are shown.
const MAX_OTHER_NAMES: usize = 5;

/// Answers a request for the page.
pub(crate) async fn show<D: Dial>(visit: &Visit<'_, D>, query: &str) -> Response<ClientBody> {
    match question(visit, query).await {
        Ok(question) => question.answer(visit).await,
        Err(answer) => answer,
    }
}

/// Answers a form that was sent from the page.
pub(crate) async fn choose<D: Dial>(visit: &Visit<'_, D>, form: &str) -> Response<ClientBody> {
    let question = match question(visit, form).await {
        Ok(question) => question,
        Err(answer) => return answer,
    };
    let token = value(form, "token").unwrap_or_default();
    if !question.token().is_valid(&token) {
        return visit.forgotten();
    }
    match value(form, "choice").as_deref() {
        Some(ONCE) if visit.owns(&question.key) => question.follow_once(visit),
        Some(ONCE) => visit.shared(),
        Some(KEEP) => match question.keeper(visit) {
            Some(book) => question.keep(visit, book).await,
            None => visit.not_allowed(),
        },
        _ => visit.malformed(),
    }
}

/// A link that a person has to decide on.
struct Question {
    link: HelperLink,
    /// Who would visit it.
    key: IsolationKey,
    /// What its name leads to now, if that is another destination.
    known: Option<Known>,
}

/// Finds the link in the parameters of a request. A link whose name is known already needs no question.
async fn question<D: Dial>(visit: &Visit<'_, D>, parameters: &str) -> Result<Question, Response<ClientBody>> {
    let link = match value(parameters, "url").and_then(|url| HelperLink::parse(&url)) {
        Some(Ok(link)) => link,
        Some(Err(bad)) => return Err(bad.answer(visit.reader)),
        None => return Err(visit.malformed()),
    };
    if !may_be_given(&link.name) {
        return Err(reserved(visit.reader));
    }
    let key = link.identity(visit.service, visit.client);
    let known = link.known(visit.service, &key).await;
    if known.as_ref().is_some_and(|known| known.is(&link.destination)) {
        return Err(redirect(StatusCode::SEE_OTHER, &link.url()));
    }
    Ok(Question { link, key, known })
}

impl Question {
    /// The token of its form. It holds only for what the person was shown.
    fn token(&self) -> Token<'_> {
        let known = self.known.as_ref().map(|known| known.destination.to_string());
        let HelperLink { name, port, destination, .. } = &self.link;
        let shown =
            [name.as_str().to_owned(), port.to_string(), destination.to_string(), known.unwrap_or_default()];
        Token::new("address helper", &self.key, shown.to_vec())
    }

    /// The address book, if this client may keep the name in it.
    fn keeper<'a, D>(&self, visit: &Visit<'a, D>) -> Option<&'a dyn NameBook> {
        visit.book().filter(|book| self.link.can_be_kept(*book, self.known.as_ref()))
    }

    async fn answer<D: Dial>(&self, visit: &Visit<'_, D>) -> Response<ClientBody> {
        let Self { link, known, .. } = self;
        let (title, what, hint) = match known {
            None => (
                "Where should this name lead?",
                "a link says which destination this name has, and no address book here knows the name",
                "Nobody has checked this. Follow the link only if you trust its author.",
            ),
            Some(_) => (
                "Careful: this name is known with another destination",
                "a link says that this name has another destination than it has here",
                "Sites seldom change their destination. Somebody may be trying to pass for the site: if you are not \
                 sure that the link is right, do not follow it.",
            ),
        };
        let mut more = vec![Block::Facts(self.facts(visit).await)];
        let form = self.token().issue().map(|token| self.form(visit, token));
        more.extend(form.filter(|form| !form.buttons.is_empty()).map(Block::Form));
        more.push(self.ways_out());
        // Some browsers follow a redirect after a form only to where forms may lead.
        let forms = format!("'self' {}", link.origin());
        let page = Page { title, what, hint, code: "", more: &more, forms: Some(&forms), ..Page::default() };
        of_page(StatusCode::OK, &page, visit.reader)
    }

    async fn facts<D: Dial>(&self, visit: &Visit<'_, D>) -> Vec<(&'static str, String)> {
        let Self { link, known, .. } = self;
        let mut facts = vec![
            ("Name", link.name.as_str().to_owned()),
            ("Destination in the link", address_of(&link.destination)),
        ];
        if let Some(known) = known {
            facts.push((known.by(), address_of(&known.destination)));
        }
        let Some(book) = visit.book() else { return facts };
        let b32 = match &link.destination {
            I2pName::B32(b32) => Some(*b32),
            I2pName::Destination(destination) => Some(destination.b32()),
            _ => None,
        };
        let others = match b32 {
            Some(b32) => book.names_of(b32, MAX_OTHER_NAMES).await,
            None => Vec::new(),
        };
        if !others.is_empty() {
            let others: Vec<_> = others.iter().map(HostName::as_str).collect();
            facts.push(("You know this destination as", others.join(", ")));
        }
        if book.was_removed(&link.name, &link.destination).await {
            let removed = "This destination was removed from this name, by you or by the holder of the name.";
            facts.push(("Removed", removed.to_owned()));
        }
        facts
    }

    fn form<D>(&self, visit: &Visit<'_, D>, token: String) -> Form {
        let mut buttons = Vec::new();
        if visit.owns(&self.key) {
            buttons.push((ONCE, "Open it, and forget it soon"));
        }
        if self.keeper(visit).is_some() {
            let is_in_book =
                self.known.as_ref().is_some_and(|it| it.by == Says::Source(NameOrigin::AddressBook));
            buttons.push((
                KEEP,
                if is_in_book { "Replace it in the address book" } else { "Keep it in the address book" },
            ));
        }
        Form {
            action: PATH,
            asks: false,
            field: None,
            hidden: vec![("url", self.link.url_with_helper()), ("token", token)],
            buttons,
        }
    }

    /// Links for those who do not follow the link.
    fn ways_out(&self) -> Block {
        let leave = Link { text: "Leave it".to_owned(), url: "/".to_owned(), ..Link::default() };
        match self.known {
            None => Block::Links("Or do nothing:", vec![leave]),
            Some(_) => {
                let as_known = Link {
                    text: format!("Open {} with the destination that it has here", self.link.name.as_str()),
                    url: self.link.url(),
                    ..Link::default()
                };
                Block::Links("Or do not follow the link:", vec![as_known, leave])
            }
        }
    }

    fn follow_once<D: Dial>(&self, visit: &Visit<'_, D>) -> Response<ClientBody> {
        let Self { link, key, .. } = self;
        let session = visit.service.dialler.session_now(key);
        visit.service.chosen_names.choose(key, session, link.name.clone(), link.destination.clone());
        redirect(StatusCode::SEE_OTHER, &link.url())
    }

    async fn keep<D>(&self, visit: &Visit<'_, D>, book: &dyn NameBook) -> Response<ClientBody> {
        let Self { link, key, known } = self;
        let shown = known.as_ref().filter(|known| known.by == Says::Source(NameOrigin::AddressBook));
        let shown = match shown.map(|known| &known.destination) {
            Some(I2pName::Destination(destination)) => Some(destination.b32()),
            Some(I2pName::B32(b32)) => Some(*b32),
            _ => None,
        };
        match book.keep(&link.name, &link.destination, shown).await {
            Ok(()) => {
                visit.service.chosen_names.forget(key, &link.name);
                redirect(StatusCode::SEE_OTHER, &link.url())
            }
            Err(why) => {
                let page = Page {
                    title: "The name was not kept",
                    what: &why,
                    hint: "Go back, and open the site without keeping its name.",
                    code: "HTTP 503.",
                    ..Page::default()
                };
                of_page(StatusCode::SERVICE_UNAVAILABLE, &page, visit.reader)
            }
        }
    }
}

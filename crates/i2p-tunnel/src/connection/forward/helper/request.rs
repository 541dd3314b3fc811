//! A request whose URL has an address helper.

use hyper::{Method, Response, StatusCode};
use i2p_name::{HostName, I2pName, Target};

use super::{
    super::{
        super::service::Service,
        answer::{Reader, of_page, redirect},
        body::ClientBody,
        form::encoded,
        page::{Block, Link, Page},
    },
    link::{HelperLink, Known},
    url::{AddressHelper, BadHelper, address_of, without},
};
use crate::{client::IsolationKey, dial::Dial, http_message::RequestHead, names::OWN_HOST};

/// The path of the page of the proxy that asks what to do with a link.
pub(crate) const PATH: &str = "/address";

/// What happens to a request.
pub(crate) enum Next {
    /// It goes on to the site. Its URL has no address helper any more.
    Forward,
    Answer(Response<ClientBody>),
}

/// Looks for an address helper in a request. Hosts outside I2P get theirs: there, it is a parameter like any other.
pub(crate) async fn check<D: Dial>(
    service: &Service<D>,
    head: &mut RequestHead,
    (target, key): (&Target, &IsolationKey),
    reader: Reader,
) -> Next {
    let (Target::I2p(name), Some(helper)) = (target, AddressHelper::of(&head.path)) else {
        return Next::Forward;
    };
    let I2pName::Host(name) = name else {
        // The host is a destination. There is nothing to say about it.
        head.path = without(&head.path);
        return Next::Forward;
    };
    let link = match helper {
        Ok(_) if !may_be_given(name) => return Next::Answer(reserved(reader)),
        Ok(helper) => HelperLink::new(name.clone(), head.port, helper),
        Err(bad) => return Next::Answer(bad.answer(reader)),
    };
    let known = link.known(service, key).await;
    let is_known = known.as_ref().is_some_and(|known| known.is(&link.destination));
    let is_visit = reader == Reader::Person && matches!(head.method, Method::GET | Method::HEAD);
    match (is_known, is_visit) {
        (true, true) => Next::Answer(redirect(StatusCode::FOUND, &link.url())),
        (true, false) => {
            head.path = link.rest;
            Next::Forward
        }
        (false, true) => Next::Answer(redirect(StatusCode::FOUND, &link.page())),
        (false, false) => Next::Answer(link.conflict(service, known.as_ref(), reader)),
    }
}

impl HelperLink {
    /// The page that asks what to do with the link.
    fn page(&self) -> String {
        format!("http://{}{PATH}?url={}", OWN_HOST, encoded(&self.url_with_helper()))
    }

    /// Tells a program what to do, and a person who did not follow a link.
    fn conflict<D>(
        &self,
        service: &Service<D>,
        known: Option<&Known>,
        reader: Reader,
    ) -> Response<ClientBody> {
        let (name, address) = (self.name.as_str(), address_of(&self.destination));
        let what = match known {
            None => format!("the URL says that {name} is {address}, which no address book here knows"),
            Some(known) => format!(
                "the URL says that {name} is {address}, but here it is {}",
                address_of(&known.destination)
            ),
        };
        let replace = if known.is_some() { " --replace" } else { "" };
        let hint = match service.name_book.as_deref() {
            Some(book) if self.can_be_kept(book, known) => format!(
                "If you trust the author of the link, keep the name: i2p-socks names add{replace} {name} {}",
                self.destination
            ),
            _ => format!("If you trust the author of the link, use the address itself: http://{address}/"),
        };
        let link =
            Link { text: "Choose where this name leads".to_owned(), url: self.page(), ..Link::default() };
        let more =
            [Block::Links("This request was not sent. Send it again once you have chosen:", vec![link])];
        let title = "The link has an address helper";
        let page =
            Page { title, what: &what, hint: &hint, code: "HTTP 409.", more: &more, ..Page::default() };
        of_page(StatusCode::CONFLICT, &page, reader)
    }
}

impl BadHelper {
    /// The answer to a URL with such a helper.
    pub(super) fn answer(self, reader: Reader) -> Response<ClientBody> {
        let what = match self {
            Self::Twice => "the link has several address helpers",
            Self::Malformed => "the destination in the address helper of the link is malformed",
        };
        let page = Page {
            title: "The address helper in this link is of no use",
            what,
            hint: "Leave i2paddresshelper out of the URL, or look for another link to the site.",
            code: "HTTP 400.",
            ..Page::default()
        };
        of_page(StatusCode::BAD_REQUEST, &page, reader)
    }
}

/// The answer to a helper for a name that belongs to the router or to the proxy.
pub(super) fn reserved(reader: Reader) -> Response<ClientBody> {
    let page = Page {
        title: "No link can give this name a destination",
        what: "the name is reserved: it belongs to the router or to the proxy",
        hint: "Leave i2paddresshelper out of the URL.",
        code: "HTTP 403.",
        ..Page::default()
    };
    of_page(StatusCode::FORBIDDEN, &page, reader)
}

/// Whether links may name a destination of this host.
pub(super) fn may_be_given(name: &HostName) -> bool {
    name.check_importable().is_ok()
}

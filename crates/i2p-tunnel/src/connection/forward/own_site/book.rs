//! The page with the address book, which can only be read.

use hyper::{Response, StatusCode};
use i2p_name::HostName;

use super::super::{
    answer::of_page,
    body::ClientBody,
    form::{encoded, value},
    page::{Block, Form, Link, Page},
    visit::Visit,
};

/// The path of the page.
pub(super) const PATH: &str = "/book";

/// Names on one page.
const MAX_NAMES: usize = 100;

const TITLE: &str = "The address book";

/// Answers a request for the page.
pub(super) async fn show<D>(visit: &Visit<'_, D>, query: &str) -> Response<ClientBody> {
    let Some(book) = visit.book() else {
        let what = "the address book is shown only to the user that runs the proxy";
        let hint = "It tells what others have kept. The setting keep-names shows it to everybody.";
        return visit.page(StatusCode::FORBIDDEN, TITLE, what, hint);
    };
    if !book.keeps_names() {
        let hint = "Names are looked up in its configuration and in the router. The log says why, if it should have one.";
        return visit.page(StatusCode::NOT_FOUND, TITLE, "the proxy has no address book", hint);
    }
    let start = value(query, "start").unwrap_or_default().trim().to_ascii_lowercase();
    let after: Option<HostName> = value(query, "after").and_then(|name| name.parse().ok());
    let names = match book.list(&start, after.as_ref(), MAX_NAMES).await {
        Ok(names) => names,
        Err(why) => {
            return visit.page(StatusCode::SERVICE_UNAVAILABLE, TITLE, &why, "See the log of the proxy.");
        }
    };
    let links = names.iter().map(|(name, address)| Link {
        text: name.as_str().to_owned(),
        url: format!("http://{}/", name.as_str()),
        note: address.to_string(),
    });
    let intro = match names.is_empty() {
        true if start.is_empty() && after.is_none() => "The address book is empty.",
        true => "There is no such name.",
        false => "Names and their addresses:",
    };
    let field = Some(("start", "Names that begin with", start.clone()));
    let find = Form { action: PATH, asks: true, field, hidden: Vec::new(), buttons: vec![("find", "Find")] };
    let mut more = vec![Block::Form(find), Block::Links(intro, links.collect())];
    if let Some((last, _)) = names.last().filter(|_| names.len() == MAX_NAMES) {
        let url = format!("{PATH}?start={}&after={}", encoded(&start), last.as_str());
        more.push(Block::Links(
            "There are more:",
            vec![Link { text: "Next page".to_owned(), url, ..Link::default() }],
        ));
    }
    let what = "these are the names that the proxy keeps; the router may know more";
    let hint = "To change them, use i2p-socks names.";
    let page = Page { title: TITLE, what, hint, more: &more, forms: Some("'self'"), ..Page::default() };
    of_page(StatusCode::OK, &page, visit.reader)
}

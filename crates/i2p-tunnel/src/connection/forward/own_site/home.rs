//! The first page: whether the proxy works, and what this port is.

use hyper::{Response, StatusCode};

use super::{
    super::{
        answer::of_page,
        body::ClientBody,
        page::{Block, Link, Page},
        visit::Visit,
    },
    book, identity,
};
use crate::{
    client::{Authentication, ClientProtocol, HeaderPolicy, Isolate},
    dial::Dial,
    names::NameBook,
};

/// Answers a request for the page.
pub(super) async fn show<D: Dial>(visit: &Visit<'_, D>) -> Response<ClientBody> {
    let router = visit.service.dialler.router().await;
    let (what, hint) = match has_tunnels(visit) {
        _ if router.is_none() => (
            "the proxy works, but its I2P router does not answer",
            "Start the router, or wait until it is back. No site can be opened before that.",
        ),
        Some(false) => (
            "the proxy works, and I2P tunnels for you are being built",
            "Sites can be opened in a moment, or in a minute or two if the router has just started.",
        ),
        Some(true) => ("the proxy works, and I2P tunnels for you are ready", "Open any .i2p site."),
        None => ("the proxy works", "Open any .i2p site."),
    };
    let mut links = vec![Link {
        text: "Your identity in I2P".to_owned(),
        url: identity::PATH.to_owned(),
        note: "See the address that sites know you by, or change it.".to_owned(),
    }];
    if visit.book().is_some_and(NameBook::keeps_names) {
        links.push(Link {
            text: "The address book".to_owned(),
            url: book::PATH.to_owned(),
            ..Link::default()
        });
    }
    let more = [Block::Facts(facts(visit, router)), Block::Links("More about the proxy:", links)];
    let title = "Your program uses i2p-socks";
    let page = Page { title, what, hint, code: "HTTP 200.", more: &more, ..Page::default() };
    of_page(StatusCode::OK, &page, visit.reader)
}

/// What this port is. Nothing here depends on what clients have done.
fn facts<D>(visit: &Visit<'_, D>, router: Option<String>) -> Vec<(&'static str, String)> {
    let service = visit.service;
    let credentials = match service.access.authentication {
        Authentication::Isolation => "not needed; different ones get different identities",
        Authentication::Required(_) | Authentication::AnyPassword => "needed",
    };
    let headers = match service.headers {
        HeaderPolicy::Filtered => "what names you or your program is removed",
        HeaderPolicy::AsSent => "passed on as your program sends them",
    };
    vec![
        ("I2P router", router.unwrap_or_else(|| "does not answer".to_owned())),
        ("This port", format!("{}, of the tunnel {}", visit.client.listener, service.name)),
        ("Protocols", protocols(visit).join(", ")),
        ("Passwords", credentials.to_owned()),
        ("Other identities for another", isolated_by(service.sessions.isolate).join(", ")),
        ("Header fields of plain HTTP", headers.to_owned()),
    ]
}

fn protocols<D>(visit: &Visit<'_, D>) -> Vec<&'static str> {
    let all = [
        (ClientProtocol::Socks4, "SOCKS4"),
        (ClientProtocol::Socks4a, "SOCKS4a"),
        (ClientProtocol::Socks5, "SOCKS5"),
        (ClientProtocol::HttpConnect, "HTTP CONNECT"),
        (ClientProtocol::Http, "HTTP"),
    ];
    let access = &visit.service.access;
    let needs_password = matches!(access.authentication, Authentication::Required(_));
    // SOCKS4 cannot send one.
    let is_lost =
        |protocol| needs_password && matches!(protocol, ClientProtocol::Socks4 | ClientProtocol::Socks4a);
    let has = |protocol| access.protocols.has(protocol) && !is_lost(protocol);
    all.into_iter().filter(|(protocol, _)| has(*protocol)).map(|(_, name)| name).collect()
}

fn isolated_by(isolate: Isolate) -> Vec<&'static str> {
    let Isolate { client, socks_auth, listener, dest_host, site, dest_port, protocol } = isolate;
    let all = [
        (client, "client"),
        (socks_auth, "user name or password"),
        (listener, "listener"),
        (site, "site"),
        (dest_host, "host"),
        (dest_port, "port"),
        (protocol, "protocol"),
    ];
    let chosen: Vec<_> = all.into_iter().filter(|(chosen, _)| *chosen).map(|(_, word)| word).collect();
    if chosen.is_empty() { vec!["nothing: all clients share one"] } else { chosen }
}

/// Whether the client has tunnels; `None` if its sites have sessions of their own.
fn has_tunnels<D: Dial>(visit: &Visit<'_, D>) -> Option<bool> {
    let key = visit.service.sessions.client_key(visit.client)?;
    Some(visit.service.dialler.session_now(&key).is_some())
}
